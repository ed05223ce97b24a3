"""Nowcasts of provisional days: exact where nothing is provisional, calibrated where the truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from benchmarks.nowcast import company_developments, groups, judge_moment, leaf_names
from forecast.company.generate import Company, generate
from forecast.errors import InputError
from forecast.spend.completeness import learn_completeness
from forecast.spend.nowcast import Nowcast, carried, nowcast
from tests.spend.bills import START, Floats, after_hours, bill, connected, final_costs, known_matrix

DAYS = 150


@pytest.fixture(scope="module")
def company() -> Company:
    return generate(5, 150, 2)


@pytest.fixture(scope="module")
def developments(company: Company) -> pd.DataFrame:
    return company_developments(company)


def late_by_two_days(late: NDArray[np.bool_]) -> Callable[[int, pd.Timestamp], pd.Timestamp]:
    return lambda day, end: end + pd.Timedelta(hours=5 + 48 * bool(late[day]))


def noon_after(number: int) -> pd.Timestamp:
    return START + pd.Timedelta(days=number + 1, hours=12)


def run(developments: pd.DataFrame, owner: dict[str, str], number: int = DAYS - 11, seed: int = 0, scale: float = 1.0) -> Nowcast:
    as_of, ids = noon_after(number), list(owner)
    grid = pd.date_range(START, periods=number + 1, freq="D")
    scaled = developments.assign(change=scale * developments["change"])
    completeness = learn_completeness(scaled, as_of, source_of=owner)
    return nowcast(known_matrix(scaled, ids, grid, as_of), grid, ids, list(owner.values()), completeness, n_draws=400, seed=seed)


def too_high_at_first(seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(DAYS) < 0.6, rng.uniform(1.06, 1.11, DAYS), 1.0)


def two_of_one_vendor() -> pd.DataFrame:
    first = too_high_at_first()
    return pd.concat([bill(name, final_costs(DAYS, number), after_hours(5), first=first) for number, name in enumerate("ab")])


def test_settled_days_stay_bit_for_bit() -> None:
    developments = pd.concat([bill(name, final_costs(DAYS, number), after_hours(5)) for number, name in enumerate("ab")])
    found = run(developments, {"a": "vendor", "b": "vendor"})
    assert found.settled[:, -30:].all()
    assert found.first == found.known.shape[1]
    assert found.draws.shape == (2, 0, 400)
    np.testing.assert_array_equal(found.mean, found.known)


def test_what_nothing_was_learned_about_is_taken_as_it_is() -> None:
    developments = connected(two_of_one_vendor(), noon_after(DAYS - 11))
    found = run(developments, {"a": "vendor", "b": "vendor"})
    np.testing.assert_array_equal(found.mean, found.known)
    assert not found.settled[:, -1].any()


def test_early_totals_that_are_usually_too_high_are_brought_down() -> None:
    developments = two_of_one_vendor()
    found = run(developments, {"a": "vendor", "b": "vendor"})
    ratio = found.mean[:, -1] / found.known[:, -1]
    assert (ratio > 0.92).all()
    assert (ratio < 0.98).all()
    np.testing.assert_array_equal(found.mean[:, :-10], found.known[:, :-10])


def test_draws_share_the_shock_of_their_source_and_only_of_theirs() -> None:
    others = bill("c", final_costs(DAYS, 7), after_hours(5), first=too_high_at_first(9))
    found = run(pd.concat([two_of_one_vendor(), others]), {"a": "vendor", "b": "vendor", "c": "another"})
    last = found.draws[:, -1]
    correlation = np.asarray(np.corrcoef(last))
    assert correlation[0, 1] > 0.9
    assert abs(correlation[0, 2]) < 0.25


def test_day_that_has_not_arrived_is_drawn_from_what_is_usual() -> None:
    found = run(bill("a", final_costs(DAYS), after_hours(30)), {"a": "vendor"})
    assert found.known[0, -1] == 0.0
    assert found.mean[0, -1] == pytest.approx(100.0, rel=0.1)
    low, high = np.quantile(found.draws[0, -1], [0.1, 0.9])
    assert 15.0 < high - low < 50.0


def test_series_left_out_of_a_day_that_has_arrived_is_late_and_an_idle_one_is_idle() -> None:
    rng = np.random.default_rng(3)
    names = [f"s{number}" for number in range(12)]
    parts = []
    for number, name in enumerate(names):
        late = rng.random(DAYS) < 0.1
        late[DAYS - 11] = number == 0
        final = final_costs(DAYS, number) * (0.0 if number == 1 else 1.0) ** (np.arange(DAYS) > 100)
        parts.append(bill(name, final, late_by_two_days(late)))
    developments = pd.concat(parts)
    found = run(developments[developments["change"] != 0.0], dict.fromkeys(names, "vendor"))
    assert found.known[0, -1] == 0.0
    assert found.mean[0, -1] > 40.0
    assert found.mean[1, -1] < 10.0
    np.testing.assert_allclose(found.mean[2:, -1], found.known[2:, -1], rtol=0.1)


def test_seed_decides_and_cents_are_a_hundred_times_dollars() -> None:
    developments, owner = two_of_one_vendor(), {"a": "vendor", "b": "vendor"}
    one, two, cents = run(developments, owner), run(developments, owner), run(developments, owner, scale=100.0)
    np.testing.assert_array_equal(one.draws, two.draws)
    assert not np.array_equal(one.draws, run(developments, owner, seed=1).draws)
    np.testing.assert_allclose(cents.draws, 100.0 * one.draws, rtol=1e-9)


def test_total_counts_settled_days_once() -> None:
    found = run(two_of_one_vendor(), {"a": "vendor", "b": "vendor"})
    begin = found.first - 5
    wanted = found.known[:, begin : found.first].sum() + found.draws.sum(axis=(0, 1))
    np.testing.assert_allclose(found.total(start=begin), wanted)
    np.testing.assert_allclose(found.total(np.array([0])), found.draws[0].sum(axis=0))


def test_wrong_shapes_are_named() -> None:
    found = learn_completeness(two_of_one_vendor(), noon_after(100))
    with pytest.raises(InputError, match="known has shape"):
        nowcast(np.zeros((2, 3)), pd.date_range(START, periods=4), ["a", "b"], ["v", "v"], found)


def test_carried_paths_keep_their_mean_and_get_wider() -> None:
    found = run(bill("a", final_costs(DAYS), after_hours(30)), {"a": "vendor"})
    paths = np.full((1, 28, 800), 100.0, dtype=np.float32)
    wider = carried(paths, found)
    assert wider.shape == paths.shape
    assert wider.mean() == pytest.approx(100.0, rel=1e-4)
    assert wider[0].sum(axis=0).std() > 0
    nothing = run(bill("a", final_costs(DAYS), after_hours(5)), {"a": "vendor"})
    assert carried(paths, nothing) is paths


def test_generated_company_is_nowcast_within_its_intervals(developments: pd.DataFrame) -> None:
    ids = sorted(developments["source"].unique())
    moments = pd.date_range(developments["ds"].max() - pd.Timedelta(days=60), periods=6, freq="163h")
    rows = pd.concat([judge_moment(developments, ids, groups(ids), at, seed=1)[0] for at in moments])
    ordinary = rows[~rows["month_end"] & (rows["age"] <= 1)]
    off = ordinary[["known", "median"]].sub(ordinary["actual"], axis=0).abs()
    money = off.groupby(ordinary["level"]).sum()
    assert (money["median"] < 0.6 * money["known"]).all()
    for level in ("leaf", "team", "provider"):
        assert 0.65 < ordinary.loc[ordinary["level"] == level, "inside"].mean() < 0.97


def test_days_called_settled_do_not_change(developments: pd.DataFrame) -> None:
    ids = sorted(developments["source"].unique())
    moments = pd.date_range(developments["ds"].max() - pd.Timedelta(days=60), periods=4, freq="163h")
    settled = pd.concat([judge_moment(developments, ids, groups(ids), at, seed=1)[1] for at in moments])
    called = settled[settled["settled"]]
    assert len(called) > 0.5 * len(settled)
    assert called["changed"].mean() < 0.06


def test_developments_of_a_company_add_up_to_its_rows(company: Company, developments: pd.DataFrame) -> None:
    final = company.rows.groupby(leaf_names(company.rows))["EffectiveCost"].sum()
    pd.testing.assert_series_equal(developments.groupby("source")["change"].sum(), final[final != 0], check_names=False, atol=1e-5)
