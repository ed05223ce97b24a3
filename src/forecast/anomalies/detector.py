"""SpikeDetector: find strange values at a declared false-alarm rate, in any panel, without a snapshot."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.anomalies.expectation import LINEAR, WAIT, Expectation, phases, replay, settled, transform_constant
from forecast.anomalies.habits import DAY, HOURS, WEEK
from forecast.anomalies.stream import SpikeStream
from forecast.anomalies.tail import Tail, fit_tail, stretch
from forecast.anomalies.threshold import DAYS_A_MONTH, false_alarm_threshold, score_of, surprise_size
from forecast.errors import InputError, NotFittedError
from forecast.spend.panel import DS, ID, Y, check_panel, parse_freq, to_matrix

INTERVAL: tuple[float, float] = (0.025, 0.975)
"""Quantiles of `lower` and `upper`."""


class SpikeDetector:
    """Scores of panel rows, each made from what was known before it.

    freq : a fixed pandas frequency. false_alarms_per_month : merged incidents a month that the whole panel tolerates.
    The constructor only stores; what is learned ends in `_`.
    """

    def __init__(self, freq: str = "D", false_alarms_per_month: float = 1.0) -> None:
        self.freq = freq
        self.false_alarms_per_month = false_alarms_per_month

    def fit(self, panel: pd.DataFrame) -> Self:
        """Learn levels, seasons, scales, the tail of surprises and the threshold from history (columns unique_id, ds, y)."""
        self._check()
        matrix = to_matrix(panel, self.freq)
        phase, n_phases = phases(matrix.ds, self.freq)
        state = Expectation.new(transform_constant(matrix.values, LINEAR), n_phases)
        seen = replay(state, matrix.values, phase)
        self.ids_ = matrix.ids
        self.ds_ = matrix.ds
        self.values_ = matrix.values
        self.signed_ = (np.nan_to_num(matrix.values) < 0).any(axis=1)
        self.n_phases_ = n_phases
        usual = settled(seen.surprise)
        self.stretch_ = stretch(usual)
        self.location_, self.spread_ = seen.location, seen.spread * self.stretch_[:, None]
        surprises = usual / self.stretch_[:, None]
        self.tail_: Tail = fit_tail(surprises)
        self.state_ = state
        self.threshold_ = false_alarm_threshold(
            _largest(surprise_size(self.tail_.p_values(surprises))), self._periods_a_month(), self.false_alarms_per_month
        )
        return self

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows (unique_id, ds, y) with expected, lower, upper, p_value, score, is_anomaly; one row out for each row in, same order.

        A row inside the history is scored by what was expected before it; later rows by what came before them, within
        history and these rows. Later rows never change the score of earlier ones, and scoring changes nothing in the detector.
        A series that is new, or whose value is NaN, cannot be surprising: expected and p_value are NaN, is_anomaly is False.
        lower and upper are the 2.5 % and 97.5 % quantiles; score is 0.5 at the threshold.
        """
        if not hasattr(self, "tail_"):
            raise NotFittedError(f"{type(self).__name__}: score was called before fit")
        frame = check_panel(rows)
        times = self._on_grid(pd.DatetimeIndex(frame[DS]))
        known = dict.fromkeys(self.ids_)
        ids = pd.Index([*known, *(name for name in pd.unique(frame[ID]).tolist() if name not in known)])
        series = ids.get_indexer(pd.Index(frame[ID]))
        values = frame[Y].to_numpy()
        location, spread = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
        column = self.ds_.get_indexer(times)
        past = (column >= 0) & (series < len(known))
        location[past] = self.location_[series[past], column[past]]
        spread[past] = self.spread_[series[past], column[past]]
        in_time = np.argsort(times, kind="stable")
        state, wildness = self._extended(ids, frame[ID].iloc[in_time], values[in_time])
        coming = np.flatnonzero(~past & ((times > self.ds_[-1]) | (series >= len(known))))
        phase, _ = phases(times, self.freq)
        for moment in np.unique(times[coming]):
            here = coming[times[coming] == moment]
            number = int(phase[here[0]])
            waits = state.seen[series[here]] < WAIT
            expected = state.location(number)
            width = state.spread(expected)
            location[here] = np.where(waits, np.nan, expected[series[here]])
            spread[here] = np.where(waits, np.nan, (width * wildness)[series[here]])
            x = np.full(len(ids), np.nan)
            x[series[here]] = np.arcsinh(values[here] / state.constant[series[here]])
            state.learn(x, number, expected, width)
        constant = state.constant[series]
        surprises = (np.arcsinh(values / constant) - location) / spread
        p_values = self.tail_.p_values(surprises)
        sizes = surprise_size(p_values)
        # Spend that was never negative is not expected to be.
        signed = np.append(self.signed_, np.ones(len(ids) - len(self.ids_), dtype=bool))[series]
        floor = np.where(signed, -np.inf, 0.0)
        low, high = np.interp(INTERVAL, np.arange(1, 100) / 100.0, self.tail_.body)
        return pd.DataFrame(
            {
                ID: frame[ID].to_numpy(),
                DS: frame[DS].to_numpy(),
                Y: values,
                "expected": np.maximum(_money(constant, location), floor),
                "lower": np.maximum(_money(constant, location + low * spread), floor),
                "upper": _money(constant, location + high * spread),
                "p_value": p_values,
                "score": score_of(np.nan_to_num(sizes, nan=0.0), self.threshold_),
                "is_anomaly": np.nan_to_num(sizes, nan=0.0) >= self.threshold_,
            },
            index=rows.index,
        )

    def stream(self) -> SpikeStream:
        """One series from nothing, row by row; needs no fit, `freq` is only a hint for the threshold and for what repeats: days, or weeks of days."""
        self._check()
        rows = self._periods_a_month()
        season = WEEK if rows <= DAYS_A_MONTH + 1 else HOURS if rows <= 24 * (DAYS_A_MONTH + 1) else DAY
        return SpikeStream(max(-np.log10(min(self.false_alarms_per_month / rows, 0.1)), 1.0), season)

    def _check(self) -> None:
        parse_freq(self.freq)
        number = self.false_alarms_per_month
        if isinstance(number, bool) or not (np.isfinite(number) and number > 0):
            raise InputError(
                f"false_alarms_per_month is not a rate: got {number}", field="false_alarms_per_month", got=number, allowed="a finite number above 0"
            )

    def _periods_a_month(self) -> float:
        two = pd.date_range("2024-01-01", periods=13, freq=self.freq)
        return float(DAYS_A_MONTH / ((two[-1] - two[0]) / pd.Timedelta(days=1) / 12))

    def _on_grid(self, times: pd.DatetimeIndex) -> pd.DatetimeIndex:
        offset: Any = parse_freq(self.freq)
        simple = isinstance(offset, pd.tseries.offsets.Tick) or (offset == pd.tseries.offsets.Day())
        return pd.DatetimeIndex(times.floor(offset)) if simple else times

    def _extended(self, ids: pd.Index, row_ids: pd.Series, values: NDArray[np.float64]) -> tuple[Expectation, NDArray[np.float64]]:
        """A copy of the state with room for series that history does not know, and every series' wildness."""
        state, new = self.state_.copy(), len(ids) - len(self.ids_)
        if not new:
            return state, self.stretch_
        # The transform of a new series uses its first value only, so that later rows do not change earlier scores.
        known = np.isfinite(values) & (values != 0.0)
        first = pd.Series(np.abs(values[known])).groupby(row_ids[known].to_numpy()).first()
        constant = np.array([max(LINEAR * float(first.get(name, 1.0)), 1e-9) for name in ids[len(self.ids_) :]])
        fresh = Expectation.new(constant, self.n_phases_)
        joined = {name: np.concatenate([value, getattr(fresh, name)]) for name, value in state.__dict__.items()}
        return Expectation(**joined), np.concatenate([self.stretch_, np.ones(new)])


def _largest(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_periods,) largest size over series; NaN where no series was scored."""
    return np.where(np.isfinite(sizes).any(axis=0), np.nanmax(np.where(np.isfinite(sizes), sizes, -1.0), axis=0), np.nan)


def _money(constant: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    # Beyond 600 the hyperbolic sine is near the largest number there is.
    return np.asarray(constant * np.sinh(np.clip(x, -600.0, 600.0)))
