"""The shell that answers over HTTP: a BentoML service around one FastAPI application."""
