"""How complete is a day after k days? Learned per source from the versions of its bills.

Every past day of a source is one example (`examples.py`): at the age that a day has now, which share of its final cost was known? A source
with few days borrows from the others (credibility). Shares above 1 are days whose first totals were too high.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from forecast.spend.developments import CLOCKS, STEPS, Booleans, Floats, Trajectories, anchors, checked, trajectories
from forecast.spend.examples import ARRIVED, LEAST_EXAMPLES, REVISED, Examples, Pool, alike, examples_at, joined, matched, nonzero, weighted_median

HALF_LIFE = 30.0
"""Days after which an example counts half: a source may change its rhythm."""
OWN_TRUST, ENOUGH = 4.0, 0.9
"""Examples that what is borrowed from other sources counts for, and the own share beyond which nothing is borrowed."""
CONFIDENCE = 0.95
CLOCK_ANCHORS = {"day": 8, "week": 3, "month": 2}
"""Days, weeks or months that must have been seen to arrive before a source is taken to deliver by them."""
NO_CLOCK_BELOW = {"D": 36.0, "h": 6.0}
"""Hours of scatter of the arrival below which a source is taken to deliver period by period."""
USUAL_DAYS = 28


@dataclass(frozen=True, eq=False)
class Completeness:
    """What is known at `as_of` about how bills of each source come in.

    sources : trajectories by name. freq : D or h. half_life : days after which an example counts half.
    """

    as_of: np.datetime64
    freq: str
    sources: Mapping[str, Trajectories]
    half_life: float
    _seen: dict[tuple[str, float], Examples] = field(default_factory=dict, repr=False)

    def pool(self, source: str, day: np.datetime64) -> Pool:
        """The examples for one period of a source; empty for sources and periods outside of what was learned from."""
        found = self.sources.get(source)
        column = self.column(source, day)
        if found is None or column is None:
            return joined([], 0.0, 0.0, 0.0, True, False)
        age = float(found.now[column])
        own = self._examples(source, age)
        known = found.known(np.array([age]))[:, column, 0]
        usual = self._usual(source, column)
        has_arrived = bool(abs(known.sum()) >= ARRIVED * usual) and bool(np.any(known != 0.0))
        moved = weighted_median((known / nonzero(found.first_value.reshape(len(found.series), -1)[:, column]))[:, None], np.abs(known)[:, None])[0]
        is_revised = has_arrived and abs(float(moved) - 1.0) > REVISED
        weight = alike(own, column) if own.weight.any() else own.weight
        charged = weight.sum()
        not_arrived = float((weight * ~own.arrived).sum() / charged) if charged else 0.0
        weight, days = matched(own, weight, has_arrived, is_revised)
        trust = days / (days + OWN_TRUST) if days else 0.0
        parts = [(own, weight * trust)]
        if trust < ENOUGH:
            parts += self._others(source, found.clock, age, has_arrived, is_revised, 1.0 - trust)
        return joined(parts, days, trust, not_arrived, has_arrived, is_revised)

    def watermarks(self, days: Sequence[np.datetime64] | pd.DatetimeIndex, levels: Sequence[float] = (0.025, 0.5, 0.975)) -> pd.DataFrame:
        """For each source and period: source, ds, age (hours since its end), share_known (expected), share_<level> quantiles,
        change_probability (of changing by more than TOLERANCE yet), settled, days_observed (own examples, by recency), arrived."""
        stamps = np.asarray(days).astype("datetime64[us]").astype(f"datetime64[{self.freq}]").astype("datetime64[h]")
        rows = []
        for source in self.sources:
            for stamp in stamps:
                pool = self.pool(source, stamp)
                age = (self.as_of - (stamp + STEPS[self.freq]).astype("datetime64[us]")) / np.timedelta64(1, "h")
                quantiles = pool.quantile(levels)
                rows.append(
                    (
                        source,
                        stamp.astype("datetime64[us]"),
                        float(age),
                        pool.mean,
                        *quantiles.tolist(),
                        pool.change_probability,
                        is_settled(pool),
                        pool.days,
                        pool.has_arrived,
                    )
                )
        names = [f"share_{level:g}" for level in levels]
        return pd.DataFrame(rows, columns=["source", "ds", "age", "share_known", *names, "change_probability", "settled", "days_observed", "arrived"])

    def column(self, source: str, day: np.datetime64) -> int | None:
        """Number of a period in its source's trajectories; None where it lies outside."""
        found = self.sources.get(source)
        if found is None or not found.n_periods:
            return None
        column = int((day.astype("datetime64[h]") - found.ds[0]) // STEPS[self.freq])
        return column if 0 <= column < found.n_periods else None

    def own_shares(self, source: str, day: np.datetime64) -> tuple[Floats, Booleans]:
        """(N,) shares known of single series ÷ those of their source on past days that had arrived at the age of `day`, and whether that
        day's charges then were not yet what they came to; series of which nothing was known are left out."""
        found, column = self.sources.get(source), self.column(source, day)
        if found is None or column is None or len(found.series) < 2:
            return np.zeros(0), np.zeros(0, dtype=np.bool_)
        age = float(found.now[column])
        examples = self._examples(source, age)
        known = found.known(np.array([age]))[:, :, 0]
        here = (known * found.final > 0.0) & (examples.arrived & (examples.weight > 0))[None, :]
        ratio = (known / nonzero(found.final)) / nonzero(examples.shock)[None, :]
        moved = np.broadcast_to(examples.shock != 1.0, ratio.shape)
        return ratio[here], moved[here]

    def _examples(self, source: str, age: float) -> Examples:
        key = (source, age)
        if key not in self._seen:
            self._seen[key] = examples_at(self.sources[source], age, self.freq, self.half_life)
        return self._seen[key]

    def _usual(self, source: str, column: int) -> float:
        """Median cost of a source's recent periods before one, what is known of them now."""
        total = np.abs(self._totals[source])
        before = total[max(0, column - USUAL_DAYS) : column]
        before = before[before > 0]
        return float(np.median(before)) if len(before) else 0.0

    @cached_property
    def _totals(self) -> dict[str, Floats]:
        return {name: found.final.sum(axis=0) for name, found in self.sources.items()}

    def _others(self, source: str, clock: str, age: float, arrived: bool, revised: bool, share: float) -> list[tuple[Examples, Floats]]:
        parts = []
        for name, found in self.sources.items():
            if name == source or found.clock != clock:
                continue
            examples = self._examples(name, age)
            weight, days = matched(examples, examples.weight, arrived, revised)
            if days:
                parts.append((examples, weight * days))
        mass = sum(float(weight.sum()) for _, weight in parts)
        return [(examples, weight * share / mass) for examples, weight in parts] if mass else []


def learn_completeness(
    developments: pd.DataFrame,
    as_of: np.datetime64 | pd.Timestamp,
    *,
    freq: str = "D",
    source_of: Mapping[str, str] | None = None,
    half_life: float = HALF_LIFE,
) -> Completeness:
    """Learn from the changes of a bill.

    developments : source, ds (naive UTC period start), known_at (naive UTC), change (money: + when a line or version came into force,
    − when it gave way); what became known after `as_of` is not looked at. source_of : where the column `source` names series (leaves),
    the source of each: series of a source are late together. half_life : days. Raises InputError for missing columns.
    """
    moment = np.datetime64(pd.Timestamp(as_of).isoformat(), "us")
    frame = checked(developments, moment, freq)
    names = frame["source"].astype(str)
    owners = names if source_of is None else names.map(dict(source_of)).fillna(names)
    found = {str(name): _with_best_clock(part, moment, freq) for name, part in frame.groupby(owners.to_numpy(), sort=True)}
    return Completeness(moment, freq, found, half_life)


def is_settled(pool: Pool) -> bool:
    """Whether a period's cost will not change by more than TOLERANCE any more, with CONFIDENCE; never without examples."""
    return pool.days > 0 and pool.change_probability <= 1.0 - CONFIDENCE


def benefit_of_doubt(known: Floats, usual: Floats, share_low: Floats, share_high: Floats) -> Floats:
    """(m,) the plausible final cost of provisional periods that lies nearest to what was expected: what a detector should score.

    known : what has been billed. usual : expected cost. share_low, share_high : quantiles of the share known. An incomplete day that may
    yet become usual is scored as usual; a day that is too high whatever comes is scored by the least that it may become.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([known / np.maximum(share_high, 1e-9), known / np.maximum(share_low, 1e-9)])
    # Of a day of which nothing may be known yet anything from the known cost on is plausible.
    open_end = (share_low < ARRIVED) & (usual > known)
    low, high = ends.min(axis=0), np.where(open_end, usual, ends.max(axis=0))
    settled = (share_low == 1.0) & (share_high == 1.0)
    return np.where(settled, known, np.clip(usual, low, np.maximum(low, high)))


def _with_best_clock(part: pd.DataFrame, as_of: np.datetime64, freq: str) -> Trajectories:
    """Trajectories on the clock on which the arrivals scatter least; on the plain one unless another is twice as good."""
    best = trajectories(part, as_of, freq=freq)
    least, middle, seen = _arrivals(best)
    # Who delivers while the period runs does not wait for the end of a longer one.
    if not (least > NO_CLOCK_BELOW[freq] and middle > 0.0):
        return best
    for clock in CLOCKS[1:]:
        if freq == "D" and clock == "day":
            continue
        found = trajectories(part, as_of, freq=freq, clock=clock)
        if len(np.unique(anchors(found.ds[seen], freq, clock))) < CLOCK_ANCHORS[clock]:
            continue
        scatter, _, _ = _arrivals(found)
        if scatter < 0.5 * least:
            best, least = found, scatter
    return best


def _arrivals(found: Trajectories) -> tuple[float, float, Booleans]:
    """Age in hours at which half of a period's cost was known, over periods seen to arrive: distance of its 10 % and 90 % quantile, median,
    and which periods (D,) these are."""
    together = found.together
    ages = np.concatenate([np.arange(-24.0 * 31, 72.0), np.arange(72.0, 45 * 24.0, 6.0)])
    known, final = together.known(ages)[0], together.final[0]
    usable = (final != 0.0) & (together.now > 0)
    half = np.abs(known) >= 0.5 * np.abs(final)[:, None]
    arrival = np.where(half.any(axis=1), ages[np.argmax(half, axis=1)], np.nan)
    usable &= np.isfinite(arrival) & (arrival > together.observed_from)
    if usable.sum() < LEAST_EXAMPLES:
        return np.nan, np.nan, usable
    low, middle, high = np.quantile(arrival[usable], [0.1, 0.5, 0.9])
    return float(high - low), float(middle), usable
