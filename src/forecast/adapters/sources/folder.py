"""A folder that people and other programs drop bills into.

A file in it is a delivery; so is a folder in it, with all that is below it, for an export in several parts stands for its period as a whole.
A delivery is handed over when all its files are at rest: the same size and time of change for a settling time, counted by a clock that
does not go back, so that it does not matter what time a file server believes it is. Names of files in the making (`.part`, `.tmp`, …),
hidden ones and those that `bill_files` passes over are not looked at. Files stay where they are; what was taken is the memory's business.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forecast.adapters.bill_files import bill_file
from forecast.adapters.sources.base import Pulled, SourceError, content_digest

SETTLE_SECONDS = 5.0

_IN_THE_MAKING = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".swp", "~")

_Look = tuple[tuple[str, int, int], ...]
"""Name, size and time of change (ns) of every file of a delivery."""


@dataclass
class _Seen:
    """What a delivery looked like, since when (by the clock), and the digest of its content once it was at rest."""

    look: _Look
    since: float
    digest: str = ""


@dataclass(frozen=True)
class FolderSource:
    """settle_seconds : how long a delivery must not change. clock : seconds that only grow. name : in reports and in the memory."""

    path: Path
    settle_seconds: float = SETTLE_SECONDS
    clock: Callable[[], float] = time.monotonic
    name: str = "folder"
    format: str = "auto"
    source: str | None = None
    _seen: dict[Path, _Seen] = field(default_factory=dict, repr=False, compare=False)

    def pull(self, since: dt.date, until: dt.date, folder: Path) -> Sequence[Pulled]:
        """All deliveries at rest, whatever days they are about; nothing is written into `folder`. One look decides nothing: the next may."""
        now = self.clock()
        found = dict(self._deliveries())
        for gone in self._seen.keys() - found.keys():
            del self._seen[gone]
        settled = [(place, files) for place, files in sorted(found.items()) if self._is_at_rest(place, files, now)]
        return [
            Pulled(tuple(files), format=self.format, source=self.source, digest=digest)
            for place, files in settled
            if (digest := self._digest(place, files)) is not None
        ]

    @property
    def is_unsettled(self) -> bool:
        """Whether the last look saw something that is not handed over yet, so that another look is worth it soon."""
        return any(not seen.digest for seen in self._seen.values())

    def _is_at_rest(self, place: Path, files: Sequence[Path], now: float) -> bool:
        look, seen = _look(files), self._seen.get(place)
        if seen is None or look is None or look != seen.look:
            self._seen[place] = seen = _Seen(look or (), now)
        return look is not None and now - seen.since >= self.settle_seconds

    def _digest(self, place: Path, files: Sequence[Path]) -> str | None:
        """Worked out once for as long as nothing changes; None where a file cannot be read now."""
        seen = self._seen[place]
        if not seen.digest:
            try:
                seen.digest = content_digest(files)
            except OSError:
                return None
        return seen.digest

    def _deliveries(self) -> Iterator[tuple[Path, list[Path]]]:
        """Each thing in the folder that holds bills, with its bills; one file in the making keeps its whole folder back."""
        try:
            things = list(self.path.iterdir())
        except OSError as error:
            raise SourceError(f"The watched folder {self.path} cannot be read: {error.strerror or error}") from None
        for thing in things:
            try:
                files = sorted(item for item in thing.rglob("*") if item.is_file()) if thing.is_dir() else [thing]
            except OSError:
                continue  # it went away while it was looked at
            relative = {file: file.relative_to(self.path) for file in files}
            making = any(_is_in_the_making(name) for name in relative.values())
            bills = [file for file, name in relative.items() if not _is_in_the_making(name) and _is_bill(file, name)]
            if bills and not making:
                yield thing, bills


def _is_in_the_making(relative: Path) -> bool:
    return relative.name.lower().endswith(_IN_THE_MAKING)


def _is_bill(file: Path, relative: Path) -> bool:
    if any(part.startswith((".", "_")) for part in relative.parts) or "manifest" in relative.name.lower():
        return False
    try:
        return bill_file(file, file.name) is not None
    except OSError:
        return False


def _look(files: Sequence[Path]) -> _Look | None:
    """None where a file went away meanwhile."""
    try:
        return tuple((str(file), stat.st_size, stat.st_mtime_ns) for file in files for stat in [file.stat()])
    except OSError:
        return None
