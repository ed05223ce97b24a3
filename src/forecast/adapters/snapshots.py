"""Snapshots on disk: one content-addressed folder each, arrays mapped into memory, nothing that is code.

<folder>/<id>/manifest.json        what it is, and size and digest of every file; the id is the digest of this, without created_at
              leaf_paths.npy node_paths.npy node_quantiles.npy     mapped, not read
              node_means.npy leaf_history.npy grid.npz detector.npz leaves.parquet recent.parquet backtest.json
              pending.npy watermarks.parquet    only where the last days are not fully billed, or how bills come in is known
              known_money.parquet meters.parquet    what explanations read beside the history
              event_effects.parquet    only where planned events touch the paths
              driver_effects.parquet   only where drivers do
              totals.npz            mean and quantiles of every node's calendar months and fiscal quarters; kept for ever
              pruned.json           only where the paths have been given up
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.adapters.folders import MANIFEST, canonical, check_files, describe_files, digest_of, read_manifest, settle, sweep, written_aside
from forecast.errors import ArtifactError, InputError, NotFoundError
from forecast.evaluation.quantiles import sorted_quantiles
from forecast.snapshot import QUANTILES, Snapshot
from forecast.spend.fiscal import FiscalCalendar
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.periods import Period, split

FORMAT = 1
LEAST_PREFIX = 8
PATHS = ("leaf_paths.npy", "node_paths.npy")
OPTIONAL_FRAMES = ("watermarks", "known_money", "meters", "event_effects", "driver_effects", "signs")
DIGEST_AT_OPEN = 4 * 1024 * 1024
"""Files up to this size are checked against their digest at every opening (a millisecond each); larger ones by `verify`."""
ABANDONED_SECONDS = 24 * 3600
"""After so long a half-written folder belongs to a writer that died."""
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class PrunedPaths:
    """Stands where paths were: knows their shape, and says what happened when somebody reads them."""

    snapshot_id: str
    shape: tuple[int, ...]

    def __getitem__(self, key: object) -> Any:
        raise self._error()

    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        raise self._error()

    def _error(self) -> NotFoundError:
        return NotFoundError(
            f"Snapshot {self.snapshot_id[:12]} no longer has its paths; its quantiles and its totals of months and quarters are kept",
            field="snapshot_id",
            got=self.snapshot_id,
            allowed="a newer snapshot",
        )


class SnapshotStore:
    """Snapshots in a folder. Many processes may read and write at once: folders appear complete or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def write(self, draft: Snapshot, *, created_at: datetime | None = None) -> Snapshot:
        """Write a snapshot (its `id` is not looked at) and open it from disk. Equal content has one id and is written once."""
        with written_aside(self.folder) as aside:
            _write_files(aside, draft)
            manifest = {
                "format": FORMAT,
                "cutoff": draft.cutoff.isoformat(),
                "cost": draft.cost,
                "currency": draft.currency,
                "levels": [list(level) for level in draft.hierarchy.levels],
                "leaf_shape": list(draft.leaf_paths.shape),
                "node_shape": list(draft.node_paths.shape),
                "meta": draft.meta,
                "files": describe_files(aside),
            }
            snapshot_id = digest_of(manifest)
            moment = (created_at or datetime.now(UTC)).astimezone(UTC).isoformat()
            (aside / MANIFEST).write_bytes(canonical({**manifest, "created_at": moment}))
            final = self.folder / snapshot_id
            if (final / "pruned.json").exists():  # the same run once more: it has its paths again
                for name in PATHS:
                    (aside / name).replace(final / name)
                (final / "pruned.json").unlink()
            else:
                settle(aside, final)
        return self.open(snapshot_id)

    def open(self, snapshot_id: str) -> Snapshot:
        """The snapshot with this id, or with the only id that begins so (8 characters at least); paths are memory-mapped.

        Raises NotFoundError, InputError (prefix too short), ArtifactError (format, sizes, digests of the files that are read).
        """
        folder = self._find(snapshot_id)
        manifest = read_manifest(folder, "snapshot", FORMAT)
        pruned = (folder / "pruned.json").exists()
        files = {name: facts for name, facts in manifest["files"].items() if not (pruned and name in PATHS)}
        check_files(folder, files, "snapshot", digests_up_to=DIGEST_AT_OPEN)
        try:
            return _read(folder, manifest, pruned)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"snapshot {folder.name} cannot be read: {error}") from error

    def verify(self, snapshot_id: str) -> None:
        """Check every file against its digest, and the manifest against the id; ArtifactError where one does not match."""
        folder = self._find(snapshot_id)
        manifest = read_manifest(folder, "snapshot", FORMAT)
        content = {name: value for name, value in manifest.items() if name != "created_at"}
        if digest_of(content) != folder.name:
            raise ArtifactError(f"snapshot {folder.name}: the manifest does not match the id")
        pruned = (folder / "pruned.json").exists()
        check_files(folder, {name: facts for name, facts in manifest["files"].items() if not (pruned and name in PATHS)}, "snapshot")

    def ids(self) -> list[str]:
        """Ids of all snapshots that this program can read, oldest first."""
        if not self.folder.is_dir():
            return []
        known = []
        for path in self.folder.iterdir():
            if _ID.fullmatch(path.name):
                with suppress(ArtifactError):
                    known.append((str(read_manifest(path, "snapshot", FORMAT).get("created_at")), path.name))
        return [name for _, name in sorted(known)]

    def size(self, snapshot_id: str) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self._find(snapshot_id).iterdir())

    def totals(self, snapshot_id: str) -> pd.DataFrame:
        """Totals of every node's calendar months and fiscal quarters: columns node, start, end, mean and one a quantile ("q0.1").

        Kept when paths are pruned. The first and last period are clipped to what the snapshot can see.
        """
        folder = self._find(snapshot_id)
        manifest = read_manifest(folder, "snapshot", FORMAT)
        check_files(folder, {"totals.npz": manifest["files"]["totals.npz"]}, "snapshot")
        hierarchy = _hierarchy(folder, manifest)
        with np.load(folder / "totals.npz", allow_pickle=False) as kept:
            starts, ends, means, quantiles = (kept[name] for name in ("starts", "ends", "means", "quantiles"))
        n_nodes, n_periods = means.shape
        frame = pd.DataFrame(
            {
                "node": np.repeat(np.array(hierarchy.node_ids, dtype=object), n_periods),
                "start": np.tile(starts.astype("datetime64[ns]"), n_nodes),
                "end": np.tile(ends.astype("datetime64[ns]"), n_nodes),
                "mean": means.ravel(),
            }
        )
        for number, level in enumerate(QUANTILES):
            frame[f"q{level:g}"] = quantiles[:, :, number].ravel().astype(np.float64)
        return frame

    def prune(self, keep: int = 3, *, keep_ids: Collection[str] = ()) -> list[str]:
        """Give up the paths of all but the newest `keep` snapshots and `keep_ids` (forecasts of record); returns whose were given up.

        Quantiles, totals, history and the backtest record stay for ever. A reader that has the paths mapped keeps them.
        """
        ids = self.ids()
        spared = {*ids[max(len(ids) - keep, 0) :], *keep_ids}
        found = []
        for snapshot_id in ids:
            folder = self.folder / snapshot_id
            if snapshot_id in spared or not any((folder / name).exists() for name in PATHS):
                continue
            (folder / "pruned.json").write_bytes(canonical({"files": list(PATHS)}))  # before the files go: a reader in between sees why
            for name in PATHS:
                (folder / name).unlink(missing_ok=True)
            found.append(snapshot_id)
        sweep(self.folder, time.time() - ABANDONED_SECONDS)
        return found

    def _find(self, snapshot_id: str) -> Path:
        if not isinstance(snapshot_id, str) or len(snapshot_id) < LEAST_PREFIX:
            raise InputError(
                f"Snapshot id {snapshot_id!r} is too short",
                field="snapshot_id",
                got=snapshot_id,
                allowed=f"at least {LEAST_PREFIX} characters of an id",
            )
        if _ID.fullmatch(snapshot_id):
            matches = [self.folder / snapshot_id] if (self.folder / snapshot_id).is_dir() else []
        else:
            known = self.folder.iterdir() if self.folder.is_dir() else []
            matches = [path for path in known if _ID.fullmatch(path.name) and path.name.startswith(snapshot_id)]
        if len(matches) != 1:
            problem = "No snapshot has" if not matches else "More than one snapshot has"
            raise NotFoundError(
                f"{problem} an id that begins with {snapshot_id!r}", field="snapshot_id", got=snapshot_id, allowed="an id of the list"
            )
        return matches[0]


