"""Why a period costs more or less than the one before: contributions that add up, and name what was planted."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError, OutsideHorizonError, UnknownScopeError
from forecast.snapshot import Snapshot
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Period, parse_period, period_before
from forecast.spend.scope import Scope
from forecast.workflows.explanation import Explanation, explain, explanation_answer, read_comparison
from forecast.workflows.explanation_words import period_name
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.leaf_changes import NAMES
from tests.snapshots_for_tests import make_snapshot, shared_snapshot
from tests.training.homes import make_home
from tests.workflows.planted import planted_snapshot

SEPTEMBER, NOVEMBER = parse_period("2026-09"), parse_period("2026-11")


@pytest.fixture(scope="module")
def planted() -> Snapshot:
    return planted_snapshot()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The generated company with licences, commitments, taxes, credits and tokens, learnt from."""
    home = make_home(tmp_path_factory.mktemp("company"))
    snapshot = home.store.open(home.train().snapshot_id)
    home.close()
    return snapshot


def asked(snapshot: Snapshot, period: Period | str, scope: str = "", comparison: Period | None = None, by: tuple[str, ...] = ()) -> Explanation:
    days = parse_period(period) if isinstance(period, str) else period
    return explain(snapshot, scope=Scope.parse(scope), period=days, comparison=comparison, group_by=by)


def parts(found: Explanation) -> dict[str, float]:
    return {part.name: part.money for part in found.contributions}


def check_sums(found: Explanation, gross: float = 0.0) -> None:
    """gross : money on both sides without its signs, where credits make the totals small."""
    size = gross or abs(found.before) + abs(found.after)
    assert sum(parts(found).values()) == pytest.approx(found.change, rel=1e-6, abs=1e-9 * size)
    assert list(parts(found)) == [name for name in NAMES if name in parts(found)]
    if found.rows:
        assert sum(row["change"] for row in found.rows) == pytest.approx(found.change, abs=1e-9 * size)
        for name, money in parts(found).items():
            assert sum(row["contributions"].get(name, 0.0) for row in found.rows) == pytest.approx(money, abs=1e-7 * size), name


@pytest.mark.parametrize(
    "period", ["2026-11", "2026-12", "2026-10", "2026-Q4", "2027-01", "2026-W46", "2026-11-03..2026-11-06", "2026-10-20..2026-11-20", "2026-08"]
)
def test_contributions_add_up_on_every_node_and_by_group(company: Snapshot, period: str) -> None:
    for scope in company.hierarchy.nodes:
        found = explain(company, scope=scope, period=parse_period(period), group_by=("team", "provider"))
        check_sums(found)
    assert abs(asked(company, period).change) > 0


def test_they_explain_the_mean_of_the_forecast_minus_the_actual_cost_of_the_period_before(company: Snapshot) -> None:
    found = asked(company, "2026-11", "stage=prod")
    assert found.comparison == parse_period("2026-10")
    assert found.after == pytest.approx(forecast_answer(company, scope=Scope.parse("stage=prod"), period=NOVEMBER)["total"]["mean"], rel=1e-6)
    october = company.past_slice(found.comparison)
    assert found.before == pytest.approx(company.scope_history(Scope.parse("stage=prod"))[october].sum())
    assert found.actual_before == pytest.approx(found.before)
    assert found.actual_after == 0.0


def test_the_company_has_each_kind_of_contribution_somewhere(company: Snapshot) -> None:
    seen = set()
    for period in ("2026-10", "2026-11", "2026-12", "2026-W45", "2026-Q4"):
        seen |= set(parts(asked(company, period)))
    assert {"calendar", "recurring", "price", "volume", "mix", "unquantified", "uncertainty", "trend"} <= seen


def test_a_switch_of_models_is_mix(planted: Snapshot) -> None:
    found = asked(planted, NOVEMBER, "team=switched", SEPTEMBER)
    assert parts(found)["mix"] == pytest.approx(-0.9 * 10_200, rel=0.001)  # 21 working days and 9 of half the usage, at 400 USD
    assert abs(parts(found).get("volume", 0.0)) < 10
    assert "price" not in parts(found)
    sentence = next(part.sentence for part in found.contributions if part.name == "mix")
    assert "100 % of the tokens moved to gpt-4o-mini, most from gpt-4o" in sentence


