"""Histories taken apart, schedules read off charges, and what they project."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError, SchemaError
from forecast.spend.schedules import RENEWAL, Schedules, find_schedules, project, simulate
from forecast.spend.split_history import SplitHistory, split_history

GRID = pd.date_range("2025-01-01", "2025-08-31", freq="D")
START = dt.date(2025, 9, 1)


def lines(
    days: list[str] | pd.DatetimeIndex,
    cost: float | Sequence[float] = 10.0,
    *,
    treatment: str = "scheduled",
    kind: str = "subscription",
    item: str = "seats",
    leaf: int = 0,
    length: int = 1,
) -> pd.DataFrame:
    ds = pd.DatetimeIndex(days if isinstance(days, pd.DatetimeIndex) else pd.to_datetime(list(days)))
    columns = {"leaf": leaf, "ds": ds, "treatment": treatment, "kind": kind, "item": item, "cost": cost, "end": ds + pd.Timedelta(days=length)}
    return pd.DataFrame(columns, index=range(len(ds)))


def money_of(lines: pd.DataFrame, leaves: int, grid: pd.DatetimeIndex) -> np.ndarray:
    """(leaves, days) all money of the lines."""
    total = np.zeros((leaves, len(grid)))
    np.add.at(total, (lines["leaf"].to_numpy(), grid.get_indexer(pd.DatetimeIndex(lines["ds"]))), lines["cost"].to_numpy())
    return total


def split(*parts: pd.DataFrame, leaves: int = 1, grid: pd.DatetimeIndex = GRID) -> SplitHistory:
    every = pd.concat(parts, ignore_index=True)
    inside = every[every["ds"].isin(grid) & (every["leaf"] < leaves)]
    return split_history(money_of(inside, leaves, grid), every, grid)


def schedule(part: pd.DataFrame, grid: pd.DatetimeIndex = GRID) -> pd.Series:
    """The entry of the only item."""
    table = split(part, grid=grid).schedules.table()
    assert len(table) == 1
    return table.iloc[0]


def firsts(start: str = "2025-01-01", end: str = "2025-08-31") -> pd.DatetimeIndex:
    return pd.date_range(start, end, freq="MS")


def usage(leaf: int = 0, cost: float = 5.0) -> pd.DataFrame:
    return lines(GRID, cost, treatment="learn", kind="usage", item="", leaf=leaf)


def billed_by_the_day(a_day: float) -> pd.DataFrame:
    """A fee billed by the month, so much a day."""
    return lines(firsts(), list(a_day * firsts().days_in_month), kind="commitment_fee")


def used_by_the_day(a_month: Sequence[float]) -> pd.DataFrame:
    """Each day's share of a fee, one amount for each month of GRID."""
    return lines(GRID, list(np.array(a_month)[GRID.month - 1] / GRID.days_in_month))


# Taking apart


def test_three_parts_add_up_to_every_line_on_its_day() -> None:
    rng = np.random.default_rng(3)
    n = 3000
    every = pd.DataFrame(
        {
            "leaf": rng.integers(0, 6, n),
            "ds": GRID[rng.integers(0, len(GRID), n)],
            "treatment": rng.choice(["learn", "one_off", "scheduled"], n),
            "kind": rng.choice(["usage", "subscription", "credit"], n),
            "item": rng.choice(["a", "b", "c", ""], n),
            "cost": rng.normal(0, 100, n).round(2),
        }
    )
    every["end"] = every["ds"] + pd.to_timedelta(rng.integers(1, 400, n), unit="D")
    parts = split(every, firsts_of_leaf_five := lines(firsts(), leaf=5, item="fee"), leaves=6)
    both = pd.concat([every, firsts_of_leaf_five])
    np.testing.assert_allclose(parts.total, money_of(both, 6, GRID), atol=1e-9)
    np.testing.assert_allclose(parts.one_offs, money_of(both[both["treatment"] == "one_off"], 6, GRID), atol=1e-9)
    assert len(parts.schedules)
    assert parts.scheduled.any()


