"""FOCUS rows to Parquet, fast: text that comes as categories is written as the dictionaries that it is.

Files hold plain strings whatever the frame's columns were, so that all files of a folder have one schema and every reader can read them.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def write_rows(rows: pd.DataFrame, path: Path) -> None:
    """One Parquet file of the rows. Numbers differ from row to row and are compressed as they are, text is a dictionary."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    text = [field.name for field in table.schema if not (pa.types.is_floating(field.type) or pa.types.is_timestamp(field.type))]
    # The Arrow schema is not stored: it would bring the dictionaries' types back, which differ from file to file.
    pq.write_table(table, path, compression="snappy", use_dictionary=text, store_schema=False, write_statistics=True)