def test_a_price_cut_is_price(planted: Snapshot) -> None:
    found = asked(planted, NOVEMBER, "team=cheaper", SEPTEMBER)
    assert parts(found)["price"] == pytest.approx(-0.2 * 7_650, rel=0.001)
    assert abs(parts(found).get("volume", 0.0)) + abs(parts(found).get("mix", 0.0)) < 10
    assert "gpt-4o costs 20 % less than in September 2026" in next(part.sentence for part in found.contributions if part.name == "price")


def test_twice_the_tokens_is_volume(planted: Snapshot) -> None:
    found = asked(planted, NOVEMBER, "team=busier", SEPTEMBER)
    assert parts(found)["volume"] == pytest.approx(6_375, rel=0.001)
    assert "price" not in parts(found)
    sentence = next(part.sentence for part in found.contributions if part.name == "volume")
    assert "inference of team busier (Chat, prod) uses 2.0 times as many tokens as in September 2026" in sentence


def test_another_unit_and_no_unit_are_unquantified(planted: Snapshot) -> None:
    assert parts(asked(planted, NOVEMBER, "team=counted|busier", SEPTEMBER))["unquantified"] == pytest.approx(0.2 * 2_295, rel=0.01)
    assert parts(asked(planted, NOVEMBER, "team=uncounted|busier", SEPTEMBER))["unquantified"] == pytest.approx(1_500, rel=0.001)


def test_where_nothing_has_a_quantity_the_level_is_one_contribution(planted: Snapshot) -> None:
    found = parts(asked(planted, NOVEMBER, "team=uncounted", SEPTEMBER))
    assert found["level"] == pytest.approx(1_500, rel=0.001)
    assert not {"price", "volume", "mix", "unquantified"} & set(found)


def test_what_began_is_new_and_what_stopped_has_ended(planted: Snapshot) -> None:
    begun = asked(planted, NOVEMBER, "team=begun", SEPTEMBER)
    assert parts(begun) == {"new": pytest.approx(begun.after)}
    assert parts(asked(planted, NOVEMBER, "team=stopped", SEPTEMBER))["ended"] == pytest.approx(-1_800, rel=0.03)


def test_fees_and_what_came_once_stand_by_themselves(planted: Snapshot) -> None:
    found = asked(planted, NOVEMBER, "team=seats", SEPTEMBER)
    assert set(parts(found)) == {"one_offs", "recurring"}
    assert parts(found)["one_offs"] == pytest.approx(-2500)
    assert parts(found)["recurring"] == pytest.approx(300, abs=15)  # the paths of 100 futures


def test_nothing_changed_where_nothing_was_planted(planted: Snapshot) -> None:
    found = asked(planted, NOVEMBER, "team=steady", SEPTEMBER)
    assert parts(found)["calendar"] == pytest.approx(-50, rel=0.02)  # a working day less, a day of the weekend more
    assert sum(abs(money) for name, money in parts(found).items() if name != "calendar") < 0.1 * found.before


def test_the_whole_company_says_all_of_it_at_once(planted: Snapshot) -> None:
    found = asked(planted, NOVEMBER, comparison=SEPTEMBER, by=("team",))
    check_sums(found)
    assert found.sentence.startswith("November 2026 is expected to cost")
    assert "most by mix" in found.sentence
    rows = {row["group"]["team"]: row["contributions"] for row in found.rows}
    for team, name in {"switched": "mix", "cheaper": "price", "busier": "volume", "begun": "new", "seats": "one_offs"}.items():
        assert max(rows[team], key=lambda part: abs(rows[team][part])) == name, team
    model = {(meter["ai_model"], meter["unit"]): meter for meter in found.meters}
    assert model["gpt-4o-mini", "Tokens"]["usage"] == pytest.approx(1_020, rel=0.01)
    assert model["gpt-4o", "1K Tokens"]["unquantified"] < 0
    assert sum(meter["price"] for meter in found.meters) == pytest.approx(parts(found)["price"], rel=1e-6)


