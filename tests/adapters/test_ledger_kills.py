"""An ingestion that is killed and run again leaves the ledger that it would have left undisturbed; `benchmarks` does this 200 times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.ingestion_kills import STAGES, measure, prefixes_of, whole_deliveries, written
from forecast.adapters.ledger_commit import commit

KILLS, LINES, STEPS = 8, 300, 3


def test_killed_ingestion_run_again_is_as_if_nothing_had_happened(tmp_path: Path) -> None:
    result = measure(tmp_path, KILLS, LINES, steps=STEPS, here=True)
    assert result["whole_deliveries_after_the_kill"] == result["identical_after_the_second_run"] == KILLS
    assert result["kills"] >= KILLS - 1, "the moments of the kills are not spread over the ingestion"
    assert set(result["killed_in_stage"]) <= set(STAGES)


def test_half_a_delivery_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The teeth of the check: a ledger that took in one month of two is none of the wholes."""
    written(tmp_path / "bills", LINES)
    prefixes = prefixes_of(tmp_path / "bills", tmp_path / "whole", 1)
    assert whole_deliveries(tmp_path / "whole", prefixes, 0)

    def half(place: Any, table: Any, files: Any, *others: Any) -> None:
        commit(place, table, files[:1], *others)

    monkeypatch.setattr("forecast.adapters.ledger_ingest.commit", half)
    prefixes_of(tmp_path / "bills", tmp_path / "half", 1)
    assert not whole_deliveries(tmp_path / "half", prefixes, 0)
