"""Content-addressed folders: written aside and renamed, so that a folder is either complete or not there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from forecast.errors import ArtifactError

MANIFEST = "manifest.json"
_ASIDE = ".writing-"


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical(data: Any) -> bytes:
    """JSON with sorted keys and nothing that JSON does not know: equal data are equal bytes."""
    return (json.dumps(data, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=1) + "\n").encode()


def digest_of(data: Mapping[str, Any]) -> str:
    """SHA-256 of plain data, hex."""
    return hashlib.sha256(canonical(data)).hexdigest()


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """{name: {bytes, sha256}} of every file in a flat folder but the manifest."""
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    return {name: {"bytes": (folder / name).stat().st_size, "sha256": digest_of_file(folder / name)} for name in names}


@contextmanager
def written_aside(folder: Path) -> Iterator[Path]:
    """A fresh folder beside the final ones, removed again unless `settle` took it away."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=folder))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def settle(aside: Path, final: Path) -> None:
    """Rename a complete folder to its content address; one that is there already has the same content and stays."""
    with (aside / MANIFEST).open("rb") as file:
        os.fsync(file.fileno())
    aside.chmod(0o755)  # mkdtemp makes folders for their owner only; a service may run as somebody else
    try:
        aside.rename(final)
    except OSError:
        if not (final / MANIFEST).exists():
            raise


def sweep(folder: Path, older_than: float) -> None:
    """Remove what writers that died left behind: folders aside that have not changed since `older_than` (seconds since the epoch)."""
    if folder.is_dir():
        for path in folder.glob(f"{_ASIDE}*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    shutil.rmtree(path, ignore_errors=True)


def read_manifest(folder: Path, what: str, version: int) -> dict[str, Any]:
    """The manifest, checked for being one and for its format version."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"{what} {folder.name} has no {MANIFEST}: it is not a {what}, or half of one") from None
    except ValueError as error:
        raise ArtifactError(f"{what} {folder.name}: {MANIFEST} cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("format") != version or not isinstance(found.get("files"), dict):
        got = found.get("format") if isinstance(found, dict) else type(found).__name__
        raise ArtifactError(f"{what} {folder.name} has format {got!r}; this program reads format {version}: train again with it")
    return found


def check_files(folder: Path, files: Mapping[str, Mapping[str, Any]], what: str, *, digests_up_to: float = float("inf")) -> None:
    """Raise ArtifactError for a file that is missing, has another size, or (up to so many bytes) another digest."""
    for name, facts in files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise ArtifactError(f"{what} {folder.name}: file {name} is missing")
        size = path.stat().st_size
        if size != facts["bytes"]:
            raise ArtifactError(f"{what} {folder.name}: file {name} has {size} bytes, the manifest says {facts['bytes']}")
        if size <= digests_up_to and digest_of_file(path) != facts["sha256"]:
            raise ArtifactError(f"{what} {folder.name}: file {name} does not match its digest")
