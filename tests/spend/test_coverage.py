"""The share of money that says whose it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from forecast.errors import SchemaError
from forecast.spend.coverage import AiSummary, LeftOut, tag_coverage
from forecast.spend.dimensions import DIMENSIONS, UNKNOWN


def frame(**columns: Sequence[object]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_coverage_is_the_share_of_money_with_a_value() -> None:
    found = tag_coverage(frame(team=["ads", UNKNOWN, None, "", "maps"], stage=["prod"] * 5, cost=[50.0, 20.0, 5.0, 5.0, 20.0]), ("team", "stage"))
    assert list(found.columns) == ["dimension", "known", "unknown", "coverage"]
    assert found.to_numpy().tolist() == [["team", 70.0, 30.0, 0.7], ["stage", 100.0, 0.0, 1.0]]


def test_credit_without_a_team_lowers_coverage_and_never_lifts_it_above_one() -> None:
    found = tag_coverage(frame(team=["ads", UNKNOWN], cost=[90.0, -10.0]), ("team",))
    assert found["known"].item() == 90.0
    assert found["unknown"].item() == -10.0
    assert found["coverage"].item() == pytest.approx(0.9)


def test_coverage_of_no_money_is_not_a_number() -> None:
    assert np.isnan(tag_coverage(frame(team=["ads"], cost=[0.0]), ("team",))["coverage"].item())
    assert np.isnan(tag_coverage(frame(team=[], cost=[]), ("team",))["coverage"].item())


def test_all_dimensions_are_covered_unless_some_are_named() -> None:
    everything = frame(**{name: ["x"] for name in DIMENSIONS}, cost=[1.0])
    assert tag_coverage(everything)["dimension"].tolist() == list(DIMENSIONS)


def test_missing_column_is_named() -> None:
    with pytest.raises(SchemaError, match="lacks the column 'squad'"):
        tag_coverage(frame(team=["a"], cost=[1.0]), ("team", "squad"))


def test_summary_is_plain_data_for_json() -> None:
    line = LeftOut("AWS", "Storage", "sku", None, 3, Decimal("1.5"), Decimal(2))
    summary = AiSummary(4, 1, Decimal(3), Decimal("1.5"), Decimal(4), Decimal(2), 0.5, None, {"gpus": Decimal("1.5")}, (line,))
    plain = json.loads(json.dumps(summary.as_dict()))
    assert plain["left_out"] == [
        {"provider": "AWS", "service": "Storage", "sku": "sku", "description": None, "rows": 3, "effective_cost": 1.5, "billed_cost": 2.0}
    ]
    assert (plain["ai_effective_cost"], plain["effective_share"], plain["billed_share"], plain["by_rule"]) == (1.5, 0.5, None, {"gpus": 1.5})
