"""Billing and usage formats: one module each, from a vendor's own columns to FOCUS columns. `registry` lists them."""
