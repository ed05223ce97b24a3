"""The benchmark of scenarios runs, small; and what it recorded keeps its ceilings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.scenario_speed import CERTAIN, FINER, PERIOD, UNCERTAIN, make_snapshot
from forecast.workflows.whatif import whatif_answer

RECORD = Path(__file__).resolve().parents[2] / "benchmarks" / "scenario_speed.json"


@pytest.mark.parametrize("levers", [CERTAIN, UNCERTAIN, FINER], ids=["certain", "uncertain", "finer"])
def test_plans_of_the_benchmark_are_answered(levers: list[dict[str, object]]) -> None:
    answer = whatif_answer(make_snapshot(60, 50), {**PERIOD, "levers": levers})
    assert answer["delta"]["mean"] != 0.0
    assert answer["waterfall"]["sum"] == pytest.approx(answer["delta"]["mean"], rel=1e-9)


def test_record_keeps_its_ceilings() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert (record["leaves"], record["days"], record["paths"], record["levers"]) == (1000, 120, 1000, 5)
    assert record["peak_gibibytes"] <= 3.0
    for case in record["cases"].values():
        assert case["answer_without_waterfall"]["processor_seconds"] <= 1.0
        assert case["waterfall"]["processor_seconds"] <= 3.0
