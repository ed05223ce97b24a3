"""Made-up incidents and their events; `python -m tests.alerts.examples` writes the golden files of the payload shapes anew."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from forecast.alerts.feedback import applied, feedback_on
from forecast.alerts.incident import Detection, Event
from forecast.alerts.life_cycle import acknowledge, continued, opened, resolve, settle
from forecast.alerts.origin import Origin
from forecast.alerts.payloads import SHAPES, render
from forecast.alerts.spans import Part

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "alerts"
ORIGIN = Origin(
    source="urn:ai-spend-forecast:acme",
    address="https://spend.acme.example/",
    account="acme",
    monitor="acme-ai-spend",
    receiver="finops",
    routing_key="R0UT1NGKEY",
)
MONDAY = datetime(2027, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def days(first: int, costs: list[tuple[float, float]]) -> tuple[Part, ...]:
    """Parts of one day each, `first` days after Monday; (actual, expected) each."""
    return tuple(Part(MONDAY + (first + place) * DAY, MONDAY + (first + place + 1) * DAY, *cost) for place, cost in enumerate(costs))


def runaway(first: int = 0, costs: list[tuple[float, float]] | None = None, **changes: Any) -> Detection:
    """An agent that loops: two days at five times the usual cost."""
    fields: dict[str, Any] = {
        "kind": "spike",
        "direction": "up",
        "scope": {"team": "search", "service": "Vertex AI"},
        "parts": days(first, costs or [(500.0, 100.0), (620.5, 110.25)]),
        "p_value": 0.00002,
        "currency": "USD",
        "root_causes": (
            {
                "scope": {"ai_model": "lynx-large", "meter": "output tokens"},
                "impact": 860.0,
                "share": 0.9,
                "price": 10.0,
                "volume": 850.0,
                "mix": 0.0,
            },
            {"scope": {}, "impact": 50.25, "share": 0.1, "price": None, "volume": None, "mix": None, "rest": True},
        ),
        "sentence": "service=Vertex AI, team=search cost 1,120.50 USD from 2027-03-01 to 2027-03-02, 910.25 above the expected 210.25 USD (433%).",
    }
    return Detection(**{**fields, **changes})


def new_key(**changes: Any) -> Detection:
    """Spend where there was none, seen hour by hour, in a scope that no label of Prometheus can be called as."""
    hour = timedelta(hours=1)
    parts = tuple(Part(MONDAY + number * hour, MONDAY + (number + 1) * hour, 40.0 + number, 0.0) for number in (13, 14))
    fields: dict[str, Any] = {
        "kind": "new_spend",
        "direction": "up",
        "scope": {"provider": "Nimbus", "kind": "nightly", "team!": "ads|search", "cost-center": "7"},
        "parts": parts,
        "p_value": 0.001,
        "currency": "EUR",
    }
    return Detection(**{**fields, **changes})


def example_events() -> dict[str, Event]:
    """One event of each sort, by name."""
    seen = MONDAY + 2 * DAY + timedelta(hours=6, minutes=30)
    first = opened(runaway(), now=seen)
    grown = continued(first, runaway(2, [(2400.0, 105.0)], p_value=0.0000001, sentence=""), now=seen + DAY)
    looked_at = acknowledge(grown, now=seen + DAY + timedelta(minutes=5), by="özge@acme.example", why="looking")
    over = resolve(looked_at, now=seen + DAY + timedelta(hours=1), by="özge@acme.example", why="the agent was stopped")
    planned = feedback_on(over, "planned", number=7, now=seen + 2 * DAY, by="özge@acme.example", reason="load test", days=14)
    calm = settle(opened(new_key(), now=seen), scored_through=MONDAY + 4 * DAY, now=seen + 3 * DAY)
    drop = opened(
        Detection("drop", "down", {}, days(0, [(20.0, 800.0)]), 0.0004, "USD", ({"scope": {"region": "eu-north"}, "impact": -700.0, "share": 0.9},)),
        now=seen,
    )
    return {
        "opened": Event(first, 0),
        "grew": Event(grown, 1),
        "acknowledged": Event(looked_at, 2),
        "resolved": Event(applied(over, [planned]), 3),
        "settled": Event(calm, 1),
        "company-drop": Event(drop, 0),
    }


def golden_text(event: Event) -> str:
    """All shapes of an event, as its golden file has them."""
    return json.dumps({shape: render(event, ORIGIN, shape) for shape in SHAPES}, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def write() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, event in example_events().items():
        (GOLDEN / f"{name}.json").write_text(golden_text(event), encoding="utf-8")


if __name__ == "__main__":
    write()
