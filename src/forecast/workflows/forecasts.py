"""What will we spend? Quantiles of totals and series of any scope, with the record of how good such forecasts were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError, OutsideHorizonError
from forecast.paths import check_quantiles
from forecast.snapshot import QUANTILES, Snapshot
from forecast.spend.dimensions import parse_dimensions
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Granularity, Period, split
from forecast.spend.scope import Scope
from forecast.workflows.event_answers import events_within
from forecast.workflows.readings import Reading, read_groups, read_scope
from forecast.workflows.records import backtest_record
from forecast.workflows.summary import STANDARD, distribution, heading, means_of, quantile_key, quantiles_of

MOST_ROWS = 20_000

_READY = {level: number for number, level in enumerate(QUANTILES)}


def forecast_answer(
    snapshot: Snapshot,
    *,
    scope: Scope,
    period: Period,
    granularity: Granularity = "month",
    group_by: tuple[str, ...] = (),
    quantiles: Sequence[float] = STANDARD,
    calendar: FiscalCalendar = CALENDAR_YEAR,
) -> dict[str, Any]:
    """Total and rows of a scope over a period; days that are over count with their actual cost.

    Rows are calendar buckets of `granularity` (quarters and years fiscal) for each combination of `group_by` values. Means of
    rows add up to the total's mean; quantiles do not. A row that is entirely over has `actual: true`; where its days are
    not fully billed yet it has `provisional: true` and the spread of what they may come to. spent : what is billed; pending : what days that are
    over will still be billed, null where they are settled. events : the planned events that touch the scope and the period.
    Raises OutsideHorizonError beyond the horizon, or for daily rows beyond the days that are simulated one by one;
    UnknownScopeError for values that never occurred; InputError where more than 20,000 rows are asked for.
    """
    wanted = check_quantiles(quantiles)
    names = parse_dimensions(group_by)
    snapshot.check_visible(period)
    buckets = split(period, granularity, calendar)
    _check_daily(snapshot, period, granularity)
    whole = read_scope(snapshot, scope, period)
    groups = read_groups(snapshot, scope, names, period) if names else [whole]
    if len(groups) * len(buckets) > MOST_ROWS:
        raise InputError(
            f"the answer would have {len(groups)} groups × {len(buckets)} rows",
            field="group_by" if names else "granularity",
            got=len(groups) * len(buckets),
            allowed=f"at most {MOST_ROWS} rows",
        )
    extra = [level for level in wanted if level not in STANDARD]
    warnings = list(dict.fromkeys(text for reading in (whole, *groups) for text in reading.warnings))
    if _cuts_a_month(snapshot, buckets):
        warnings.append(f"from {snapshot.daily_end} on only whole months are simulated; a part of a month counts with its share of days")
    owed = whole.owed()
    answer = {
        **heading(snapshot, scope, period),
        "granularity": granularity,
        "group_by": list(names),
        "spent": whole.spent,
        "pending": None if owed is None else distribution(owed),
        "total": distribution(whole.totals(), wanted),
        "rows": [row for reading in groups for row in _rows(snapshot, reading, buckets, extra)],
        "events": events_within(snapshot, scope, period),
        "backtest": backtest_record(snapshot, scope),
        "warnings": warnings,
    }
    if any(reading.derived for reading in (whole, *groups)):
        answer["derived"] = "share"
    return answer


def _rows(snapshot: Snapshot, reading: Reading, buckets: Sequence[Period], extra: Sequence[float]) -> list[dict[str, Any]]:
    levels = (*STANDARD, *extra)
    ready = _ready_quantiles(snapshot, reading, buckets, levels)
    if ready is None:
        samples = reading.buckets(buckets)
        means, found = means_of(samples), quantiles_of(samples, levels)
    else:
        means, found = ready
    rows = []
    first_open, open_days = snapshot.first_open_day, reading.open_days
    keys = [quantile_key(level) for level in extra]
    for bucket, mean, values in zip(buckets, means.tolist(), found.tolist(), strict=True):
        row = {
            "group": reading.group,
            "start": bucket.start.isoformat(),
            "end": bucket.end.isoformat(),
            "mean": mean,
            "p10": values[0],
            "p50": values[1],
            "p90": values[2],
        }
        if extra:
            row["quantiles"] = dict(zip(keys, values[3:], strict=True))
        if bucket.end <= first_open:
            is_open = (open_days >= np.datetime64(bucket.start, "D")) & (open_days < np.datetime64(bucket.end, "D"))
            row["provisional" if is_open.any() else "actual"] = True
        rows.append(row)
    return rows


def _ready_quantiles(
    snapshot: Snapshot, reading: Reading, buckets: Sequence[Period], levels: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Means and quantiles that the snapshot keeps, where every bucket is one future step of a ready node."""
    n_steps = len(reading.starts)
    if reading.node is None or len(reading.past) or len(buckets) != n_steps or not (reading.weights == 1.0).all():
        return None
    if any(level not in _READY for level in levels):
        return None
    if np.datetime64(buckets[0].start, "D") != reading.starts[0] or any(
        np.datetime64(bucket.end, "D") != end for bucket, end in zip(buckets, reading.ends, strict=True)
    ):
        return None
    steps = slice(reading.first_step, reading.first_step + n_steps)
    columns = [_READY[level] for level in levels]
    return snapshot.node_means[reading.node, steps], snapshot.node_quantiles[reading.node, steps][:, columns].astype(np.float64)


def _check_daily(snapshot: Snapshot, period: Period, granularity: Granularity) -> None:
    if granularity == "day" and period.end > snapshot.daily_end:
        raise OutsideHorizonError(
            f"end {period.end}: daily rows end on {snapshot.daily_end} (exclusive), later steps are months",
            field="end",
            got=str(period.end),
            allowed=f"at most {snapshot.daily_end} for daily rows, or granularity month, quarter, year",
        )


def _cuts_a_month(snapshot: Snapshot, buckets: Sequence[Period]) -> bool:
    edges = np.array([buckets[0].start, *(bucket.end for bucket in buckets)], dtype="datetime64[D]")
    later = edges[edges > np.datetime64(snapshot.daily_end, "D")]
    return bool(len(later)) and not bool(np.isin(later, snapshot.ends).all())
