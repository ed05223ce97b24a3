"""The use cases as plain functions: each reads a snapshot (stores and senders come in as arguments) and gives back JSON data."""