def test_what_is_learnt_is_what_the_lines_say_and_no_rounding_is_left_of_the_others() -> None:
    """Amounts such as a tenth are no binary numbers: 0.1 + 0.2 − 0.2 − 0.1 is not nothing, and would be a series to learn from."""
    seats = [lines(GRID, 0.1, item="seats"), lines(GRID, 0.2, item="licences"), lines(GRID, 0.7, item="support")]
    campaign = lines(["2025-03-05", "2025-05-06"], 0.3, treatment="one_off", kind="one_time", item="campaign")
    assert not split(*seats, campaign).learnable.any()
    np.testing.assert_allclose(split(*seats, campaign, usage()).learnable, 5.0)


def test_a_history_that_was_nowcast_changes_what_is_learnt_and_nothing_else() -> None:
    every = pd.concat([usage(), lines(GRID, 2.0)], ignore_index=True)
    total = money_of(every, 1, GRID)
    more = total.copy()
    more[0, -1] = 9.0
    known, nowcast = split_history(total, every, GRID), split_history(more, every, GRID)
    assert (known.learnable[0, -1], nowcast.learnable[0, -1]) == (5.0, 7.0)
    pd.testing.assert_frame_equal(known.schedules.table(), nowcast.schedules.table())


def test_one_off_does_not_reach_what_is_learnt_and_stays_in_the_total() -> None:
    campaign = lines(["2025-08-20"], 9000.0, treatment="one_off", kind="one_time", item="campaign")
    parts = split(usage(), campaign)
    assert (parts.learnable == 5.0).all()
    assert parts.one_offs.sum() == 9000.0
    assert parts.total[0, GRID.get_loc("2025-08-20")] == 9005.0
    assert project(parts.schedules, START, 90).sum() == 0.0


def test_promotion_that_runs_is_a_level_and_one_that_ended_is_not() -> None:
    runs = lines(GRID[-10:], -2.0, treatment="one_off", kind="credit", item="grant")
    assert (split(usage(), runs).learnable[0, -10:] == 3.0).all()
    ended = lines(GRID[-60:-20], -2.0, treatment="one_off", kind="credit", item="grant")
    assert (split(usage(), ended).learnable == 5.0).all()


def test_promotion_that_began_is_a_level_on_its_third_day() -> None:
    def level(days: int) -> float:
        began = lines(GRID[-days:], -2.0, treatment="one_off", kind="credit", item="grant")
        return float(split(usage(), began).learnable[0, -1])

    assert [level(days) for days in (1, 2, 3, 4)] == [5.0, 5.0, 3.0, 3.0]


def test_item_without_a_rhythm_is_given_back_to_what_is_learnt() -> None:
    odd = lines(["2025-02-03", "2025-02-19", "2025-05-30", "2025-06-11", "2025-08-02"], 50.0)
    parts = split(odd)
    assert parts.learnable.sum() == 250.0
    assert not len(parts.schedules)


def test_days_after_the_cutoff_change_nothing_before_it() -> None:
    whole = pd.concat([used_by_the_day([300.0] * 8), lines(firsts("2025-02-01"), 70.0, item="fee")], ignore_index=True)
    cut = GRID[:200]
    known = whole[whole["ds"] <= cut[-1]]
    later = whole.assign(cost=np.where(whole["ds"] > cut[-1], 1e9, whole["cost"]))
    poisoned = split(later[later["ds"] <= cut[-1]], grid=cut)
    pd.testing.assert_frame_equal(split(known, grid=cut).schedules.table(), poisoned.schedules.table())


def test_nothing_at_all_splits_into_nothing() -> None:
    parts = split(usage().iloc[:0])
    assert parts.total.shape == (1, len(GRID))
    assert not parts.total.any()
    assert not list(simulate(parts.schedules, START, 5, 10, np.random.default_rng(0)))


def test_missing_column_and_foreign_rows_are_refused() -> None:
    with pytest.raises(SchemaError, match="no column 'item'"):
        split(lines(GRID).drop(columns="item"))
    with pytest.raises(InputError, match="outside the leaves"):
        split(lines(GRID, leaf=1))
    with pytest.raises(InputError, match="outside the leaves"):
        split(lines(GRID), grid=GRID[:-1])


# Schedules


