"""The how-to pages of levers: their plans can be read, and they name every figure that a lever of these families gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from forecast.scenarios.plan import parse_plan

from .small_world import lowered

PAGES = [Path(__file__).resolve().parents[2] / "docs" / "how-to" / f"what-if-{name}.md" for name in ("tokens", "gpus", "commitments", "new-spend")]
AWS = {"scope": "provider=AWS"}
LEVERS: list[tuple[str, str, dict[str, Any]]] = [
    ("tokens", "move_share", {"scope": "ai_model=gpt-4o", "to": "ai_model=gpt-4o-mini", "share": 0.5}),
    ("tokens", "tokens_per_request", {"scope": "provider=OpenAI", "factor": 0.5}),
    ("tokens", "cache_hit_rate", {"scope": "provider=OpenAI", "to": 0.5}),
    ("tokens", "batch_share", {"scope": "provider=OpenAI", "to": 0.5}),
    ("gpus", "gpus", {"count": 1, "price_an_hour": 1}),
    ("gpus", "spot_share", {**AWS, "to": 0.5, "discount": 0.5}),
    ("gpus", "own_hardware", {**AWS, "purchase": 1e5, "months": 36, "kilowatts": 5, "price_a_kwh": 0.2}),
    ("commitments", "commit", {**AWS, "a_day": 100, "discount": 0.3}),
    ("commitments", "minimum_fee", {**AWS, "a_month": 1e5}),
    ("new-spend", "new_workload", {"like": "provider=OpenAI", "target": "team=maps"}),
    ("new-spend", "new_workload", {"users": 1, "requests_a_user_a_day": 1, "tokens_a_request": 1, "price_a_million": 1, "target": "team=maps"}),
    ("new-spend", "one_off", {"amount": 1}),
    ("new-spend", "licences", {"seats": 1, "price_a_month": 1}),
    ("new-spend", "people", {"count": 1, "cost_a_month": 1}),
    ("new-spend", "currency", {**AWS, "currency": "EUR", "factor": 1.1, "share": 1}),
]


@pytest.mark.parametrize(("page", "kind", "values"), LEVERS, ids=[f"{kind}-{number}" for number, (_, kind, _) in enumerate(LEVERS)])
def test_every_figure_of_a_lever_is_on_its_page(page: str, kind: str, values: dict[str, Any]) -> None:
    text = next(path for path in PAGES if path.stem == f"what-if-{page}").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+)`", text))
    assert kind in named
    assert set(lowered(kind, **values).figures) <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_plans_on_the_pages_are_plans(page: Path) -> None:
    plans = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert plans
    for plan in plans:
        assert parse_plan(plan).levers
