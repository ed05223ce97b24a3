"""A fitted forecaster on disk: its `state()` as a content-addressed folder of data. No pickle: an artifact is data, not code.

<folder>/<digest>/manifest.json   format, class name, facts, and size and digest of every file; the name is the digest of this
                  state.json      the state's shape, with `{"$array": "a3"}` and `{"$text": "t0.txt"}` in place of what is large
                  arrays.npz      the arrays (allow_pickle=False)
                  t0.txt …        long texts, such as LightGBM models
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from forecast.adapters.folders import MANIFEST, canonical, check_files, describe_files, digest_of, read_manifest, settle, written_aside
from forecast.errors import ArtifactError, NotFoundError

FORMAT = 1
LONG_TEXT = 4096
"""Texts from this length, or with line ends, become files of their own, so that they can be read and compared."""

FORECASTERS: dict[str, str] = {
    "SeasonalNaive": "forecast.forecasters.baselines",
    "RunRate": "forecast.forecasters.baselines",
    "RecentLevel": "forecast.forecasters.recent_level",
    "FittedLevel": "forecast.forecasters.fitted_level",
    "Intermittent": "forecast.forecasters.intermittent",
    "Autoregression": "forecast.forecasters.autoregression",
    "PriorForecaster": "forecast.forecasters.analogs",
    "StructuralForecaster": "forecast.forecasters.structural",
    "BoostingForecaster": "forecast.forecasters.boosting",
    "SpendForecaster": "forecast.forecasters.combination",
    "ReconciledForecaster": "forecast.forecasters.reconciliation",
    "DrivenForecaster": "forecast.forecasters.driven",
}
"""Class names that an artifact or a spec may hold, and their modules: a closed list, so that no data decides what is imported."""


class StatefulForecaster(Protocol):
    """What an artifact needs of a forecaster."""

    def state(self) -> dict[str, Any]: ...


def forecaster_class(name: str) -> Any:
    """The forecaster class of this name; NotFoundError where it is not one of ours."""
    if name not in FORECASTERS:
        raise NotFoundError(
            f"No forecaster class is called {name!r}; there are {', '.join(FORECASTERS)}",
            field="forecaster",
            got=name,
            allowed=", ".join(FORECASTERS),
        )
    return getattr(import_module(FORECASTERS[name]), name)


class ArtifactStore:
    """Fitted forecasters in a folder, each under the digest of its content."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def save(self, forecaster: StatefulForecaster, facts: Mapping[str, Any] | None = None) -> str:
        """Write a fitted forecaster; returns its digest. Equal states and facts have one digest and are written once.

        facts : plain data about it (cutoff, data digest, …). Raises ArtifactError for a state that holds anything but data.
        """
        with written_aside(self.folder) as aside:
            manifest = write_state(aside, forecaster.state(), type(forecaster).__name__, facts or {})
            digest = digest_of(manifest)
            settle(aside, self.folder / digest)
        return digest

    def path(self, digest: str) -> Path:
        """The folder of an artifact; NotFoundError where there is none."""
        found = self.folder / digest
        if not digest.isalnum() or not found.is_dir():
            raise NotFoundError(f"No artifact has the digest {digest!r}", field="digest", got=digest, allowed="a digest of a registered model")
        return found

    def load(self, digest: str, classes: Mapping[str, Any] | None = None) -> Any:
        """The forecaster as it was saved; see `load_forecaster`."""
        folder = self.path(digest)
        if digest_of(read_manifest(folder, "artifact", FORMAT)) != digest:
            raise ArtifactError(f"artifact {digest}: the manifest does not match the digest")
        return load_forecaster(folder, classes)


def load_forecaster(folder: Path, classes: Mapping[str, Any] | None = None) -> Any:
    """A forecaster from an artifact folder, wherever it lies. classes : class by name, default the package's own.

    Raises ArtifactError for another format, a missing or changed file, a class that is not known, or a state that the class refuses.
    """
    manifest, state = read_state(folder)
    name = str(manifest.get("forecaster"))
    if classes is not None and name not in classes:
        raise ArtifactError(f"artifact {folder.name} holds a {name!r}; known are {', '.join(classes)}")
    try:
        kind = classes[name] if classes is not None else forecaster_class(name)
        return kind.from_state(state)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"artifact {folder.name} does not make a {name}: {error!r}") from error


def write_state(folder: Path, state: Mapping[str, Any], forecaster: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write a state into an empty folder, manifest included; returns the manifest."""
    arrays: dict[str, NDArray[Any]] = {}
    texts: dict[str, str] = {}
    shape = _encode(state, "state", arrays, texts)
    # Not sorted: a state may mean something by the order of its keys (members and their weights).
    (folder / "state.json").write_text(json.dumps(shape, allow_nan=False, ensure_ascii=False, indent=1), encoding="utf-8")
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    manifest = {"format": FORMAT, "forecaster": forecaster, "facts": _encode(facts, "facts", None, None), "files": describe_files(folder)}
    (folder / MANIFEST).write_bytes(canonical(manifest))
    return manifest


def read_state(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Manifest and state of an artifact folder, every file checked against its digest first."""
    manifest = read_manifest(folder, "artifact", FORMAT)
    check_files(folder, manifest["files"], "artifact")
    try:
        with np.load(folder / "arrays.npz", allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        texts = {name: (folder / name).read_bytes().decode() for name in manifest["files"] if name.endswith(".txt")}
        state = _decode(json.loads((folder / "state.json").read_bytes()), arrays, texts)
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"artifact {folder.name} cannot be read: {error}") from error
    return manifest, state


def _encode(value: Any, where: str, arrays: dict[str, NDArray[Any]] | None, texts: dict[str, str] | None) -> Any:
    """Plain JSON data; what is large goes into `arrays` and `texts` (None: not allowed here)."""
    if isinstance(value, np.ndarray):
        if arrays is None or value.dtype.hasobject:
            raise ArtifactError(f"{where} is an array of {value.dtype}, which an artifact cannot hold")
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"$array": name}
    if isinstance(value, np.generic):
        return _encode(value.item(), where, arrays, texts)
    if isinstance(value, str) and texts is not None and (len(value) >= LONG_TEXT or "\n" in value):
        name = f"t{len(texts)}.txt"
        texts[name] = value
        return {"$text": name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_encode(item, f"{where}[{number}]", arrays, texts) for number, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key.startswith("$"):
                raise ArtifactError(f"{where} has the key {key!r}; allowed are texts that do not begin with '$'")
        return {key: _encode(item, f"{where}.{key}", arrays, texts) for key, item in value.items()}
    raise ArtifactError(f"{where} is a {type(value).__name__}; an artifact holds numbers, texts, arrays, lists and mappings of them only")


def _decode(value: Any, arrays: Mapping[str, NDArray[Any]], texts: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays, texts) for item in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return arrays[value["$array"]]
    if "$text" in value:
        return texts[value["$text"]]
    if "$float" in value:
        return float(value["$float"])
    return {key: _decode(item, arrays, texts) for key, item in value.items()}
