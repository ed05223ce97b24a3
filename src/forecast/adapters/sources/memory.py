"""What sources have done already, in a small file beside the home: contents that were taken in, and when each source was asked last.

A line of JSON for each fact, only ever appended, so that a crash costs the last line at most and several processes can write at once.
Losing the file loses nothing but time: the ledger itself knows an equal delivery again.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

from filelock import FileLock

STATE_FILE = "sources.ndjson"
"""Its usual name in the home."""


class Memory:
    """path : the file; its folder is made when the first fact is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), thread_local=False)
        self._digests: set[str] = set()
        self._pulls: dict[str, dt.datetime] = {}
        self._read_bytes = 0

    def knows(self, digest: str) -> bool:
        """Whether this content was taken in, by this process or another one."""
        self._catch_up()
        return digest in self._digests

    def remember(self, digest: str, name: str) -> None:
        """This content is taken in; `name` is for people who read the file."""
        self._append({"digest": digest, "name": name})

    def last_pull(self, source: str) -> dt.datetime | None:
        """When a source was last asked with success (UTC); None: never."""
        self._catch_up()
        return self._pulls.get(source)

    def remember_pull(self, source: str, moment: dt.datetime) -> None:
        if moment.tzinfo is None:
            raise ValueError("the moment of a pull needs a zone")
        self._append({"source": source, "pulled_at": moment.astimezone(dt.UTC).isoformat()})

    def _append(self, fact: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, self.path.open("a+b") as file:
            # After a crash the last line may lack its end; a fact behind it would be lost with it.
            if file.tell() and not _ends_with_line(self.path):
                file.write(b"\n")
            file.write(json.dumps(fact, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._catch_up()

    def _catch_up(self) -> None:
        """Read what was written since the last look; a line that is cut off or not ours says nothing."""
        try:
            if self.path.stat().st_size <= self._read_bytes:
                return
        except FileNotFoundError:
            return
        with self.path.open("rb") as file:
            file.seek(self._read_bytes)
            whole, _, _ = file.read().rpartition(b"\n")
        if not whole:
            return
        self._read_bytes += len(whole) + 1
        for line in whole.split(b"\n"):
            try:
                fact = json.loads(line)
                if "digest" in fact:
                    self._digests.add(str(fact["digest"]))
                elif "pulled_at" in fact:
                    self._pulls[str(fact["source"])] = dt.datetime.fromisoformat(fact["pulled_at"])
            except (ValueError, TypeError, KeyError):
                continue


def _ends_with_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
