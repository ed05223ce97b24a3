"""A delivery of spend that arrives as a request's body becomes a file, so that every delivery takes the ledger's one road.

The content type says only how the bytes are written; which bill they are, the formats tell from the file. JSON is not parsed here: the
ledger reads each value as it was written, so that money keeps its digits.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from forecast.errors import DeliveryError, SchemaError

KINDS: Mapping[str, str] = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
    "text/csv": "csv",
    "application/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
    "application/parquet": "parquet",
    "application/x-parquet": "parquet",
}
"""Content types that are read, and the ending of what is in them."""

ALLOWED_TYPES = "application/json, application/x-ndjson, text/csv, application/vnd.apache.parquet"

_WRAPPED = re.compile(rb'^\s*\{\s*"rows"\s*:\s*')
_ALLOWED_JSON = '[{…}, …], {"rows": [{…}, …]} or a document such as a page of a vendor\'s API'


def write_delivery(content: bytes, kind: str, folder: Path, *, gzipped: bool, most: int) -> Path:
    """Write the body as a file that the ledger reads. `most` bounds what a compressed body unpacks to."""
    if gzipped:
        content = _unpacked(content, most)
    if not content.strip():
        raise DeliveryError("The body is empty: there are no rows in it", field="body", got=len(content), allowed="rows of spend")
    if kind == "json":
        content = _rows_or_document(content)
    path = folder / f"body.{kind}"
    path.write_bytes(content)
    return path


def _rows_or_document(content: bytes) -> bytes:
    """The list inside `{"rows": [...]}`, or the body as it is. What is wrong between its first and last bracket the ledger's reader says."""
    content = content.removeprefix(b"\xef\xbb\xbf").strip()
    if opening := _WRAPPED.match(content):
        content = content[opening.end() :].removesuffix(b"}").rstrip()
        endings = {b"[": b"]"}
    else:
        endings = {b"[": b"]", b"{": b"}"}
    ending = endings.get(content[:1])
    if ending is None or not content.endswith(ending):
        problem = "is neither a list of rows nor a document" if ending is None else f"is cut off: it ends without {ending.decode()}"
        raise SchemaError(f"The body {problem}", field="body", got=content[:40].decode("utf-8", "replace"), allowed=_ALLOWED_JSON)
    return content


def _unpacked(content: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(content, most + 1)
    except zlib.error as error:
        raise DeliveryError(f"The body is not gzip: {error}", field="body", got="gzip", allowed="a whole gzip stream") from None
    if len(plain) > most:
        raise DeliveryError(f"The body unpacks to more than {most} bytes", field="body", got=f"more than {most}", allowed=f"at most {most} bytes")
    if not unpacker.eof:
        raise DeliveryError("The body is cut off: its gzip stream has no end", field="body", got="gzip", allowed="a whole gzip stream")
    return plain
