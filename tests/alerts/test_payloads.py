"""The shapes that other programs read: golden files, and what the receivers' own documents require of each."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from forecast.alerts.alertmanager import label_names
from forecast.alerts.aws_anomaly import score
from forecast.alerts.incident import Event
from forecast.alerts.life_cycle import opened
from forecast.alerts.origin import MOST_CAUSES, Origin
from forecast.alerts.payloads import SHAPES, media_type, render
from forecast.errors import InputError
from tests.alerts.examples import GOLDEN, ORIGIN, example_events, golden_text, runaway

EVENTS = example_events()
each_event = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)


@pytest.mark.parametrize("name", EVENTS)
def test_payloads_are_those_of_the_golden_file(name: str) -> None:
    assert golden_text(EVENTS[name]) == (GOLDEN / f"{name}.json").read_text(encoding="utf-8")


def test_every_golden_file_has_its_event() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(EVENTS)


@each_event
def test_one_dedup_key_in_all_shapes(event: Event) -> None:
    cloud, message, bridge, alerts, pager = (render(event, ORIGIN, shape) for shape in SHAPES)
    keys = [
        cloud["dedupkey"],
        cloud["subject"],
        cloud["data"]["dedup_key"],
        message["anomalyId"],
        bridge["detail"]["anomalyId"],
        alerts["alerts"][0]["fingerprint"],
        pager["dedup_key"],
        pager["payload"]["custom_details"]["dedup_key"],
    ]
    assert set(keys) == {event.incident.id}


def test_events_of_one_incident_share_the_dedup_key_and_have_ids_of_their_own() -> None:
    life = [EVENTS[name] for name in ("opened", "grew", "acknowledged", "resolved")]
    bodies = [render(event, ORIGIN) for event in life]
    assert len({body["dedupkey"] for body in bodies}) == 1
    assert len({(body["source"], body["id"]) for body in bodies}) == 4
    assert [render(event, ORIGIN, "pagerduty")["event_action"] for event in life] == ["trigger", "trigger", "acknowledge", "resolve"]
    assert [render(event, ORIGIN, "alertmanager")["status"] for event in life] == ["firing", "firing", "firing", "resolved"]
    assert [body["data"]["status"] for body in bodies] == ["open", "open", "acknowledged", "resolved"]


@each_event
def test_cloud_event_keeps_the_rules_of_the_specification(event: Event) -> None:
    body = render(event, ORIGIN)
    assert all(isinstance(body[name], str) and body[name] for name in ("id", "source", "specversion", "type"))
    assert body["specversion"] == "1.0"
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in body)
    assert datetime.fromisoformat(body["time"]).utcoffset() == timedelta(0)
    assert ("data" in body) != ("data_base64" in body)
    assert media_type("cloudevents") == "application/cloudevents+json"
    assert media_type("aws") == "application/json"


def test_cloud_event_stays_below_64_kib_by_leaving_out_the_smallest_causes() -> None:
    causes = tuple({"scope": {"resource": f"{number:05d}" + "r" * 6000}, "impact": 1.0, "share": 0.01} for number in range(30))
    body = render(Event(opened(runaway(root_causes=causes), now=ORIGIN_TIME), 0), ORIGIN)
    assert len(json.dumps(body).encode()) < 64 * 1024
    kept = [cause["scope"]["resource"][:5] for cause in body["data"]["root_causes"]]
    assert 0 < len(kept) < MOST_CAUSES
    assert kept == sorted(kept)


@each_event
def test_sns_message_has_the_fields_of_aws(event: Event) -> None:
    body = render(event, ORIGIN, "aws")
    fields = "accountId anomalyDetailsLink anomalyEndDate anomalyId anomalyScore anomalyStartDate dimensionalValue impact monitorArn rootCauses"
    assert set(fields.split()) < set(body)
    assert all(set(cause) == {"linkedAccount", "linkedAccountName", "region", "service", "usageType", "impact"} for cause in body["rootCauses"])
    assert all(re.fullmatch(r"\d{4}-\d{2}-\d{2}T00:00:00Z", body[name]) for name in ("anomalyStartDate", "anomalyEndDate"))
    impact = body["impact"]
    assert impact["totalImpact"] == pytest.approx(impact["totalActualSpend"] - impact["totalExpectedSpend"], abs=0.02)
    assert ("totalImpactPercentage" in impact) == (impact["totalExpectedSpend"] != 0)
    assert all(0 <= value <= 1 for value in body["anomalyScore"].values())


@each_event
def test_eventbridge_says_dimension_value_where_the_message_says_dimensional_value(event: Event) -> None:
    body, message = render(event, ORIGIN, "aws-eventbridge"), render(event, ORIGIN, "aws")
    assert (body["version"], body["source"], body["detail-type"]) == ("0", "aws.ce", "Anomaly Detected")
    assert set(body) == {"version", "id", "source", "detail-type", "account", "region", "time", "resources", "detail"}
    assert body["detail"]["dimensionValue"] == message["dimensionalValue"]
    assert "dimensionalValue" not in body["detail"]


def test_feedback_is_told_in_the_words_of_aws() -> None:
    words = {}
    for verdict in ("unexpected", "expected", "too_small", "planned"):
        event = Event(replace(EVENTS["opened"].incident, feedback=verdict), 0)
        words[verdict] = render(event, ORIGIN, "aws-eventbridge")["detail"]["feedback"]
    assert words == {"unexpected": "YES", "expected": "NO", "too_small": "NO", "planned": "PLANNED_ACTIVITY"}


@pytest.mark.parametrize(("p_value", "expected"), [(1.0, 0.0), (0.1, 0.1), (1e-5, 0.5), (1e-10, 1.0), (0.0, 1.0)])
def test_score_of_aws_is_a_tenth_for_each_power_of_ten(p_value: float, expected: float) -> None:
    assert str(score(p_value)) == str(expected)


@each_event
def test_alertmanager_webhook_is_version_4(event: Event) -> None:
    body = render(event, ORIGIN, "alertmanager")
    assert set(body) == {
        *("version", "groupKey", "truncatedAlerts", "status", "receiver"),
        *("groupLabels", "commonLabels", "commonAnnotations", "externalURL", "alerts"),
    }
    (alert,) = body["alerts"]
    assert set(alert) == {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
    assert body["groupLabels"].items() <= body["commonLabels"].items() <= alert["labels"].items()
    texts = [*alert["labels"].values(), *alert["annotations"].values()]
    assert all(isinstance(text, str) and text for text in texts)
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in alert["labels"])
    assert (alert["endsAt"] == "0001-01-01T00:00:00Z") == (alert["status"] == "firing")


def test_labels_never_hide_one_another() -> None:
    scope = {"severity": "a", "a-b": "b", "a.b": "c", "a/b": "d", "7up": "e", "team": "f", "team!": "g", "__name__": "h", "scope_severity": "i"}
    names = label_names(scope)
    assert sorted(names.values()) == sorted(scope.values())
    assert names["team"] == "f"
    assert names["not_team"] == "g"
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) and not name.startswith("__") for name in names)


@each_event
def test_pagerduty_event_has_what_v2_requires(event: Event) -> None:
    body = render(event, ORIGIN, "pagerduty")
    payload = body["payload"]
    assert body["event_action"] in {"trigger", "acknowledge", "resolve"}
    assert payload["severity"] in {"critical", "error", "warning", "info"}
    assert 0 < len(payload["summary"]) <= 1024
    assert payload["source"]
    assert body["routing_key"] == "R0UT1NGKEY"
    assert len(body["dedup_key"]) <= 255
    assert len(json.dumps(body)) < 512_000


def test_long_sentence_is_cut_for_pagerduty() -> None:
    event = Event(opened(runaway(sentence="x" * 5000), now=ORIGIN_TIME), 0)
    summary = render(event, ORIGIN, "pagerduty")["payload"]["summary"]
    assert len(summary) == 1024
    assert summary.endswith("…")


@pytest.mark.parametrize("shape", SHAPES)
def test_without_an_address_there_is_no_link(shape: str) -> None:
    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.values() for text in texts(item)]
        return [text for item in value for text in texts(item)] if isinstance(value, list) else [str(value)]

    assert not [text for text in texts(render(EVENTS["grew"], Origin(), shape)) if "://" in text]


def test_unknown_shape_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="carrier-pigeon") as caught:
        render(EVENTS["opened"], ORIGIN, "carrier-pigeon")
    assert "pagerduty" in str(caught.value.allowed)


ORIGIN_TIME = EVENTS["opened"].transition.at
