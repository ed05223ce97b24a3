"""One file for arrays and text: a JSON list of contents, then their bytes, compressed. Data that cannot be code, and the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from forecast.errors import ArtifactError

MAGIC = b"FORECAST-PRIOR-1\n"
KINDS = frozenset({"|u1", "<u2", "<i8", "<f2", "<f4", "<f8", "text"})

Part = NDArray[np.generic] | str


def digest_of(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def pack(parts: Mapping[str, Part]) -> bytes:
    """Bytes of the parts in the order of their names. Raises ArtifactError where an array's type is not one of KINDS."""
    contents, blobs = [], []
    for name in sorted(parts):
        part = parts[name]
        kind = "text" if isinstance(part, str) else np.dtype(part.dtype).newbyteorder("<").str
        if kind not in KINDS:
            raise ArtifactError(f"Part {name!r} of the prior has type {kind!r}; allowed are {', '.join(sorted(KINDS))}")
        raw = part.encode("utf-8") if isinstance(part, str) else np.ascontiguousarray(part).astype(kind).tobytes()
        blob = zlib.compress(raw, 9)
        contents.append({"name": name, "kind": kind, "shape": [] if isinstance(part, str) else list(part.shape), "size": len(blob)})
        blobs.append(blob)
    header = json.dumps(contents, sort_keys=True).encode("utf-8")
    return MAGIC + len(header).to_bytes(8, "little") + header + b"".join(blobs)


def unpack(data: bytes, digest: str) -> dict[str, Part]:
    """The parts of `pack`. Raises ArtifactError where the bytes are not those that `digest` was taken of."""
    got = digest_of(data)
    if got != digest:
        raise ArtifactError(f"The shipped prior is damaged: its digest is {got[:12]}…, {digest[:12]}… was expected; install the package again")
    if not data.startswith(MAGIC):
        raise ArtifactError(f"The shipped prior has another format: it begins with {data[: len(MAGIC)]!r}, {MAGIC!r} was expected")
    begin = len(MAGIC) + 8
    end = begin + int.from_bytes(data[len(MAGIC) : begin], "little")
    found: dict[str, Part] = {}
    at = end
    for entry in json.loads(data[begin:end].decode("utf-8")):
        raw = zlib.decompress(data[at : at + entry["size"]])
        at += entry["size"]
        if entry["kind"] == "text":
            found[entry["name"]] = raw.decode("utf-8")
        elif entry["kind"] in KINDS:
            found[entry["name"]] = np.frombuffer(raw, dtype=entry["kind"]).reshape(entry["shape"])
        else:
            raise ArtifactError(f"Part {entry['name']!r} of the prior has type {entry['kind']!r}; allowed are {', '.join(sorted(KINDS))}")
    return found