@pytest.mark.parametrize(
    ("part", "cadence", "day"),
    [
        (lines(GRID), "daily", "2025-08-31"),
        (lines(GRID[4::7]), "weekly", "2025-08-31"),
        (lines(firsts()), "monthly", "2025-08-01"),
        (
            lines(["2025-01-31", "2025-02-28", "2025-03-31", "2025-04-30", "2025-05-31", "2025-06-30", "2025-07-31", "2025-08-31"]),
            "monthly",
            "2025-08-31",
        ),
        (lines(["2025-01-15", "2025-04-15", "2025-07-15"]), "quarterly", "2025-07-15"),
        (lines(["2025-03-10"], length=365), "yearly", "2025-03-10"),
        (lines(["2025-08-03"], length=31), "monthly", "2025-08-03"),
        (lines(["2025-08-03"]), "monthly", "2025-08-03"),
    ],
)
def test_cadence_is_read_off_the_charges(part: pd.DataFrame, cadence: str, day: str) -> None:
    entry = schedule(part)
    assert (entry["cadence"], str(entry["last"])[:10], entry["amount"], bool(entry["ended"])) == (cadence, day, 10.0, False)


def come(part: pd.DataFrame, horizon: int = 122) -> pd.Series:
    """What is projected, without what it takes off for ending."""
    parts = split(part)
    certain = Schedules(**{**vars(parts.schedules), "ending": np.zeros(len(parts.schedules))})
    money = pd.Series(project(certain, START, horizon)[0], pd.date_range(START, periods=horizon, freq="D"))
    return money[money != 0.0]


def by_month(money: pd.Series) -> pd.Series:
    return money.groupby(pd.DatetimeIndex(money.index).month).sum()


def test_fee_of_the_31st_comes_on_the_last_day_of_shorter_months() -> None:
    money = come(lines([str(day.date()) for day in pd.date_range("2025-01-31", "2025-08-31", freq="ME")]))
    assert [str(day.date()) for day in money.index] == ["2025-09-30", "2025-10-31", "2025-11-30", "2025-12-31"]


def test_quarterly_fee_keeps_its_day() -> None:
    assert [str(day.date()) for day in come(lines(["2025-01-15", "2025-04-15", "2025-07-15"])).index] == ["2025-10-15"]


def test_weekly_fee_keeps_its_weekday() -> None:
    assert [str(day.date()) for day in come(lines(GRID[4::7]), 20).index] == ["2025-09-07", "2025-09-14"]


def test_fee_by_the_day_follows_the_length_of_the_month() -> None:
    money = come(billed_by_the_day(12.0))
    np.testing.assert_allclose(money.to_numpy(), 12.0 * np.array([30, 31, 30, 31]))
    assert split(billed_by_the_day(12.0)).schedules.spread[0] == pytest.approx(0.0, abs=1e-12)


def test_days_share_of_a_fee_adds_up_to_the_fee_in_every_month() -> None:
    money = come(used_by_the_day([310.0] * 8))
    np.testing.assert_allclose(by_month(money).to_numpy(), 310.0)


def test_seats_go_on_growing_as_they_have_grown() -> None:
    grown = 1000.0 * np.exp(0.02 * np.arange(8))
    entry = schedule(used_by_the_day(list(grown)))
    # Seven changes of one item are believed by 7 / (7 + 12).
    assert entry["growth"] == pytest.approx(0.02 * 7 / 19)
    money = come(used_by_the_day(list(grown)))
    months = by_month(money).to_numpy()
    np.testing.assert_allclose(months, grown[-1] * np.exp(entry["growth"] * np.arange(1, 5)))


def test_hires_in_the_middle_of_a_month_are_growth_and_not_certainty() -> None:
    steady = 20.0 * np.exp(0.02 * (GRID.month - 1 + (GRID.day >= 15)))
    entry = schedule(lines(GRID, list(steady)))
    assert not entry["by_days"]
    assert entry["growth"] == pytest.approx(0.02 * 7 / 19)
    rng = np.random.default_rng(1)
    moves = np.cumsum(0.04 * rng.standard_normal(9))
    restless = schedule(lines(GRID, list(20.0 * np.exp(moves[GRID.month - 1 + (GRID.day >= 15)]))))
    assert restless["spread"] > 0.02


def test_new_agreement_is_no_growth() -> None:
    assert schedule(used_by_the_day([100.0] * 5 + [400.0] * 3))["growth"] == pytest.approx(0.0, abs=1e-12)
    assert come(used_by_the_day([100.0] * 5 + [400.0] * 3), 30).sum() == pytest.approx(400.0)