def test_periods_that_are_over_have_no_forecast_in_them(planted: Snapshot) -> None:
    found = asked(planted, "2026-10", comparison=SEPTEMBER)
    check_sums(found)
    assert not {"season", "uncertainty", "trend"} & set(parts(found))
    assert found.sentence.startswith("October 2026 cost ")


def test_swapping_two_periods_that_are_over_turns_what_changed_around(planted: Snapshot) -> None:
    there = parts(asked(planted, "2026-10", "team=busier", SEPTEMBER))
    back = parts(asked(planted, "2026-09", "team=busier", parse_period("2026-10")))
    days = 22.0 / 21.0  # the level is told at the period's own days
    assert there["volume"] == pytest.approx(-back["volume"] * days, rel=0.05)


def test_days_to_come_of_the_comparison_period_count_with_their_mean_and_a_warning_says_so(planted: Snapshot) -> None:
    found = asked(planted, "2026-12")
    assert found.comparison == NOVEMBER
    assert (found.actual_before, found.before > 30_000) == (0.0, True)
    assert any("not over: its days from 2026-11-01 on count with their mean forecast" in text for text in found.warnings)
    # November has nothing that is not known of December too: there is no level to have changed.
    assert not {"level", "price", "volume", "mix", "new", "ended"} & set(parts(found))


def test_days_that_are_not_fully_billed_count_with_what_is_expected() -> None:
    plain = shared_snapshot()
    pending = replace(plain, pending=np.full((len(plain.leaf_history), 3, plain.n_paths), 10.0, dtype=np.float32))
    found, without = asked(pending, "2026-12", "team=ads"), asked(plain, "2026-12", "team=ads")
    check_sums(found)
    leaves = int(plain.hierarchy.leaf_mask(Scope.parse("team=ads")).sum())
    assert found.after == pytest.approx(without.after + 30.0 * leaves)
    assert found.actual_after == pytest.approx(without.actual_after)
    check_sums(asked(pending, "2027-01"))
    assert any("not fully billed" in text for text in asked(pending, "2027-01").warnings)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_bills_say_it_adds_up(seed: int) -> None:
    """Credits larger than usage, days of nothing, quantities of nothing, below nothing and beyond all sense."""
    rng = np.random.default_rng(seed)
    plain = shared_snapshot()
    n_leaves, n_days = plain.leaf_history.shape
    history = plain.leaf_history * rng.choice([0.0, 1.0, -1.0, 1e-9, 1e6], (n_leaves, 1)) * rng.choice([0.0, 1.0, 1.0, -0.5], (n_leaves, n_days))
    rows = 400
    start = rng.choice(["2026-06-01", "2026-07-01", "2026-08-01", "2026-09-01", "2026-10-01", "2026-11-01"], rows)
    recent = rng.random(rows) < 0.3
    first = np.where(recent, np.datetime64("2026-11-11"), start.astype("datetime64[D]"))
    meters = pd.DataFrame(
        {
            "leaf": rng.integers(0, n_leaves, rows),
            "start": first.astype("datetime64[s]"),
            "end": np.where(recent, np.datetime64("2026-12-11"), (start.astype("datetime64[M]") + 1).astype("datetime64[D]")).astype("datetime64[s]"),
            "recent": recent,
            "ai_model": rng.choice(["a", "b", "(none)"], rows),
            "meter": rng.choice(["Input Tokens", "Cached Input Tokens", "(none)"], rows),
            "unit": rng.choice(["Tokens", "1K Tokens", ""], rows),
            "cost": rng.choice([0.0, 1.0, -50.0, 1e-12, 1e9], rows) * rng.random(rows),
            "quantity": rng.choice([0.0, 1.0, -5.0, 1e-300, 1e15, 1e300], rows) * rng.random(rows),
        }
    )
    known = pd.DataFrame(
        {
            "leaf": rng.integers(0, n_leaves, 50),
            "ds": (np.datetime64("2026-12-10") - rng.integers(0, 190, 50)).astype("datetime64[s]"),
            "kind": rng.choice(["one_off", "scheduled"], 50),
            "cost": rng.normal(0.0, 500.0, 50),
        }
    )
    snapshot = replace(plain, leaf_history=history, meters=meters, known_money=known)
    for period in ("2026-11", "2026-12", "2027-01", "2026-Q4", "2026-W48", "2027-Q3"):
        for scope in ("", "team=ads", "provider=aws,stage=dev"):
            found = asked(snapshot, period, scope, by=("service",))
            check_sums(found, float(np.abs(history).sum()))
            assert np.isfinite(list(parts(found).values())).all()


