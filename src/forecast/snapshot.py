"""A snapshot is the unit of truth: one forecast run, frozen. Every answer reads one and names its id.

This module is the type and its readings; `adapters/snapshots.py` writes it to disk and maps it back into memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError, OutsideHorizonError
from forecast.paths import overlap
from forecast.spend.hierarchy import Hierarchy, sum_rows
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.spend.zones import UTC, Midnights, midnights, shares

QUANTILES: tuple[float, ...] = (0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.975, 0.99)
"""Quantiles that a snapshot keeps ready for every node and step."""


@dataclass(frozen=True)
class Snapshot:
    """One forecast run.

    id : content address (hex). cutoff : last day the forecaster saw. cost : "effective" or "billed". currency : ISO 4217.
    hierarchy : leaves and ready nodes; row i of `leaf_paths` is `hierarchy.leaf_ids[i]`, row i of `node_paths` is `hierarchy.nodes[i]`.
    starts, ends : (n_steps,) datetime64[D]; daily steps first, then calendar months.
    leaf_paths : (n_leaves, n_steps, n_paths) float32, usually memory-mapped; cost per step.
    node_paths : (n_nodes, n_steps, n_paths) float32, sums of leaves path by path.
    node_quantiles : (n_nodes, n_steps, len(QUANTILES)) float32. node_means : (n_nodes, n_steps) float64.
    history_ds : (n_days,) datetime64[D], ends with the cutoff. leaf_history : (n_leaves, n_days) float64 cost as billed.
    pending : (n_leaves, k, n_paths) float32, what the last k days of the history will still be billed (below nothing where first totals were
    too high), path k as it goes with path k of the future; None where all days are settled or nothing is known of how bills come in.
    watermarks : how complete a day is by its age, see `spend/provisional.py`; None likewise.
    recent : the last weeks by leaf and every finer dimension (columns `leaf` (row number), `ds`, dimensions, `tags`, `cost`, `quantity`).
    known_money : what of the history came once or by a schedule, see `spend/known_money.py`. meters : money and quantities of what is metered,
    see `spend/meters.py`. Both None in snapshots that do not keep them.
    event_effects : mean money that each planned event adds to the paths: columns `event` (id), `leaf`, `step` (row numbers), `effect`; None
    where no event touches them. driver_effects : likewise mean money that drivers add by moving away from where they were lately, with `driver`.
    signs : what charge lines say of strange spend, by leaf and day: columns `leaf`, `ds` and those of `anomalies.signs.AMOUNTS`; None where not kept.
    Where there are lines of single hours also `hours` and `hours_money`, and rows of nodes, numbered after the leaves.
    detector : arrays of the anomaly detector's state (see anomalies/). backtest : the accuracy record. meta : everything else, as JSON data
    (champion, seed, ledger digest, fiscal_start, time_zone where it is not UTC, …).
    """

    id: str
    cutoff: date
    cost: str
    currency: str
    hierarchy: Hierarchy
    starts: NDArray[np.datetime64]
    ends: NDArray[np.datetime64]
    leaf_paths: NDArray[np.float32]
    node_paths: NDArray[np.float32]
    node_quantiles: NDArray[np.float32]
    node_means: NDArray[np.float64]
    history_ds: NDArray[np.datetime64]
    leaf_history: NDArray[np.float64]
    recent: pd.DataFrame
    detector: dict[str, NDArray[Any]]
    backtest: dict[str, Any]
    meta: dict[str, Any] = field(default_factory=dict)
    pending: NDArray[np.float32] | None = None
    watermarks: pd.DataFrame | None = None
    known_money: pd.DataFrame | None = None
    meters: pd.DataFrame | None = None
    event_effects: pd.DataFrame | None = None
    driver_effects: pd.DataFrame | None = None
    signs: pd.DataFrame | None = None

    @property
    def n_paths(self) -> int:
        return self.leaf_paths.shape[2]

    @property
    def first_day(self) -> date:
        """First day of spend that the snapshot knows."""
        return _day(self.history_ds[0])

    @property
    def horizon_end(self) -> date:
        """First day beyond what the snapshot can see."""
        return _day(self.ends[-1])

    @property
    def daily_end(self) -> date:
        """First day that is only known as part of a month."""
        daily = (self.ends - self.starts).astype(int) == 1
        return _day(self.ends[np.flatnonzero(daily)[-1]])

    @property
    def time_zone(self) -> str:
        """IANA name of the zone in which the company's days begin and end. Steps and history are days in UTC in any zone."""
        return str(self.meta.get("time_zone", UTC))

    @cached_property
    def midnights(self) -> Midnights | None:
        """When the company's days begin; None where they are the days of bills."""
        if self.time_zone == UTC:
            return None
        day = np.timedelta64(1, "D")
        return midnights(self.history_ds[0].astype("datetime64[D]") - day, self.ends[-1].astype("datetime64[D]") + day, self.time_zone)

    @cached_property
    def first_open_day(self) -> date:
        """The company's first day that is not over at the end of the cutoff: the day after it, or the cutoff itself in the west of UTC."""
        tomorrow = self.cutoff + timedelta(days=1)
        if self.midnights is None:
            return tomorrow
        seen = np.datetime64(tomorrow, "s")
        return self.cutoff if self.midnights.of(np.array([tomorrow], dtype="datetime64[D]"))[0] > seen else tomorrow

    @cached_property
    def node_history(self) -> NDArray[np.float64]:
        """(n_nodes, n_days) cost as billed."""
        return self.hierarchy.aggregate(self.leaf_history)

    @cached_property
    def expected_history(self) -> NDArray[np.float64]:
        """(n_leaves, n_days) cost with what is expected to be billed yet."""
        return self._with_pending(self.leaf_history, self.pending)

    @cached_property
    def expected_node_history(self) -> NDArray[np.float64]:
        """(n_nodes, n_days) cost with what is expected to be billed yet."""
        return self._with_pending(self.node_history, self.node_pending)

    def _with_pending(self, billed: NDArray[np.float64], pending: NDArray[np.float32] | None) -> NDArray[np.float64]:
        if pending is None:
            return billed
        found = billed.copy()
        found[:, self.first_pending :] += pending.mean(axis=2, dtype=np.float64)
        return found

    @property
    def first_pending(self) -> int:
        """Number of the history's first column that is not settled; its length where all are."""
        return len(self.history_ds) - (0 if self.pending is None else self.pending.shape[1])

    @cached_property
    def node_pending(self) -> NDArray[np.float32] | None:
        """(n_nodes, k, n_paths) what the last k days will still be billed."""
        if self.pending is None:
            return None
        return np.stack([sum_rows(self.pending, members) for members in self.hierarchy.members]).astype(np.float32)

    def check_visible(self, period: Period) -> None:
        """Raise unless every day of the period is either history or inside the horizon."""
        if period.end > self.horizon_end:
            raise OutsideHorizonError(
                f"end {period.end} is beyond what snapshot {self.id[:12]} can see: cutoff {self.cutoff}, horizon ends on {self.horizon_end}",
                field="end",
                got=str(period.end),
                allowed=f"at most {self.horizon_end}",
            )
        if period.start < self.first_day:
            raise InputError(
                f"start {period.start} is before the first day of spend {self.first_day}",
                field="start",
                got=str(period.start),
                allowed=f"at least {self.first_day}",
            )

    def future_weights(self, period: Period) -> NDArray[np.float64]:
        """(n_steps,) share of each future step that lies in the period."""
        if self.midnights is not None:
            edges = self.midnights.of(np.array([period.start, period.end], dtype="datetime64[D]"))
            return self.step_shares(edges[:1], edges[1:])[0]
        return overlap(self.starts, self.ends, np.datetime64(period.start, "D"), np.datetime64(period.end, "D"))

    def step_shares(self, first: NDArray[np.datetime64], last: NDArray[np.datetime64], steps: slice = slice(None)) -> NDArray[np.float64]:
        """(n_spans, n_steps) share of each future step that lies in the spans of time [first, last), in UTC.

        In the west of UTC the horizon's last day ends some hours after the last step: they count as the last step goes on.
        """
        found = shares(self.starts[steps], self.ends[steps], first, last)
        if steps.stop in {None, len(self.ends)} and found.shape[1]:
            end, length = self.ends[-1].astype("datetime64[s]"), (self.ends[-1] - self.starts[-1]).astype("timedelta64[s]")
            beyond = (last.astype("datetime64[s]") - np.maximum(first.astype("datetime64[s]"), end)).astype(np.float64)
            found[:, -1] += np.maximum(beyond, 0.0) / length.astype(np.float64)
        return found

    def past_slice(self, period: Period) -> slice:
        """Columns of the history that lie in the period."""
        first, last = np.searchsorted(self.history_ds, np.array([period.start, period.end], dtype="datetime64[D]"))
        return slice(int(first), int(last))

    def scope_paths(self, scope: Scope) -> NDArray[np.floating]:
        """(n_steps, n_paths) joint paths of a scope over leaf dimensions; a ready node costs nothing to read."""
        node = self.hierarchy.node_of(scope)
        if node is not None:
            return self.node_paths[node]
        return sum_rows(self.leaf_paths, np.flatnonzero(self.hierarchy.leaf_mask(scope)))

    def scope_history(self, scope: Scope) -> NDArray[np.float64]:
        """(n_days,) actual cost of a scope over leaf dimensions."""
        node = self.hierarchy.node_of(scope)
        if node is not None:
            return self.node_history[node]
        return self.leaf_history[self.hierarchy.leaf_mask(scope)].sum(axis=0)


def month_steps(cutoff: date, daily: int, months: int) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64], NDArray[np.int64]]:
    """Steps of a snapshot: `daily` days after the cutoff, then calendar months until `months` months after the cutoff.

    The first month step is what is left of its month. Returns starts, ends (datetime64[D]) and days per step.
    """
    first = cutoff + timedelta(days=1)
    last_daily = first + timedelta(days=daily)
    days = np.arange(np.datetime64(first, "D"), np.datetime64(last_daily, "D"))
    month = np.datetime64(last_daily, "M")
    bounds = np.arange(month + 1, np.datetime64(cutoff, "M") + months + 2).astype("datetime64[D]")
    edges = np.concatenate([np.array([last_daily], dtype="datetime64[D]"), bounds[bounds > np.datetime64(last_daily, "D")]])
    starts = np.concatenate([days, edges[:-1]])
    ends = np.concatenate([days + np.timedelta64(1, "D"), edges[1:]])
    return starts, ends, (ends - starts).astype(np.int64)


def _day(value: np.datetime64) -> date:
    return date.fromisoformat(str(value.astype("datetime64[D]")))
