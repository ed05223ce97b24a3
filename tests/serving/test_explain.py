"""POST /v1/explain: the same numbers as in process, in the documented shape; mistakes are problems that say what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forecast.config import load_settings
from forecast.serving.answers import ComparisonPeriod, Contribution, ExplainAnswer, ExplainedForecast, ExplainedMeter, ExplainRow
from forecast.serving.app import create_app
from forecast.serving.stores import Stores
from forecast.snapshot import Snapshot
from forecast.spend.periods import parse_period
from forecast.spend.scope import Scope
from forecast.workflows.explanation import explanation_answer
from forecast.workflows.leaf_changes import NAMES
from tests.serving.homes import TestClient, problem_of
from tests.workflows.planted import planted_home, planted_snapshot

PATH = "/v1/explain"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def explained() -> Iterator[TestClient]:
    stores = Stores(load_settings(home=planted_home()))
    with TestClient(create_app(stores)) as client:
        yield client
    stores.close()


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return planted_snapshot()


def test_the_answer_is_that_of_the_workflow_in_the_documented_shape(explained: TestClient, snapshot: Snapshot) -> None:
    body = {"scope": {"stage": ["prod"]}, "period": "2026-11", "compare": "2026-09", "group_by": ["team"]}
    response = explained.post(PATH, json=body)
    assert response.status_code == 200, response.text
    expected = explanation_answer(
        snapshot, scope=Scope.parse("stage=prod"), period=parse_period("2026-11"), comparison=parse_period("2026-09"), group_by=("team",)
    )
    assert response.json() == expected
    answer = ExplainAnswer.model_validate_json(response.content)
    assert sum(part.money for part in answer.contributions) == pytest.approx(answer.change, rel=1e-6)
    assert answer.change == pytest.approx(answer.forecast.mean - answer.comparison.total)
    assert not answer.model_extra or set(answer.model_extra) == {"warnings"}


def test_every_field_and_contribution_is_documented() -> None:
    page, guide = (ROOT / "docs/reference/explanation.md", ROOT / "docs/how-to/explain.md")
    models = (ExplainAnswer, ComparisonPeriod, ExplainedForecast, ExplainedMeter, ExplainRow, Contribution)
    fields = {name for model in models for name in model.model_fields} - {"quantiles"} | {"warnings"}
    assert not [name for name in sorted(fields) if f"`{name}`" not in page.read_text(encoding="utf-8")]
    assert not [name for name in NAMES if f"`{name}`" not in page.read_text(encoding="utf-8")]
    assert not [name for name in NAMES if f"`{name}`" not in guide.read_text(encoding="utf-8")]


@pytest.mark.parametrize(
    "body",
    [
        {"period": "2026-11", "compare": "2026-10"},
        {"start": "2026-11-01", "end": "2026-12-01"},
        {"period": "2026-11", "compare_start": "2026-10-01", "compare_end": "2026-11-01"},
        {"period": "2026-11", "scope": {}, "group_by": []},
    ],
)
def test_one_question_said_in_several_ways_has_one_answer(explained: TestClient, body: dict[str, Any]) -> None:
    assert explained.post(PATH, json=body).json() == explained.post(PATH, json={"period": "2026-11"}).json()


@pytest.mark.parametrize(
    ("body", "status", "field", "told"),
    [
        ({"period": "2035-Q1"}, 422, "end", "horizon"),
        ({"period": "2026-11", "scope": "team=busyer"}, 404, "scope", "busier"),
        ({"period": "2026-11", "scope": "region=eu"}, 400, "scope", "finer than a leaf"),
        ({"period": "2026-11", "group_by": ["ai_model"]}, 400, "group_by", "finer than a leaf"),
        ({"period": "2026-06"}, 400, "compare_start", "2026-06-01"),
        ({"period": "2026-11", "compare": "September"}, 400, "compare", "September"),
        ({"period": "2026-11", "compare_start": "2026-09-01"}, 400, "compare_end", "missing"),
        ({"period": "2026-11", "compare": "2026-09", "compare_end": "2026-10-01"}, 400, "compare", "twice"),
        ({}, 400, "start", "missing"),
        ({"period": "2026-11", "quantiles": [0.5]}, 422, "quantiles", "quantiles"),
    ],
)
def test_a_mistake_is_a_problem_that_names_the_field(explained: TestClient, body: dict[str, Any], status: int, field: str, told: str) -> None:
    problem = problem_of(explained.post(PATH, json=body))
    assert told in str(problem)
    assert problem["errors"][0]["field"] == field
    assert problem["status"] == status
