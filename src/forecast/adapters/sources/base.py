"""What a source of bills is: something that puts files of known formats into a folder and says how each is to be read.

A watched folder and a vendor's API have this one interface. A source reads no clock and takes nothing into the ledger:
the days it is asked for are arguments, and what becomes of its files is the caller's business (`loop`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from forecast.adapters.bill_files import file_digest
from forecast.adapters.delivery import Covers
from forecast.errors import ForecastError


class SourceError(ForecastError):
    """A source does not answer, or refuses to. Nothing of the pull was kept; a later one may do better."""


@dataclass(frozen=True)
class Pulled:
    """Files that make one delivery, and how it is to be read: the arguments of `Ledger.ingest`.

    key, replace, covers, source : as there; empty, False, `auto` and None leave it to the format. received_at : when the delivery was known,
    None for the moment at which it is taken in. digest : of its content, where that is taken in once and never again, whatever its name (what
    somebody drops into a folder); empty where it is taken in each time, for a vendor that says today what it said last week takes back what
    it said in between.
    """

    paths: tuple[Path, ...]
    format: str = "auto"
    key: tuple[str, ...] = ()
    replace: bool = False
    covers: Covers = "auto"
    source: str | None = None
    received_at: dt.datetime | None = None
    digest: str = ""

    @property
    def name(self) -> str:
        """What to call it in a line for people."""
        first = self.paths[0].name
        return first if len(self.paths) == 1 else f"{first} and {len(self.paths) - 1} more"


def content_digest(paths: Sequence[Path]) -> str:
    """SHA-256 of the content of files, whatever their names and order."""
    return hashlib.sha256("\n".join(sorted(file_digest(path) for path in paths)).encode()).hexdigest()


class SpendSource(Protocol):
    """One source. `name` is what the command line calls it."""

    @property
    def name(self) -> str: ...

    def pull(self, since: dt.date, until: dt.date, folder: Path) -> Sequence[Pulled]:
        """Deliveries about the days from `since` up to, not including, `until` (UTC); files that it fetches are written into `folder`.

        Nothing where there is nothing to say. SourceError where it cannot be asked now, or answers only a part: then it leaves no file behind.
        """