def test_item_that_missed_its_day_has_ended_and_one_that_is_a_little_late_has_not() -> None:
    for end, ended in (("2025-09-04", False), ("2025-09-12", True)):
        assert bool(schedule(lines(firsts()), pd.date_range("2025-01-01", end, freq="D"))["ended"]) is ended
    assert come(lines(firsts(end="2025-06-02"))).empty
    assert come(lines(GRID[:-10])).empty
    assert not come(lines(GRID[:-3])).empty


def test_charge_of_working_days_is_no_daily_fee() -> None:
    assert not len(split(lines(GRID[GRID.day_of_week < 5])).schedules)


def test_kind_whose_items_end_is_expected_to_end_more() -> None:
    def kept(ended: int) -> float:
        items = [lines(firsts(), item=f"kept {number}") for number in range(4)]
        items += [lines(firsts(end="2025-04-02"), item=f"ended {number}") for number in range(ended)]
        return float(split(*items).schedules.ending[0])

    assert kept(0) == pytest.approx(1.0 / (4 * 243 / 30.4 + 48.0))
    assert kept(4) > 3 * kept(0)


def test_term_that_was_paid_is_renewed_at_its_end_or_not() -> None:
    part = lines(["2024-10-15"], 1200.0, length=365)
    grid = pd.date_range("2024-09-01", "2025-08-31", freq="D")
    parts = split(part, grid=grid)
    assert str(parts.schedules.term_end[0]) == "2025-10-15"
    certain = Schedules(**{**vars(parts.schedules), "ending": np.zeros(1)})
    money = project(certain, START, 122)[0]
    assert np.flatnonzero(money).tolist() == [(dt.date(2025, 10, 15) - START).days]
    assert money.sum() == pytest.approx(RENEWAL * 1200.0)
    assert sum(paths.sum() for _, paths in simulate(certain, START, 122, 4000, np.random.default_rng(1))) / 4000 == pytest.approx(960.0, rel=0.03)


def test_fee_of_a_commitment_ends_with_the_term_that_was_paid_for_upfront() -> None:
    """Partly upfront: one purchase whose charge period is the term, and fees whose charge periods are months."""
    grid = pd.date_range("2024-09-01", "2025-08-31", freq="D")
    upfront = lines(["2024-10-15"], 1200.0, length=365, kind="commitment_purchase", item="commitment-1")
    fees = lines(
        pd.date_range("2024-10-15", "2025-08-15", freq=pd.DateOffset(months=1)), 100.0, length=31, kind="commitment_fee", item="commitment-1"
    )
    other = fees.assign(item="commitment-2")
    table = split(upfront, fees.assign(leaf=1), other, leaves=2, grid=grid).schedules.table().set_index(["kind", "item"])
    ends = {key: (str(row["term_end"])[:10], row["term"]) for key, row in table.iterrows()}
    assert ends == {
        ("commitment_purchase", "commitment-1"): ("2025-10-15", 365),
        ("commitment_fee", "commitment-1"): ("2025-10-15", 365),
        ("commitment_fee", "commitment-2"): ("NaT", 0),
    }
    parts = split(upfront, fees.assign(leaf=1), leaves=2, grid=grid)
    certain = Schedules(**{**vars(parts.schedules), "ending": np.zeros(2)})
    money = project(certain, START, 122)[1]
    np.testing.assert_allclose(money[np.flatnonzero(money)], [100.0, RENEWAL * 100.0, RENEWAL * 100.0, RENEWAL * 100.0])
    # In amortised cost an upfront purchase costs nothing, and says as much about the term.
    free = split(upfront.assign(cost=0.0), fees, grid=grid).schedules
    assert [str(day) for day in free.term_end] == ["2025-10-15"]


def test_fee_that_went_on_after_its_term_is_paid_by_the_month() -> None:
    grid = pd.date_range("2023-09-01", "2025-08-31", freq="D")
    upfront = lines(["2023-10-15"], 1200.0, length=366, kind="commitment_purchase", item="commitment-1")
    fees = lines(
        pd.date_range("2023-10-15", "2025-08-15", freq=pd.DateOffset(months=1)), 100.0, length=31, kind="commitment_fee", item="commitment-1"
    )
    table = split(upfront, fees, grid=grid).schedules.table().set_index("kind")
    assert np.isnat(table["term_end"].to_numpy()[table.index == "commitment_fee"]).all()


