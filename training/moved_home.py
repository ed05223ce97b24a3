"""A home that was copied or moved: MLflow keeps whole paths, and would go on writing into the folder that the home was copied from."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_PLACES = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("model_versions", "source"), ("model_versions", "storage_location"))


def bring_artifacts_home(store: Path, artifacts: Path, experiment: str) -> bool:
    """Point the experiment, its runs and versions in MLflow's SQLite file at `artifacts`; True where they pointed elsewhere.

    store : the file, which need not exist. artifacts : the folder in the home that is in use now. Only what lies under the experiment's old
    place is changed, all of it or nothing. Raises sqlite3.Error for a file that cannot be read or written.
    """
    if not store.exists():
        return False
    new = artifacts.as_uri()
    # Closed by hand: a connection's own `with` is a transaction.
    with closing(sqlite3.connect(store, timeout=30.0)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'experiments'").fetchone() is None:
            return False
        found = connection.execute("SELECT artifact_location FROM experiments WHERE name = ?", (experiment,)).fetchone()
        if found is None or found[0] == new:
            return False
        old = str(found[0])
        with connection:
            for table, column in _PLACES:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )
    return True
