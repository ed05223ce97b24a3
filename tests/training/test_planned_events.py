"""From an event in the records to the answer: trained, asked, replayed and judged as its user would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from forecast.budgets.budget import Budget
from forecast.snapshot import Snapshot
from forecast.spend.events import Effect, PlannedEvent
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.overruns import overrun_answer
from tests.training.homes import LAST, NOW, QUICK, TrainingHome, make_home
from training.backtest import load_history, run_backtest
from training.knowledge import knowing, read_knowledge

DECEMBER = Period(date(2026, 12, 1), date(2027, 1, 1))
TEAM = Scope.parse("team=search")
DOUBLE = PlannedEvent("double", "Twice", "campaign", DECEMBER.start, DECEMBER.end, TEAM, Effect("factor", 2.0), date(2026, 11, 1))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainingHome]:
    made = make_home(tmp_path_factory.mktemp("planned") / "home", teams=2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(home: TrainingHome) -> Snapshot:
    return trained(home)


def trained(home: TrainingHome, *events: PlannedEvent, **arguments: Any) -> Snapshot:
    """A snapshot of the home with these events and no others."""
    for event in home.records.events():
        home.records.delete_event(event.id)
    home.records.put_events(events, now=NOW)
    return home.store.open(home.train(**arguments).snapshot_id)


def asked(snapshot: Snapshot, scope: Scope = TEAM, period: Period = DECEMBER) -> dict[str, Any]:
    return forecast_answer(snapshot, scope=scope, period=period)


def scheduled(snapshot: Snapshot, home: TrainingHome) -> float:
    """What of December's spend of the team follows schedules: mean of the part that no factor multiplies."""
    history = load_history(home.settings, home.ledger, cutoff=None, cost="effective")
    model = knowing(QUICK.build(), history, read_knowledge([], home.ledger, history, cost="effective", until=LAST)).fit(
        history.panel, history.hierarchy
    )
    horizon = (DECEMBER.end - LAST).days - 1
    whole = model.simulate(horizon, 50, 0).values.mean(axis=2)
    learnt = model.forecaster_.simulate(horizon, 50, 0).values.mean(axis=2)
    mask = snapshot.hierarchy.leaf_mask(TEAM)
    return float((whole - learnt)[mask, -31:].sum())


def test_an_event_doubles_next_months_spend_of_a_team_in_the_answer(home: TrainingHome, plain: Snapshot) -> None:
    planned = trained(home, DOUBLE)
    before, after = asked(plain), asked(planned)
    by_schedule = scheduled(plain, home)
    assert after["total"]["mean"] == pytest.approx(2.0 * before["total"]["mean"] - by_schedule, rel=1e-3)
    assert after["total"]["mean"] > 1.8 * before["total"]["mean"]
    added = after["total"]["mean"] - before["total"]["mean"]
    told = {"id": "double", "name": "Twice", "type": "campaign", "start": "2026-12-01", "end": "2027-01-01"}
    assert after["events"] == [{**told, "effect": pytest.approx(added, rel=1e-6)}]
    company = asked(planned, Scope())
    assert company["total"]["mean"] - asked(plain, Scope())["total"]["mean"] == pytest.approx(added, rel=1e-6)
    assert company["events"][0]["effect"] == pytest.approx(added, rel=1e-6)
    assert asked(planned, Scope.parse("team!=search"))["events"] == []
    november = Period(date(2026, 11, 1), date(2026, 12, 1))
    assert asked(planned, TEAM, november)["events"] == []
    assert asked(planned, TEAM, november)["total"] == asked(plain, TEAM, november)["total"]
    assert before["events"] == []
    budget = 1.3 * before["total"]["mean"]
    risks = [
        overrun_answer(snapshot, Budget("ad-hoc", TEAM, DECEMBER.start, DECEMBER.end, budget))["overrun_probability"] for snapshot in (plain, planned)
    ]
    assert risks[0] < 0.3
    assert risks[1] > 0.9


