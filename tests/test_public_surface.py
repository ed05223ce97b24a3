"""The names that `import forecast` promises."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import forecast
from forecast import errors

HEAVY = ("numpy", "pandas", "sklearn", "statsmodels", "lightgbm", "mlflow", "bentoml", "duckdb", "deltalake", "sqlalchemy", "typer")
OF_THE_DESIGN = {"SpendForecaster", "SpendPaths", "SpikeDetector", "overrun_probability"}


def test_names_are_sorted_and_named_once() -> None:
    assert list(forecast.__all__) == sorted(set(forecast.__all__))


def test_every_name_has_a_home_and_every_home_is_public() -> None:
    assert set(forecast.__all__) == set(forecast._HOMES)
    assert dir(forecast) == forecast.__all__


def test_design_names_are_public() -> None:
    assert set(forecast.__all__) >= OF_THE_DESIGN


@pytest.mark.parametrize("name", forecast.__all__)
def test_public_name_loads_and_is_documented(name: str) -> None:
    found = getattr(forecast, name)
    assert inspect.isclass(found) or callable(found) or inspect.ismodule(found)
    assert (found.__doc__ or "").strip()


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'forecast_everything'"):
        _ = forecast.forecast_everything


def test_import_alone_loads_nothing_heavy() -> None:
    code = f"import sys, forecast; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_docstring_draws_the_whole_error_tree() -> None:
    classes = {name for name, found in vars(errors).items() if inspect.isclass(found) and issubclass(found, errors.ForecastError)}
    assert classes == set(re.findall(r"\b[A-Z]\w+Error\b", errors.__doc__ or "")) - {"ValueError"}