def test_month_ends_of_the_forecast_are_its_season() -> None:
    """A thousand on the last day of each month to come: weeks with it cost more than weeks without, whole months have one each."""
    plain = shared_snapshot()
    paths = plain.leaf_paths.copy()
    daily = np.flatnonzero((plain.ends - plain.starts).astype(int) == 1)
    last = [step for step in daily if (plain.starts[step] + 1).astype("datetime64[M]") > plain.starts[step].astype("datetime64[M]")]
    paths[3, last] += 1000.0
    with_ends = replace(plain, leaf_paths=paths)
    for period, more in (("2027-01-25..2027-02-01", 1000.0), ("2027-02-01..2027-02-08", -1000.0), ("2027-02", 0.0)):
        found, without = asked(with_ends, period), asked(plain, period)
        check_sums(found)
        assert parts(found).get("season", 0.0) - parts(without).get("season", 0.0) == pytest.approx(more, abs=100), period


def test_planned_events_are_named_with_their_money(planted: Snapshot) -> None:
    leaf = planted.hierarchy.leaf_ids.index("OpenAI|Chat|busier|prod|inference")
    steps = np.arange(10)
    with_event = replace(
        planted,
        event_effects=pd.DataFrame({"event": "launch", "leaf": leaf, "step": steps, "effect": 50.0}),
        meta={**planted.meta, "events": [{"id": "launch", "name": "the launch"}]},
    )
    plain, told = asked(planted, NOVEMBER, comparison=SEPTEMBER), asked(with_event, NOVEMBER, comparison=SEPTEMBER)
    check_sums(told)
    assert parts(told)["events"] == pytest.approx(500)
    assert parts(told)["trend"] == pytest.approx(parts(plain)["trend"] - 500)
    assert "the launch (+500)" in next(part.sentence for part in told.contributions if part.name == "events")


def test_shares_are_of_the_comparison_period_and_sentences_name_the_money(planted: Snapshot) -> None:
    found = asked(planted, NOVEMBER, comparison=SEPTEMBER)
    for part in found.contributions:
        assert part.share == pytest.approx(part.money / found.before)
        assert f"{abs(part.money):,.0f} USD" in part.sentence or f"{abs(part.money):,.2f} USD" in part.sentence
        assert part.sentence.endswith(".")
    assert sum(part.share or 0.0 for part in found.contributions) == pytest.approx(found.change / found.before)


def test_a_snapshot_without_quantities_tells_the_level_and_says_why() -> None:
    found = asked(shared_snapshot(), "2027-Q1", by=("team",))
    check_sums(found)
    assert "level" in parts(found)
    assert any("keeps no quantities" in text for text in found.warnings)


@pytest.mark.parametrize("history_days", [1, 5, 14, 30])
def test_short_histories_are_explained_too(history_days: int) -> None:
    snapshot = make_snapshot(history_days=history_days, recent_days=1, n_paths=20, with_detector=False)
    first = snapshot.first_day
    found = asked(
        snapshot,
        Period(snapshot.cutoff + timedelta(days=1), snapshot.cutoff + timedelta(days=31)),
        comparison=Period(first, first + timedelta(days=1)),
    )
    check_sums(found)