def test_snapshot_says_which_events_it_holds_and_how_much_they_are_a_month(home: TrainingHome, plain: Snapshot) -> None:
    """Three that count, one of them on part of the leaves; and four that cannot be part of it, which are noted."""
    recent = plain.recent[plain.recent["ai_model"] != "(none)"]
    model = str(recent.groupby("ai_model")["cost"].sum().idxmax())
    price = replace(DOUBLE, id="price", type="price_change", start=date(2026, 11, 20), end=None, effect=Effect("factor", 0.5))
    price = replace(price, scope=Scope.parse(f"ai_model={model}"))
    learnt = replace(price, id="learnt", scope=Scope(), start=date(2026, 9, 1), announced=date(2026, 8, 1))
    nobody = replace(DOUBLE, id="nobody", scope=Scope.parse("team=nobody"))
    nothing = replace(DOUBLE, id="nothing", scope=Scope.parse("ai_model=nothing"))
    euros = replace(DOUBLE, id="euros", effect=Effect("money", 5.0), currency="EUR")
    tomorrow = replace(DOUBLE, id="tomorrow", announced=NOW.date() + timedelta(days=1))
    snapshot = trained(home, DOUBLE, price, learnt, nobody, nothing, euros, tomorrow)
    told = {event["id"]: event for event in snapshot.meta["events"]}
    assert {name: event["status"] for name, event in told.items()} == {"double": "ahead", "price": "ahead", "learnt": "learnt"}
    assert list(told["double"]["mean_effect"]) == ["2026-12"]
    assert next(iter(told["price"]["mean_effect"])) == "2026-11"
    assert told["learnt"]["mean_effect"] == {}
    assert snapshot.event_effects is not None
    assert set(snapshot.event_effects["event"]) == {"double", "price"}
    difference = snapshot.node_means[0] - plain.node_means[0]
    by_step = snapshot.event_effects.groupby("step")["effect"].sum().reindex(range(len(difference)), fill_value=0.0)
    np.testing.assert_allclose(by_step.to_numpy(), difference, atol=0.05)
    assert {event["id"]: event["effect"] is None for event in asked(snapshot)["events"]} == {"learnt": True, "price": False, "double": False}
    late_november = Period(date(2026, 11, 20), date(2026, 12, 1))
    spent = float(recent[recent["ai_model"] == model]["cost"].sum()) / 56
    saved = [asked(each, Scope(), late_november)["total"]["mean"] for each in (plain, snapshot)]
    assert saved[0] - saved[1] == pytest.approx(0.5 * 11 * spent, rel=0.35)
    notes = "\n".join(snapshot.meta["notes"])
    for problem in ("nobody is left out: no spend", "nothing is left out: no spend", "euros is left out: it is in EUR", "tomorrow is not known yet"):
        assert f"event {problem}" in notes


def test_training_again_gives_the_same_bytes_and_without_events_those_of_before(home: TrainingHome, plain: Snapshot) -> None:
    unsure = replace(DOUBLE, effect=Effect("factor", 2.0, 1.5, 3.0))
    launch = replace(DOUBLE, id="launch", type="launch", effect=Effect("money", 5000.0, 2000.0, 9000.0))
    first = trained(home, unsure, launch)
    assert trained(home, launch, unsure).id == first.id
    assert trained(home).id == plain.id
    assert plain.meta["events"] == []
    assert plain.event_effects is None


def test_a_cutoff_that_is_asked_for_does_not_know_what_was_announced_later(home: TrainingHome) -> None:
    early = LAST - timedelta(days=20)
    known, later = replace(DOUBLE, id="known", announced=early), replace(DOUBLE, id="later", announced=LAST)
    assert [event["id"] for event in trained(home, known, later, cutoff=str(early)).meta["events"]] == ["known"]


def test_a_backtest_sees_an_event_from_its_announcement_on(home: TrainingHome) -> None:
    """An event that never came is expected by the cutoffs that knew of it, and by no other."""
    announced = LAST - timedelta(days=60)
    rumour = replace(DOUBLE, start=announced + timedelta(days=1), end=LAST + timedelta(days=90), announced=announced, effect=Effect("factor", 9.0))
    home.records.put_events([rumour], now=NOW)
    told, plain = (run_backtest(home.settings, home.ledger, spec=QUICK, cutoffs=4, records=records).rows for records in (home.records, None))
    ratio = (told["mean"] / plain["mean"])[told["unique_id"] == "team=search"].groupby(told["cutoff"]).max()
    known = np.array([cutoff.date() >= announced for cutoff in ratio.index])
    assert known.any()
    assert not known.all()
    np.testing.assert_array_equal(ratio[~known], 1.0)
    assert (ratio[known] > 1.2).all()
