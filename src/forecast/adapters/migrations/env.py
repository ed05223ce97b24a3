"""Alembic runs this file for every command; the connection comes in from `forecast.adapters.records_schema.upgrade`."""

from __future__ import annotations

from alembic import context

from forecast.adapters.records_schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
