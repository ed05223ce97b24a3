"""The page of the payloads names every field that is sent."""

from __future__ import annotations

from pathlib import Path

from forecast.alerts.alertmanager import OWN_LABELS
from forecast.alerts.feedback import VERDICTS, Precision
from forecast.alerts.payloads import SHAPES, render
from tests.alerts.examples import ORIGIN, example_events

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/incident-payloads.md").read_text(encoding="utf-8")


def test_every_field_of_an_incident_and_every_word_is_documented() -> None:
    events = example_events()
    data = render(events["resolved"], ORIGIN)["data"]
    words = [*data, *SHAPES, *VERDICTS, *OWN_LABELS, *(event.transition.event for event in events.values())]
    assert not [word for word in words if f"`{word}`" not in PAGE]
    assert "{" + ", ".join(Precision.__dataclass_fields__) + "}" in PAGE