def _write_files(folder: Path, draft: Snapshot) -> None:
    for name in ("leaf_paths", "node_paths", "node_quantiles", "node_means", "leaf_history"):
        np.save(folder / f"{name}.npy", np.ascontiguousarray(getattr(draft, name)), allow_pickle=False)
    np.savez(folder / "grid.npz", allow_pickle=False, starts=draft.starts, ends=draft.ends, history_ds=draft.history_ds)
    np.savez(folder / "detector.npz", allow_pickle=False, **{name: draft.detector[name] for name in sorted(draft.detector)})
    np.savez(folder / "totals.npz", allow_pickle=False, **_totals(draft))
    draft.hierarchy.leaves.to_parquet(folder / "leaves.parquet", engine="pyarrow", compression="zstd")
    if draft.pending is not None:
        np.save(folder / "pending.npy", np.ascontiguousarray(draft.pending), allow_pickle=False)
    for name in OPTIONAL_FRAMES:
        frame: pd.DataFrame | None = getattr(draft, name)
        if frame is not None:
            frame.to_parquet(folder / f"{name}.parquet", engine="pyarrow", compression="zstd", index=False)
    draft.recent.to_parquet(folder / "recent.parquet", engine="pyarrow", compression="zstd", index=False)
    (folder / "backtest.json").write_bytes(canonical(draft.backtest))


