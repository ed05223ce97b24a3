"""The resources, one noun a module; each module lists its `ROUTES`."""
