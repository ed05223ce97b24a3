"""What every table of the records needs: one row in place of an older one, and keys that both databases take."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def write(connection: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """One row in place of an older one with its key. Both databases speak ON CONFLICT, so two writers of one key cannot collide."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql

        connection.execute(insert_postgresql(table).values(**key, **values).on_conflict_do_update(index_elements=list(key), set_=values))
    else:
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        connection.execute(insert_sqlite(table).values(**key, **values).on_conflict_do_update(index_elements=list(key), set_=values))


def plain(text: str) -> str:
    """A key that a database takes: PostgreSQL refuses NUL inside text, and no id contains one."""
    return text.replace("\x00", "�")