def _totals(draft: Snapshot) -> dict[str, NDArray[Any]]:
    """Means and quantiles of every node's totals over the calendar months and fiscal quarters of the horizon."""
    first = _day(draft.starts[0])
    calendar = FiscalCalendar.described(draft.meta)
    seen = Period(first, draft.horizon_end)
    periods = [*split(seen, "month"), *split(seen, "quarter", calendar)]
    weights = np.stack([draft.future_weights(period) for period in periods])  # (n_periods, n_steps)
    quantiles = np.empty((draft.node_paths.shape[0], len(periods), len(QUANTILES)), dtype=np.float32)
    for node, paths in enumerate(draft.node_paths):
        quantiles[node] = sorted_quantiles(weights @ paths, QUANTILES)
    return {
        "starts": np.array([period.start for period in periods], dtype="datetime64[D]"),
        "ends": np.array([period.end for period in periods], dtype="datetime64[D]"),
        "means": draft.node_means @ weights.T,
        "quantiles": quantiles,
    }


def _read(folder: Path, manifest: dict[str, Any], pruned: bool) -> Snapshot:
    with np.load(folder / "grid.npz", allow_pickle=False) as grid:
        starts, ends, history_ds = grid["starts"], grid["ends"], grid["history_ds"]
    with np.load(folder / "detector.npz", allow_pickle=False) as kept:
        detector = {name: kept[name] for name in kept.files}
    paths: list[Any] = []
    for name, shape in zip(PATHS, (manifest["leaf_shape"], manifest["node_shape"]), strict=True):
        found = PrunedPaths(folder.name, tuple(shape)) if pruned else _mapped(folder / name)
        if tuple(found.shape) != tuple(shape):
            raise ArtifactError(f"snapshot {folder.name}: {name} has shape {found.shape}, the manifest says {tuple(shape)}")
        paths.append(found)
    return Snapshot(
        id=folder.name,
        cutoff=date.fromisoformat(manifest["cutoff"]),
        cost=manifest["cost"],
        currency=manifest["currency"],
        hierarchy=_hierarchy(folder, manifest),
        starts=starts,
        ends=ends,
        leaf_paths=paths[0],
        node_paths=paths[1],
        node_quantiles=_mapped(folder / "node_quantiles.npy"),
        node_means=np.load(folder / "node_means.npy", allow_pickle=False),
        history_ds=history_ds,
        leaf_history=np.load(folder / "leaf_history.npy", allow_pickle=False),
        recent=pd.read_parquet(folder / "recent.parquet", engine="pyarrow"),
        detector=detector,
        backtest=json.loads((folder / "backtest.json").read_bytes()),
        meta=manifest["meta"],
        pending=_mapped(folder / "pending.npy") if "pending.npy" in manifest["files"] else None,
        **{name: _frame(folder, manifest, f"{name}.parquet") for name in OPTIONAL_FRAMES},
    )


def _frame(folder: Path, manifest: dict[str, Any], name: str) -> pd.DataFrame | None:
    return pd.read_parquet(folder / name, engine="pyarrow") if name in manifest["files"] else None


def _mapped(path: Path) -> NDArray[np.float32]:
    """The array on disk, read page by page as it is used."""
    found: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def _hierarchy(folder: Path, manifest: dict[str, Any]) -> Hierarchy:
    leaves = pd.read_parquet(folder / "leaves.parquet", engine="pyarrow")
    return Hierarchy(leaves, tuple(tuple(level) for level in manifest["levels"]))


def _day(value: np.datetime64) -> date:
    return date.fromisoformat(str(value.astype("datetime64[D]")))
