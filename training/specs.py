"""Specs: which forecaster with which parameters, as a small TOML file, and the default that needs no file.

    [forecaster]
    class = "SpendForecaster"
    [forecaster.params]
    freq = "D"

`models/champion.toml` of a checkout names the spec that an empty home trains; a wheel has no `models/` and trains the default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

from forecast.adapters.artifacts import forecaster_class
from forecast.errors import ConfigError

MODELS = Path(__file__).resolve().parents[1] / "models"
DEFAULT_NAME = "spend"
DEFAULT_CLASS = "SpendForecaster"


@dataclass(frozen=True)
class Spec:
    """name : of the registered model. forecaster : class name. params : arguments of its constructor, the others keep their defaults."""

    name: str = DEFAULT_NAME
    forecaster: str = DEFAULT_CLASS
    params: Mapping[str, Any] = field(default_factory=dict)

    def build(self, threads: int = 1) -> Any:
        """An unfitted forecaster. threads : given to one that takes them; results do not depend on it. ConfigError for a wrong parameter."""
        kind = forecaster_class(self.forecaster)
        known = signature(kind).parameters
        unknown = sorted(set(self.params) - set(known))
        if unknown:
            raise ConfigError(f"Spec {self.name}: {self.forecaster} has no parameter {unknown[0]!r}; it has {', '.join(known)}")
        return kind(**{**({"threads": threads} if "threads" in known else {}), **self.params})

    def describe(self) -> dict[str, Any]:
        """Plain data: name, forecaster, and all parameters with their values (threads aside)."""
        params = self.build().get_params(deep=False)
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in params.items() if name != "threads"}
        return {"name": self.name, "forecaster": self.forecaster, "params": dict(sorted(plain.items()))}


def load_spec(name: str | None = None, models: Path = MODELS) -> Spec:
    """The spec `models/<name>/spec.toml`; without a name the one that champion.toml names, else the default.

    Raises ConfigError for a file that is not a spec, or a name without one.
    """
    if name is None:
        champion = models / "champion.toml"
        if not champion.is_file():
            return Spec()
        name = str(_read(champion).get("spec", DEFAULT_NAME))
    path = models / name / "spec.toml"
    if not path.is_file():
        if name == DEFAULT_NAME:
            return Spec()
        known = sorted(found.parent.name for found in models.glob("*/spec.toml"))
        raise ConfigError(f"No spec is called {name!r}; there are {', '.join(known) or 'none'} and the default {DEFAULT_NAME!r}")
    forecaster = _read(path).get("forecaster")
    if not isinstance(forecaster, dict) or not isinstance(forecaster.get("class"), str) or not isinstance(forecaster.get("params", {}), dict):
        raise ConfigError(f'Spec {path} needs [forecaster] with class = "…" and [forecaster.params]')
    return Spec(name, forecaster["class"], forecaster.get("params", {}))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