def test_the_answer_is_plain_data(company: Snapshot) -> None:
    answer = explanation_answer(company, scope=Scope(), period=NOVEMBER, group_by=("team",))
    assert (answer["snapshot_id"], answer["start"], answer["comparison"]["end"]) == (company.id, "2026-11-01", "2026-11-01")
    assert answer["change"] == pytest.approx(answer["forecast"]["mean"] - answer["comparison"]["total"])
    assert answer["forecast"]["p10"] < answer["forecast"]["mean"] < answer["forecast"]["p90"]
    assert all(type(part["money"]) is float for part in answer["contributions"])


def test_the_second_answer_is_the_first(company: Snapshot) -> None:
    once = explanation_answer(company, scope=Scope(), period=NOVEMBER)
    for month in range(1, 4):
        asked(company, f"2027-{month:02d}")
    assert explanation_answer(company, scope=Scope(), period=NOVEMBER) == once


@pytest.mark.parametrize(
    ("period", "before"),
    [
        ("2027-Q1", "2026-Q4"),
        ("2027-01", "2026-12"),
        ("2027", "2026"),
        ("2027-W02", "2027-W01"),
        ("2027-01-11..2027-01-21", "2027-01-01..2027-01-11"),
    ],
)
def test_the_period_before_is_of_the_same_kind(period: str, before: str) -> None:
    assert period_before(parse_period(period)) == parse_period(before)


def test_periods_have_the_names_that_people_use() -> None:
    assert [period_name(parse_period(text)) for text in ("2027-Q1", "2026-10", "2026")] == ["2027-Q1", "October 2026", "2026"]
    assert period_name(parse_period("2027-Q4", FiscalCalendar(4)), FiscalCalendar(4)) == "2027-Q4"
    assert period_name(parse_period("2027-W02")) == "2027-01-11 to 2027-01-18 (exclusive)"


def test_what_cannot_be_answered_says_what_can(planted: Snapshot) -> None:
    with pytest.raises(OutsideHorizonError):
        asked(planted, "2035-Q1")
    with pytest.raises(UnknownScopeError, match="nearest: busier"):
        asked(planted, NOVEMBER, "team=busyer")
    with pytest.raises(InputError, match="finer than a leaf"):
        asked(planted, NOVEMBER, "ai_model=gpt-4o")
    with pytest.raises(InputError, match="finer than a leaf") as caught:
        asked(planted, NOVEMBER, by=("region",))
    assert caught.value.field == "group_by"
    with pytest.raises(InputError, match="begins before the first day of spend 2026-06-01") as caught:
        asked(planted, "2026-06")
    assert caught.value.field == "compare_start"


def test_the_comparison_is_said_once_and_whole() -> None:
    first, end = date(2026, 9, 1), date(2026, 10, 1)
    assert read_comparison(None, None, None, CALENDAR_YEAR) is None
    assert read_comparison("2026-09", None, None, CALENDAR_YEAR) == read_comparison(None, first, end, CALENDAR_YEAR) == SEPTEMBER
    with pytest.raises(InputError, match="said twice"):
        read_comparison("2026-09", first, end, CALENDAR_YEAR)
    with pytest.raises(InputError, match="compare_end is missing"):
        read_comparison(None, first, None, CALENDAR_YEAR)


def test_a_scope_that_nothing_ever_had_is_zero(planted: Snapshot) -> None:
    found = asked(planted, NOVEMBER, "team=busier,service=Seats")
    assert (found.before, found.after, found.contributions) == (0.0, 0.0, ())
    assert "have no spend" in found.sentence
    assert any("the answer is zero" in text for text in found.warnings)


def test_the_snapshot_keeps_what_explanations_read(planted: Snapshot) -> None:
    """Lines that are learnt from add up to the history without what came once or by a schedule, month by month."""
    assert planted.meters is not None
    assert planted.known_money is not None
    months = planted.meters[~planted.meters["recent"]]
    known = float(planted.known_money["cost"].sum())
    assert float(months["cost"].sum()) + known == pytest.approx(float(planted.leaf_history.sum()))
    recent = planted.meters[planted.meters["recent"]]
    assert set(recent["start"].astype(str)) == {"2026-10-01"}
    assert float(recent["cost"].sum()) == pytest.approx(float(months.loc[months["start"] == "2026-10-01", "cost"].sum()))
