"""What a stream promises whatever it is fed: causal, alive after monsters, calibrated on noise, restorable bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from forecast.anomalies.habits import DAY, WEEK, Habits, Season
from forecast.anomalies.ranks import Ranks
from forecast.anomalies.stream import SpikeStream
from forecast.errors import InputError

START = 1_700_000_000
ROWS_A_MONTH = 8766.0
THRESHOLD = float(np.log10(ROWS_A_MONTH))

Series = Callable[[np.random.Generator, int], NDArray[np.float64]]


def autoregressive(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    noise, found, last = rng.normal(size=n), np.empty(n), 0.0
    for row in range(n):
        last = 0.5 * last + noise[row]
        found[row] = last
    return found


NOISE: dict[str, Series] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "gamma": lambda rng, n: rng.gamma(2.0, 1.0, n),
    "uniform": lambda rng, n: rng.random(n),
    "counts": lambda rng, n: rng.poisson(5.0, n).astype(float),
    "season": lambda rng, n: 10.0 * np.sin(2 * np.pi * np.arange(n) / 288) + rng.normal(size=n),
    "autoregressive": autoregressive,
}
SERIES: dict[str, Series] = {
    **NOISE,
    "constant": lambda rng, n: np.full(n, 45.0),
    "sparse": lambda rng, n: np.where(rng.random(n) < 0.02, rng.gamma(2.0, 10.0, n), 0.0),
    "heavy": lambda rng, n: np.exp(rng.normal(0.0, 2.0, n)),
    "random walk": lambda rng, n: np.cumsum(rng.normal(size=n)),
}


def stamps(n: int, seconds: int = 300) -> NDArray[np.float64]:
    return START + seconds * np.arange(n, dtype=float)


def scored(values: NDArray[np.float64], threshold: float = THRESHOLD) -> NDArray[np.float64]:
    return SpikeStream(threshold).score_many(values, stamps(len(values)))


def bits(values: Any) -> bytes:
    return np.asarray(values, dtype=np.float64).tobytes()


@pytest.mark.parametrize("name", SERIES)
def test_scores_do_not_change_when_the_future_is_poisoned(name: str) -> None:
    values = SERIES[name](np.random.default_rng(1), 3000)
    poisoned = values.copy()
    poisoned[2000:] = np.random.default_rng(2).choice([1e300, -1e300, np.nan, np.inf, 0.0], 1000)
    assert bits(scored(values)[:2000]) == bits(scored(poisoned)[:2000])


@pytest.mark.parametrize("name", SERIES)
def test_scores_are_finite_and_in_zero_to_one(name: str) -> None:
    values = SERIES[name](np.random.default_rng(3), 3000)
    values[::500] = 1.7e308
    values[100::500] = -1.7e308
    found = scored(values)
    assert np.isfinite(found).all()
    assert found.min() >= 0.0
    assert found.max() <= 1.0


@pytest.mark.parametrize("name", SERIES)
def test_many_rows_at_once_give_the_bits_of_row_by_row(name: str) -> None:
    values = SERIES[name](np.random.default_rng(4), 2000)
    values[50] = np.nan
    times = stamps(2000)
    one = SpikeStream(THRESHOLD)
    assert bits(scored(values)) == bits([one.score(value, time) for value, time in zip(values.tolist(), times.tolist(), strict=True)])


def test_stamps_of_every_kind_give_the_same_bits() -> None:
    values = NOISE["season"](np.random.default_rng(5), 1500)
    times = pd.DatetimeIndex(pd.to_datetime(stamps(1500), unit="s"))
    expected = bits(scored(values))
    kinds: list[Any] = [times, times.to_numpy(), times.tz_localize("UTC").tolist(), times.astype(str).tolist(), [int(time) for time in stamps(1500)]]
    for given in kinds:
        assert bits(SpikeStream(THRESHOLD).score_many(values, given)) == expected


@pytest.mark.parametrize("season", [DAY, WEEK])
@pytest.mark.parametrize("name", SERIES)
def test_restored_stream_goes_on_bit_for_bit(name: str, season: Season) -> None:
    """Cut in the wait, in the first day, in full swing and after the memory has begun to forget; also through JSON."""
    values = SERIES[name](np.random.default_rng(6), 5200)
    values[[700, 2999]] = 1e9
    times = stamps(5200, season.slot_seconds // 12)
    whole = SpikeStream(THRESHOLD, season).score_many(values, times)
    stream = SpikeStream(THRESHOLD, season)
    found = []
    for start, end in ((0, 7), (7, 150), (150, 3000), (3000, 4900), (4900, 5200)):
        found.append(stream.score_many(values[start:end], times[start:end]))
        state = stream.state()
        text = json.dumps(state, default=lambda array: array.tolist())
        other = SpikeStream.restore(json.loads(text))
        assert json.dumps(other.state(), default=lambda array: array.tolist()) == text
        stream = SpikeStream.restore(state)
    assert bits(np.concatenate(found)) == bits(whole)


def test_state_is_a_copy() -> None:
    stream = SpikeStream(THRESHOLD)
    stream.score_many(NOISE["normal"](np.random.default_rng(7), 500), stamps(500))
    state = stream.state()
    before = json.dumps(state, default=lambda array: array.tolist())
    stream.score(1e6, START + 1e6)
    assert json.dumps(state, default=lambda array: array.tolist()) == before


def test_state_is_bounded_even_when_the_clock_is_mad() -> None:
    def numbers(state: dict[str, Any]) -> int:
        return len(json.dumps(state, default=lambda array: [0] * len(array)))

    rng = np.random.default_rng(8)
    stream = SpikeStream(THRESHOLD)
    stream.score_many(rng.normal(size=9000), rng.uniform(-1e12, 1e12, 9000))
    first = numbers(stream.state())
    stream.score_many(rng.normal(size=9000), rng.uniform(-1e12, 1e12, 9000))
    assert numbers(stream.state()) <= first * 1.02
    assert len(stream.state()["row_habits"][0]) <= 4 * 24
    assert max(len(stream.state()[name]) for name in ("step", "distance", "same_hour", "net", "departure")) <= 4000


def test_state_of_another_version_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        SpikeStream.restore({**SpikeStream(THRESHOLD).state(), "version": 99})
    assert caught.value.field == "version"


@pytest.mark.parametrize("monster", [1e3, 1e9, 1e300])
@pytest.mark.parametrize("name", ["normal", "season", "counts", "constant"])
def test_monster_spike_leaves_no_permanent_alarm(name: str, monster: float) -> None:
    values = SERIES[name](np.random.default_rng(9), 9000)
    values[3000] = monster
    found = scored(values)
    assert found[3000] >= 0.5
    assert (found[3001:] >= 0.5).sum() <= 2


@pytest.mark.parametrize("monster", [1e3, 1e9, 1e300])
@pytest.mark.parametrize("name", ["normal", "season", "counts", "sparse"])
def test_monster_spike_leaves_no_permanent_deafness(name: str, monster: float) -> None:
    values = SERIES[name](np.random.default_rng(10), 9000)
    values[3000] = monster
    later = [3200, 3700, 5000, 8500]
    values[later] += 300.0
    assert (scored(values)[later] >= 0.5).all()


def test_monsters_every_day_become_ordinary() -> None:
    values = NOISE["normal"](np.random.default_rng(11), 288 * 25)
    values[100::288] = 1e6
    found = scored(values)
    assert found[388] >= 0.5
    assert (found[288 * 8 :] >= 0.5).sum() <= 1


@pytest.mark.parametrize("name", ["normal", "season", "counts"])
def test_way_back_from_a_spike_is_no_second_alarm(name: str) -> None:
    values = SERIES[name](np.random.default_rng(21), 4000)
    values[3000] += 100.0
    assert (scored(values)[3000:3100] >= 0.5).tolist() == [True] + [False] * 99


def test_new_level_is_learned() -> None:
    values = NOISE["normal"](np.random.default_rng(12), 9000)
    values[3000:] += 1000.0
    found = scored(values)
    assert found[3000] >= 0.5
    assert (found[3400:] >= 0.5).sum() <= 3


@pytest.mark.parametrize("name", NOISE)
def test_share_above_one_half_is_about_the_declared_rate(name: str) -> None:
    """Three times as often at most, for one alarm in 100, 400 and 1,600 rows, on every kind of noise; not silent either."""
    values = NOISE[name](np.random.default_rng(13), 24_000)
    for rows in (100, 400, 1600):
        found = SpikeStream(float(np.log10(rows))).score_many(values, stamps(len(values)))[1000:]
        expected = len(found) / rows
        assert expected / 5 <= (found >= 0.5).sum() <= 3 * expected, (rows, expected)


def test_more_false_alarms_allowed_means_more_alarms() -> None:
    values = NOISE["gamma"](np.random.default_rng(14), 3000)
    strict, lax = (SpikeStream(threshold).score_many(values, stamps(3000)) for threshold in (4.0, 2.0))
    assert (lax >= 0.5).sum() > (strict >= 0.5).sum()


def test_daily_spikes_are_a_habit_and_the_same_spike_at_another_hour_is_news() -> None:
    rng = np.random.default_rng(15)
    values = rng.normal(50.0, 1.0, 288 * 14)
    values[36::288] += rng.uniform(20.0, 40.0, 14)
    noon = values.copy()
    noon[288 * 12 + 200] += 30.0
    assert (scored(values, 3.0)[288 * 5 :] >= 0.5).sum() <= 1
    assert scored(noon, 3.0)[288 * 12 + 200] >= 0.5


def test_slow_departure_is_seen_by_its_mean() -> None:
    """No single row need be strange: the shift is one and a half deviations."""
    values = np.random.default_rng(16).normal(0.0, 1.0, 4000)
    values[3500:3600] += 1.5
    found = scored(values, 3.0)
    assert (found[3500:3600] >= 0.5).any()


def test_daily_rows_are_compared_with_the_same_day_of_the_week() -> None:
    days = np.arange(400)
    values = 100.0 * np.where(days % 7 >= 5, 0.4, 1.0) * np.exp(np.random.default_rng(17).normal(0.0, 0.05, 400))
    saturday = int(np.flatnonzero(days % 7 == 5)[45])
    values[saturday] *= 2.5
    threshold = float(np.log10(30.4))
    found = [SpikeStream(threshold, season).score_many(values, START + 86_400.0 * days)[saturday] for season in (WEEK, DAY)]
    assert found[0] >= 0.5 > found[1]


def test_late_and_repeated_rows_are_scored_and_gaps_are_not_strange() -> None:
    values = NOISE["season"](np.random.default_rng(18), 4000)
    times = stamps(4000)
    times[1000:1010] = times[1000]
    times[2000] = times[1500]
    times[3000:] += 86_400.0 * 10
    values[2500] += 60.0
    found = SpikeStream(THRESHOLD).score_many(values, times)
    assert int(np.argmax(found)) == 2500
    assert (found[900:2499] >= 0.5).sum() <= 2
    assert (found[2990:3100] >= 0.5).sum() <= 1


def test_as_many_values_as_stamps_are_wanted() -> None:
    with pytest.raises(InputError) as caught:
        SpikeStream(THRESHOLD).score_many(np.ones(3), stamps(2))
    assert caught.value.field == "timestamps"


def test_missing_stamp_among_many_is_refused_and_nothing_is_learned() -> None:
    stream = SpikeStream(THRESHOLD)
    with pytest.raises(InputError) as caught:
        stream.score_many(np.ones(2), np.array(["2026-01-01", "NaT"], dtype="datetime64[s]"))
    assert caught.value.field == "timestamp"
    assert stream.state()["seen"] == 0


@pytest.mark.parametrize(
    ("season", "field"),
    [((0, 24, 2, 100), "slot_seconds"), ((3600, 24, 12, 100), "around"), ((3600, 24, 2, 0), "quiet"), ((3600, 1.5, 0, 9), "slots")],
)
def test_season_that_is_none_is_refused(season: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        Season(*season)
    assert caught.value.field == field


def test_surprise_is_the_rank_among_earlier_sizes() -> None:
    """The plain twin, for sizes below the tail; forgetting included."""
    sizes = np.random.default_rng(19).random(6000)
    ranks = Ranks()
    for number, size in enumerate(sizes.tolist()):
        found = ranks.surprise(size)
        earlier = sizes[max(0, number - 4000) : number]
        if number < 20:
            assert found == 0.0
        elif size <= np.sort(earlier)[-max(len(earlier) // 50, 5)]:
            assert found == pytest.approx(-np.log10(((earlier >= size).sum() + 1) / (len(earlier) + 1)), abs=1e-12)
        else:
            assert found > -np.log10(max(len(earlier) // 50, 5) / len(earlier))


def test_surprises_of_exponential_sizes_are_exponential_tails() -> None:
    sizes = np.random.default_rng(20).exponential(1.0, 30_000)
    ranks = Ranks()
    found = np.array([ranks.surprise(size) for size in sizes.tolist()])[4000:]
    for decades in (1.0, 2.0, 3.0):
        assert (found >= decades).mean() == pytest.approx(10.0**-decades, rel=0.35)


def test_habit_is_the_median_of_the_last_periods() -> None:
    habits = Habits(DAY)
    for day, surprise in enumerate([4.0, 9.0, 5.0]):
        habits.news(surprise, 24 * day + 3 + day % 2)
    assert habits.news(6.0, 24 * 3 + 4) == pytest.approx(6.0 - 0.5 * (5.0 - 2.0))
    assert habits.news(6.0, 24 * 3 + 15) == 6.0