@pytest.mark.parametrize("days", [45, 180, 1095])
def test_term_of_any_length_is_paid_again_at_its_end_or_not_and_is_no_level(days: int) -> None:
    bought = pd.Timestamp("2025-09-20") - pd.Timedelta(days=days)
    grid = pd.date_range(min(bought, pd.Timestamp("2025-01-01")), "2025-08-31", freq="D")
    part = lines([str(bought.date())], 5000.0, length=days, kind="commitment_purchase")
    parts = split(part, grid=grid)
    assert not parts.learnable.any()
    certain = Schedules(**{**vars(parts.schedules), "ending": np.zeros(1)})
    money = project(certain, START, 40)[0]
    assert np.flatnonzero(money).tolist() == [(dt.date(2025, 9, 20) - START).days]
    assert money.sum() == pytest.approx(RENEWAL * 5000.0)
    over = split(part, grid=pd.date_range(grid[0], "2025-10-15", freq="D")).schedules
    assert over.ended.all()


# Paths


def company() -> SplitHistory:
    rng = np.random.default_rng(5)
    parts = []
    for number in range(20):
        months = 900.0 * np.exp(np.cumsum(0.02 + 0.05 * rng.standard_normal(8)))
        parts.append(used_by_the_day(list(months)).assign(item=f"seats {number}", leaf=number % 4))
    return split(*parts, leaves=5)


def test_mean_of_paths_is_the_projection_and_seed_decides() -> None:
    schedules = company().schedules
    expected = project(schedules, START, 91)
    found = np.zeros((5, 91, 4000))
    for leaf, paths in simulate(schedules, START, 91, 4000, np.random.default_rng(2)):
        found[leaf] = paths
    np.testing.assert_allclose(found.mean(axis=2).sum(axis=1), expected.sum(axis=1), rtol=0.02)
    assert not found[4].any()
    again = dict(simulate(schedules, START, 91, 4000, np.random.default_rng(2)))
    assert all(np.array_equal(found[leaf], paths) for leaf, paths in again.items())


def test_intervals_of_totals_hold_as_often_as_they_say() -> None:
    """Items whose amounts move by a known law: 80 % intervals of 28- and 91-day totals, over 60 histories of 12 items."""
    rng = np.random.default_rng(11)
    grid = pd.date_range("2024-09-01", "2025-11-30", freq="D")
    cut = int(grid.searchsorted(pd.Timestamp("2025-09-01")))
    inside: dict[int, list[bool]] = {28: [], 91: []}
    month = np.asarray(grid.to_period("M").astype("int64"))
    month = month - month[0]
    for world in range(60):
        moves = np.cumsum(0.02 + 0.04 * rng.standard_normal((12, month[-1] + 1)), axis=1)
        values = 500.0 * np.exp(moves)[:, month] / grid.days_in_month.to_numpy()
        keys = pd.DataFrame({"leaf": np.arange(12), "kind": "subscription", "item": "seats"})
        ends = np.full(12, np.datetime64("2025-09-01", "D"))
        schedules = find_schedules(keys, values[:, :cut], ends, grid[:cut], 12)
        for leaf, paths in simulate(schedules, START, 91, 400, np.random.default_rng(world)):
            for days, found in inside.items():
                low, high = np.quantile(paths[:days].sum(axis=0), [0.1, 0.9])
                found.append(bool(low <= values[leaf, cut : cut + days].sum() <= high))
    assert 0.75 < np.mean(inside[28]) < 0.88
    assert 0.75 < np.mean(inside[91]) < 0.88


def test_money_in_cents_is_a_hundred_times_money_in_dollars() -> None:
    part = used_by_the_day([300.0, 310.0, 305.0, 330.0, 328.0, 340.0, 344.0, 350.0])
    cents = part.assign(cost=part["cost"] * 100.0)
    np.testing.assert_allclose(project(split(cents).schedules, START, 60), 100.0 * project(split(part).schedules, START, 60))
