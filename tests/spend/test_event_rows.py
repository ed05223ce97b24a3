"""Events as people write them: calendars of many a form, scopes by dimensions or by the columns of a bill."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import pytest

from forecast.company.generate import generate
from forecast.errors import InputError, PlanError
from forecast.spend.event_rows import parse_event, read_events
from forecast.spend.events import TYPES, Effect, describe
from forecast.spend.focus_scopes import read_scope
from forecast.spend.scope import Scope

TODAY = date(2027, 1, 20)
ROW = {"name": "Spring sale", "type": "campaign", "start": "2027-03-01", "end": "2027-03-15", "scope": "team=ads", "factor": "1.6"}


def read(**changes: Any) -> Any:
    return read_events([{**ROW, **changes}], today=TODAY).events[0]


def test_event_comes_back_from_its_description() -> None:
    event = read(low="1.3", high="2", ramp_days="3", announced="2027-01-05")
    plain = describe(event)
    assert parse_event(plain.pop("id"), plain, today=TODAY) == event
    assert (event.id, event.end, event.ramp_days, event.announced) == ("spring-sale", date(2027, 3, 15), 3, date(2027, 1, 5))
    assert event.effect == Effect("factor", 1.6, 1.3, 2.0)


def test_event_was_announced_when_it_was_entered_unless_it_says_so() -> None:
    assert read().announced == TODAY


@pytest.mark.parametrize(
    ("columns", "effect"),
    [
        ({"factor": "1.6"}, Effect("factor", 1.6)),
        ({"money": "50,000", "low": "30000", "high": "90000"}, Effect("money", 50_000.0, 30_000.0, 90_000.0)),
        ({"money_per_day": -20.5}, Effect("money_per_day", -20.5)),
        ({"effect": "factor", "expected": 2, "low": 1, "high": 3}, Effect("factor", 2.0, 1.0, 3.0)),
        ({"effect": "money", "low": "100", "high": "300"}, Effect("money", 200.0, 100.0, 300.0)),
        ({"effect": 2.0, "effect_low": 1.5, "effect_high": 3.0, "effect_unit": "factor"}, Effect("factor", 2.0, 1.5, 3.0)),
        ({"effect": 500.0, "effect_unit": "usd_per_day"}, Effect("money_per_day", 500.0)),
        ({"effect": 500.0, "effect_unit": "EUR"}, Effect("money", 500.0)),
        ({"effect": '{"money": 9, "low": 8, "high": 11}'}, Effect("money", 9.0, 8.0, 11.0)),
    ],
)
def test_effects_of_calendars_are_understood(columns: dict[str, Any], effect: Effect) -> None:
    row = {name: value for name, value in ROW.items() if name != "factor"}
    event = read_events([{**row, **columns}], today=TODAY).events[0]
    assert event.effect == effect
    if str(columns.get("effect_unit")).upper() in {"EUR", "USD_PER_DAY"}:
        assert event.currency == str(columns["effect_unit"])[:3].upper()


def test_effect_without_a_middle_has_the_middle_of_its_ends() -> None:
    row = {name: value for name, value in ROW.items() if name != "factor"}
    assert read_events([{**row, "effect": "factor", "low": 1, "high": 4}], today=TODAY).events[0].effect == Effect("factor", 2.0, 1.0, 4.0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"factor": ""}, "effect"),
        ({"factor": "twice"}, "factor"),
        ({"factor": "1.6", "money": "5"}, "money"),
        ({"factor": "", "effect": "5"}, "effect"),
        ({"factor": "", "effect": "5", "effect_unit": "bananas"}, "effect_unit"),
        ({"low": "1.2"}, "high"),
        ({"low": "1.8", "high": "2"}, "effect"),
        ({"type": "party"}, "type"),
        ({"start": "tomorrow"}, "start"),
        ({"start": ""}, "start"),
        ({"name": ""}, "name"),
        ({"end": "2027-02-01"}, "end"),
        ({"scope": "team"}, "scope"),
        ({"ramp_days": "1.5"}, "ramp_days"),
    ],
)
def test_row_that_is_no_event_is_named_with_its_column(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match="row 2") as caught:
        read_events([{**ROW, "name": "ok"}, {**ROW, **changes}], today=TODAY)
    assert caught.value.field == field


def test_a_sale_of_each_year_has_an_id_of_each_year() -> None:
    rows = [{**ROW, "start": f"{year}-03-01", "end": f"{year}-03-15"} for year in (2026, 2027)]
    assert [event.id for event in read_events(rows, today=TODAY).events] == ["spring-sale-2026-03-01", "spring-sale-2027-03-01"]
    with pytest.raises(PlanError, match="row 2: it is the event"):
        read_events([ROW, ROW], today=TODAY)


def test_columns_that_say_nothing_about_events_are_named() -> None:
    assert read_events([{**ROW, "owner": "Ada", "hihg": "3"}], today=TODAY).ignored == ("hihg", "owner")


@pytest.mark.parametrize(
    ("word", "kind"), [("Price change", "price_change"), ("promotion", "campaign"), ("model-switch", "migration"), ("", "other")]
)
def test_words_of_calendars_are_types(word: str, kind: str) -> None:
    assert read(type=word).type == kind


@pytest.mark.parametrize(
    ("written", "scope"),
    [
        ("", ""),
        ("team=ads|search,stage!=dev", "team=ads|search,stage!=dev"),
        ('{"team": ["ads", "search"], "stage!": "dev"}', "team=ads|search,stage!=dev"),
        ('{"ProviderName": "OpenAI", "ServiceName": "OpenAI API"}', "provider=OpenAI,service=OpenAI API"),
        ('{"SubAccountName": "Ads", "Tags": {"env": "production", "squad": "x"}}', "team=ads,stage=prod,squad=x"),
        ('{"servicename": "Chat", "SkuPriceDetails": {"ModelId": ["a", "b"]}}', "service=Chat,ai_model=a|b"),
        ('{"ChargeCategory!": "Tax"}', "charge_category!=Tax"),
    ],
)
def test_scope_is_text_or_json_of_dimensions_or_of_focus_columns(written: str, scope: str) -> None:
    assert read_scope(written) == Scope.parse(scope)


@pytest.mark.parametrize("wrong", ["{", "[]", '{"team": 3}', '{"BilledCost": "5"}', '{"Tags": "ads"}', '{"team": "a", "SubAccountName": "b"}', 5])
def test_scope_that_is_none_of_these_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError) as caught:
        read_scope(wrong)
    assert caught.value.field == "scope"


def test_calendar_of_a_generated_company_is_one() -> None:
    calendar = generate(seed=7, days=400, teams=3).events
    found = read_events([{str(name): value for name, value in row.items()} for row in calendar.to_dict("records")], today=TODAY)
    assert len(found.events) == len(calendar) > 5
    assert found.ignored == ()
    announced = pd.to_datetime(calendar["announced"]).dt.date.tolist()
    assert [event.announced for event in found.events] == announced
    assert {event.type for event in found.events} <= set(TYPES)
