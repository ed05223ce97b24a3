"""Snapshots on disk: same content, same id and bytes; complete or not there; what was pruned says so."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.adapters.snapshots import SnapshotStore
from forecast.errors import ArtifactError, InputError, NotFoundError
from forecast.snapshot import QUANTILES, Snapshot
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from tests.oracles import metrics as slow
from tests.snapshots_for_tests import make_snapshot

NOON = datetime(2026, 12, 11, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def draft() -> Snapshot:
    return make_snapshot(n_paths=40, months=6)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "snapshots")


def variant(draft: Snapshot, seed: int) -> Snapshot:
    """Another snapshot that costs nothing to make."""
    return dataclasses.replace(draft, meta={**draft.meta, "seed": seed})


def test_what_is_written_is_what_is_read(store: SnapshotStore, draft: Snapshot) -> None:
    read = store.open(store.write(draft).id)
    for name in ("leaf_paths", "node_paths", "node_quantiles", "node_means", "leaf_history", "starts", "ends", "history_ds"):
        written, found = getattr(draft, name), getattr(read, name)
        assert found.dtype == written.dtype, name
        np.testing.assert_array_equal(found, written, err_msg=name)
    for name in ("cutoff", "cost", "currency", "meta", "backtest"):
        assert getattr(read, name) == getattr(draft, name), name
    assert read.hierarchy.node_ids == draft.hierarchy.node_ids
    assert read.hierarchy.leaf_ids == draft.hierarchy.leaf_ids
    pd.testing.assert_frame_equal(read.recent.astype({"ds": "datetime64[s]"}), draft.recent.astype({"ds": "datetime64[s]"}))
    assert set(read.detector) == set(draft.detector)
    for name, array in draft.detector.items():
        np.testing.assert_array_equal(read.detector[name], array)
    np.testing.assert_array_equal(read.scope_paths(Scope.parse("team=search")), draft.scope_paths(Scope.parse("team=search")))


def test_paths_are_mapped_and_one_path_row_is_contiguous(store: SnapshotStore, draft: Snapshot) -> None:
    read = store.write(draft)
    assert isinstance(read.node_paths, np.memmap)
    assert isinstance(read.leaf_paths, np.memmap)
    assert read.node_paths[0].flags.c_contiguous
    assert not read.node_paths.flags.writeable


def test_same_content_has_the_same_id_and_the_same_bytes(tmp_path: Path) -> None:
    folders = []
    for number in range(2):
        store = SnapshotStore(tmp_path / str(number))
        written = store.write(make_snapshot(n_paths=20, months=5), created_at=NOON + timedelta(days=number))
        folders.append(store.folder / written.id)
    assert folders[0].name == folders[1].name
    for path in folders[0].iterdir():
        if path.name != "manifest.json":
            assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name


def test_other_content_has_another_id(store: SnapshotStore, draft: Snapshot) -> None:
    changed = draft.leaf_history.copy()
    changed[0, 0] += 1e-6
    ids = {store.write(one).id for one in (draft, variant(draft, 1), dataclasses.replace(draft, leaf_history=changed))}
    assert len(ids) == 3


def test_second_write_of_one_snapshot_changes_nothing(store: SnapshotStore, draft: Snapshot) -> None:
    first = store.write(draft, created_at=NOON)
    before = {path.name: path.stat().st_mtime_ns for path in (store.folder / first.id).iterdir()}
    assert store.write(draft, created_at=NOON + timedelta(days=9)).id == first.id
    assert {path.name: path.stat().st_mtime_ns for path in (store.folder / first.id).iterdir()} == before
    assert [path.name for path in store.folder.iterdir()] == [first.id]


def test_a_write_that_fails_leaves_nothing_behind(store: SnapshotStore, draft: Snapshot) -> None:
    with pytest.raises(ValueError, match="pickle"):
        store.write(dataclasses.replace(draft, detector={"code": np.array([object()], dtype=object)}))
    with pytest.raises(ValueError, match="JSON"):
        store.write(dataclasses.replace(draft, meta={"loss": float("nan")}))
    assert list(store.folder.iterdir()) == []
    assert store.ids() == []


def test_a_prefix_of_eight_characters_opens_the_only_snapshot_that_has_it(store: SnapshotStore, draft: Snapshot) -> None:
    written = store.write(draft)
    assert store.open(written.id[:8]).id == written.id
    with pytest.raises(InputError, match="too short"):
        store.open(written.id[:7])
    with pytest.raises(NotFoundError, match="No snapshot"):
        store.open("0123456789")
    twin = store.folder / (written.id[:8] + "0" * 56)
    twin.mkdir()
    with pytest.raises(NotFoundError, match="More than one"):
        store.open(written.id[:8])
    assert store.ids() == [written.id]  # a folder without a manifest is no snapshot


@pytest.mark.parametrize("name", ["../../../etc/passwd", "manifest.json", "/etc/hostname-of-it", "........", "*" * 64])
def test_an_id_cannot_lead_out_of_the_folder(store: SnapshotStore, draft: Snapshot, name: str) -> None:
    store.write(draft)
    with pytest.raises(NotFoundError):
        store.open(name)


def test_nothing_was_ever_written(store: SnapshotStore) -> None:
    assert store.ids() == []
    assert store.prune() == []
    with pytest.raises(NotFoundError):
        store.open("0" * 64)


@pytest.mark.parametrize("name", ["leaves.parquet", "detector.npz", "backtest.json", "node_means.npy", "recent.parquet", "leaf_history.npy"])
def test_a_changed_byte_of_a_small_file_is_seen_at_opening(store: SnapshotStore, draft: Snapshot, name: str) -> None:
    written = store.write(draft)
    flip(store.folder / written.id / name)
    with pytest.raises(ArtifactError, match=rf"{name} does not match its digest"):
        store.open(written.id)


def test_a_changed_byte_of_the_paths_is_seen_by_verify(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    written = store.write(make_snapshot(n_paths=300))
    store.verify(written.id)
    path = store.folder / written.id / "node_paths.npy"
    assert path.stat().st_size > 4 * 1024 * 1024
    flip(path)
    store.open(written.id)  # too large to be read at every opening
    with pytest.raises(ArtifactError, match=r"node_paths\.npy does not match its digest"):
        store.verify(written.id)


def test_a_file_that_is_cut_off_or_missing_is_seen_at_opening(store: SnapshotStore, draft: Snapshot) -> None:
    written = store.write(draft)
    path = store.folder / written.id / "leaf_paths.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ArtifactError, match=r"leaf_paths\.npy has \d+ bytes, the manifest says"):
        store.open(written.id)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"leaf_paths\.npy is missing"):
        store.open(written.id)


def test_another_format_is_refused_in_words(store: SnapshotStore, draft: Snapshot) -> None:
    written = store.write(draft)
    path = store.folder / written.id / "manifest.json"
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(ArtifactError, match="has format 99; this program reads format 1"):
        store.open(written.id)
    path.write_text("{")
    with pytest.raises(ArtifactError, match="cannot be read"):
        store.open(written.id)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"has no manifest\.json"):
        store.open(written.id)


def test_a_changed_manifest_is_seen_by_verify(store: SnapshotStore, draft: Snapshot) -> None:
    written = store.write(draft)
    path = store.folder / written.id / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"USD"', b'"EUR"'))
    with pytest.raises(ArtifactError, match="the manifest does not match the id"):
        store.verify(written.id)


def test_pruning_gives_up_old_paths_and_keeps_quantiles_and_totals(store: SnapshotStore, draft: Snapshot) -> None:
    ids = [store.write(variant(draft, number), created_at=NOON + timedelta(hours=number)).id for number in range(6)]
    assert store.ids() == ids
    totals, size = store.totals(ids[0]), store.size(ids[0])
    reader = store.open(ids[1])
    assert store.prune(keep=3, keep_ids=[ids[2]]) == ids[:2]
    assert store.prune(keep=3, keep_ids=[ids[2]]) == []
    assert store.ids() == ids
    assert store.size(ids[0]) < size - draft.node_paths.nbytes - draft.leaf_paths.nbytes
    old = store.open(ids[0])
    assert old.n_paths == draft.n_paths
    np.testing.assert_array_equal(old.node_quantiles, draft.node_quantiles)
    pd.testing.assert_frame_equal(store.totals(ids[0]), totals)
    store.verify(ids[0])
    for read in (lambda: old.scope_paths(Scope()), lambda: old.leaf_paths[0], lambda: np.asarray(old.node_paths)):
        with pytest.raises(NotFoundError, match="no longer has its paths"):
            read()
    assert float(reader.node_paths[0].sum()) > 0  # mapped before: still there
    assert float(store.open(ids[2]).node_paths[0].sum()) > 0


def test_pruning_fewer_snapshots_than_are_kept_does_nothing(store: SnapshotStore, draft: Snapshot) -> None:
    for number in range(2):
        store.write(variant(draft, number), created_at=NOON + timedelta(hours=number))
    assert store.prune(keep=3) == []
    assert len(store.prune(keep=0)) == 2


def test_the_same_run_once_more_gives_pruned_paths_back(store: SnapshotStore, draft: Snapshot) -> None:
    written = store.write(draft)
    assert store.prune(keep=0) == [written.id]
    np.testing.assert_array_equal(store.write(draft).node_paths, draft.node_paths)
    store.verify(written.id)


def test_totals_are_those_of_the_paths(store: SnapshotStore, draft: Snapshot) -> None:
    totals = store.totals(store.write(draft).id)
    node = draft.hierarchy.node_ids.index("team=search")
    for row in totals[totals["node"] == "team=search"].to_dict("records"):
        weights = draft.future_weights(Period(row["start"].date(), row["end"].date()))
        samples = [float(sum(weights[step] * float(draft.node_paths[node, step, path]) for step in np.flatnonzero(weights))) for path in range(40)]
        assert row["mean"] == pytest.approx(sum(samples) / 40, rel=1e-5)
        for level in (0.1, 0.5, 0.9):
            assert row[f"q{level:g}"] == pytest.approx(slow.quantile(samples, level), rel=1e-5)
    assert {"q" + f"{level:g}" for level in QUANTILES} <= set(totals.columns)
    assert totals["start"].min() == pd.Timestamp(draft.cutoff) + pd.Timedelta(days=1)


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
