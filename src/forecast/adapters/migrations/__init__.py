"""The records' schema, one Alembic revision after another; shipped inside the package and applied at start."""
