"""Fitted forecasters on disk: they come back as they went, and what was changed is refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecast.adapters.artifacts import FORECASTERS, ArtifactStore, forecaster_class, load_forecaster, read_state, write_state
from forecast.errors import ArtifactError, NotFoundError
from tests.evaluation.tiny import WeekdayBootstrap, make_panel

CLASSES = {"WeekdayBootstrap": WeekdayBootstrap}


@pytest.fixture
def fitted() -> WeekdayBootstrap:
    return WeekdayBootstrap(weeks=6).fit(make_panel(n_leaves=3, days=60)[0])


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "models")


def test_a_loaded_forecaster_simulates_the_same_bytes(store: ArtifactStore, fitted: WeekdayBootstrap) -> None:
    digest = store.save(fitted, {"cutoff": "2026-10-31"})
    again = store.load(digest, CLASSES)
    assert isinstance(again, WeekdayBootstrap)
    assert again.get_params() == fitted.get_params()
    assert again.simulate(30, 50, 4).values.tobytes() == fitted.simulate(30, 50, 4).values.tobytes()


def test_same_state_has_the_same_digest_and_is_written_once(store: ArtifactStore, fitted: WeekdayBootstrap) -> None:
    first = store.save(fitted, {"cutoff": "2026-10-31"})
    assert store.save(fitted, {"cutoff": "2026-10-31"}) == first
    assert store.save(fitted, {"cutoff": "2026-11-01"}) != first
    assert len(list(store.folder.iterdir())) == 2


STATE: dict[str, Any] = {
    "params": {"freq": "D", "members": ["a", "b"], "nothing": None, "yes": True, "third": 1 / 3, "large": 2**60},
    "odd": {"nan": float("nan"), "endless": [float("inf"), -float("inf")], "": "empty key", "empty": {}, "none": []},
    "arrays": [np.arange(6, dtype=np.int32).reshape(2, 3), {"deep": np.array(["a|b", "ü"]), "time": np.array(["2026-01-01"], dtype="datetime64[D]")}],
    "model": "tree\nversion=v4\n" * 500,
}


def test_a_nested_state_of_plain_data_comes_back_as_it_went(tmp_path: Path) -> None:
    write_state(tmp_path, STATE, "Any", {})
    _, again = read_state(tmp_path)
    assert again["params"] == STATE["params"]
    assert list(again) == list(STATE)  # the order of keys is kept
    assert isinstance(again["params"]["yes"], bool)
    assert np.isnan(again["odd"]["nan"])
    assert {**again["odd"], "nan": 0} == {**STATE["odd"], "nan": 0}
    assert again["model"] == STATE["model"]
    first, second = again["arrays"]
    assert first.dtype == np.int32
    np.testing.assert_array_equal(first, STATE["arrays"][0])
    for name in ("deep", "time"):
        np.testing.assert_array_equal(second[name], STATE["arrays"][1][name])
    assert [path.name for path in tmp_path.glob("*.txt")] == ["t0.txt"]


def test_numpy_scalars_and_tuples_become_plain_data(tmp_path: Path) -> None:
    write_state(tmp_path, {"n": np.int64(3), "x": np.float32(0.5), "t": (1, 2)}, "Any", {})
    assert read_state(tmp_path)[1] == {"n": 3, "x": 0.5, "t": [1, 2]}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"b": [1, object()]}}, r"state\.a\.b\[1\] is a object"),
        ({"a": lambda: 1}, r"state\.a is a function"),
        ({"a": np.array([object()], dtype=object)}, "array of object"),
        ({1: "a"}, "has the key 1"),
        ({"$array": "a0"}, r"has the key '\$array'"),
        ({"a": {1, 2}}, "is a set"),
    ],
)
def test_what_is_not_data_is_refused_with_its_place(tmp_path: Path, state: dict[Any, Any], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        write_state(tmp_path, state, "Any", {})


class _Unsavable(WeekdayBootstrap):
    def state(self) -> dict[str, Any]:
        return {"code": print}


def test_a_state_that_cannot_be_saved_leaves_nothing_behind(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactError):
        store.save(_Unsavable())
    assert list(store.folder.iterdir()) == []


@pytest.mark.parametrize("name", ["state.json", "arrays.npz", "t0.txt"])
def test_a_changed_file_is_refused(store: ArtifactStore, fitted: WeekdayBootstrap, name: str) -> None:
    folder = store.path(store.save(fitted))
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=f"{name} does not match its digest"):
        store.load(folder.name, CLASSES)


def test_a_changed_manifest_or_another_format_is_refused(store: ArtifactStore, fitted: WeekdayBootstrap) -> None:
    folder = store.path(store.save(fitted))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "forecaster": "Other"}))
    with pytest.raises(ArtifactError, match="does not match the digest"):
        store.load(folder.name, CLASSES)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(ArtifactError, match="has format 2"):
        store.load(folder.name, CLASSES)


def test_a_class_that_is_not_known_is_never_imported(store: ArtifactStore, fitted: WeekdayBootstrap) -> None:
    digest = store.save(fitted)
    with pytest.raises(ArtifactError, match="holds a 'WeekdayBootstrap'; known are SeasonalNaive"):
        store.load(digest, {"SeasonalNaive": WeekdayBootstrap})
    with pytest.raises(ArtifactError, match="does not make a WeekdayBootstrap"):
        store.load(digest)
    with pytest.raises(NotFoundError, match="No forecaster class is called 'os'"):
        forecaster_class("os")


@pytest.mark.parametrize("digest", ["", "..", "0" * 64, "../models"])
def test_a_digest_that_is_not_one_is_refused(store: ArtifactStore, fitted: WeekdayBootstrap, digest: str) -> None:
    store.save(fitted)
    with pytest.raises(NotFoundError):
        store.load(digest, CLASSES)


def test_an_array_file_with_a_pickle_in_it_is_refused(tmp_path: Path, fitted: WeekdayBootstrap) -> None:
    """Even with digests that match: the reader never unpickles."""
    write_state(tmp_path, fitted.state(), "WeekdayBootstrap", {})
    np.savez(tmp_path / "arrays.npz", a0=np.array([{"a": 1}], dtype=object))
    assert zipfile.is_zipfile(tmp_path / "arrays.npz")
    from forecast.adapters.folders import MANIFEST, describe_files

    manifest = json.loads((tmp_path / MANIFEST).read_bytes())
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "files": describe_files(tmp_path)}))
    with pytest.raises(ArtifactError, match="allow_pickle=False"):
        load_forecaster(tmp_path, CLASSES)


@pytest.mark.parametrize("name", sorted(FORECASTERS))
def test_every_shipped_forecaster_comes_back_and_simulates_the_same_bytes(name: str, store: ArtifactStore) -> None:
    panel, hierarchy = make_panel(n_leaves=3, days=300)
    fitted = forecaster_class(name)().fit(panel, hierarchy)
    again = store.load(store.save(fitted))
    assert again.simulate(20, 40, 5).values.tobytes() == fitted.simulate(20, 40, 5).values.tobytes()
