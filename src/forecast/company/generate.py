"""A generated AI company: its FOCUS rows, what really happened behind them, and what could have come instead.

It exists so that the product can be tried, tested and judged without anybody's bill, and so that probabilities can be judged
at all: a probability is true or not only where the law behind the data is known. docs/reference/company.md lists the laws, and
how far they are from reality.

The same arguments give the same bytes with the same versions of NumPy and pandas. No clock, file or global state is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from forecast.company import incidents as planted
from forecast.company import organisation, plans
from forecast.company.futures import Futures
from forecast.company.incident_futures import IncidentsAhead
from forecast.company.incident_kinds import INCIDENTS_A_MONTH, IncidentLaw, leaf_costs
from forecast.company.levers import Lever, require_scopes
from forecast.company.lookalikes import with_careless_tags, with_new_resources
from forecast.company.rhythm import timing_of
from forecast.company.rows import charges_of, focus_rows
from forecast.company.simulation import Simulation
from forecast.company.span import Span
from forecast.company.stretch import Memory, Streams, Stretch
from forecast.errors import InputError

Granularity = Literal["D", "h"]

CURRENCY = "USD"
FEWEST_DAYS, MOST_DAYS = 60, 3660
MOST_TEAMS = 200
MOST_FUTURES = 10_000
MOST_HORIZON = 730
MOST_INCIDENTS_A_MONTH = 100.0
WORLDS_AT_ONCE = 25
"""Futures that are simulated together: few enough to stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Company:
    """Charges of [start, end) and what is known about them.

    rows : FOCUS 1.2, 57 columns, in order of time.
    incidents : id, kind, scope (JSON text of the smallest set of leaf dimensions that contains it), start, end (exclusive),
        daily_excess (tuple, one number a day), total_excess (USD of EffectiveCost, negative in a drop), resources (how many it
        touches), multiple (cost of its scope on its days ÷ what it had been without it; inf where it had been nothing), subtle.
        Empty where incidents were left out.
    events : planned events known beforehand: name, type, start, end (NaT = for good), scope, effect, effect_low,
        effect_high, effect_unit (`factor` or `usd_per_day`), announced. Some may lie after `end`.
    budgets : id, scope, start, end (exclusive), amount, currency; current and next fiscal quarter, each team and the company.
    daily : provider, service, team, stage, workload, ds, cost, cost_without_incidents (EffectiveCost), as a reader of the rows
        who ignores upper and lower case adds them up; only days on which one of the two is not zero.
    timing : when each of the rows became known and what it said before, see `rhythm.timing_of`; `deliveries` replays it.
    futures : alternative futures from the state at the cutoff, None where none were asked for.
    lever_futures : the same futures with the levers pulled (the same shocks, future by future), None without levers.
    """

    rows: pd.DataFrame
    incidents: pd.DataFrame
    events: pd.DataFrame
    budgets: pd.DataFrame
    daily: pd.DataFrame
    timing: pd.DataFrame
    seed: int
    start: date
    end: date
    currency: str
    futures: Futures | None = None
    lever_futures: Futures | None = None


def generate(
    seed: int,
    days: int = 548,
    teams: int = 8,
    granularity: Granularity = "D",
    end: date = date(2026, 11, 1),
    *,
    cutoff: date | str | None = None,
    futures: int = 0,
    horizon: int = 120,
    levers: Sequence[Lever | Mapping[str, Any]] = (),
    incidents: bool = True,
    incidents_a_month: float = INCIDENTS_A_MONTH,
    fiscal_start: int = 1,
) -> Company:
    """Generate a company of `teams` teams and the `days` days before `end` (exclusive).

    seed : ≥ 0; another seed is another company. days : 60 to 3,660. teams : 1 to 200. granularity : length of a charge
    period, `D` or `h`; the hours of a day add up to the day. cutoff : last day of the past that `futures` alternative futures of
    `horizon` days share; without it the last day. The rows go on to `end` whatever the cutoff: they are what really came, one more
    future like the others. levers : what is changed in `lever_futures`, see `levers.Lever`. incidents : False leaves the planted
    incidents out and changes nothing else. incidents_a_month : how many are expected in a company of eight teams; in proportion to the
    square root of the teams in others. fiscal_start : month in which the fiscal year of the budgets begins.

    The default has some 150 to 200 leaves and 250,000 rows and takes about two seconds. Hours make up to 24 times as many.
    """
    check_sizes(seed, days, teams, granularity, end, fiscal_start)
    span = Span(end - timedelta(days=days), end)
    last = _cutoff(cutoff, span, futures, horizon)
    _check_rate(incidents_a_month)
    pulled = [Lever.parse(lever, number) for number, lever in enumerate(levers)]
    if pulled and not futures:
        raise InputError(
            f"Company cannot be generated: levers are pulled in futures, and futures is {futures!r}; allowed is 1 or more with levers.",
            field="futures",
            got=futures,
            allowed="1 or more with levers",
        )
    streams = Streams(seed)
    company = organisation.found(streams, days, teams)
    require_scopes(pulled, company.leaves)
    simulation = Simulation.drawn(company, streams, days)
    past = Stretch.beginning(Span(span.start, last + timedelta(days=1)), streams, days)
    lines, now = simulation.happen(past)
    memory = dict(past.memory)
    circumstances = [now]
    if last + timedelta(days=1) < end:
        rest, now = simulation.happen(past.next((end - last).days - 1))
        lines, circumstances = lines.then(rest), [*circumstances, now]
    lines = lines.used()
    lines = with_careless_tags(with_new_resources(lines, company, streams), streams)
    cost = lines.effective_cost()
    budgets = plans.budgets(
        cost,
        [team.name for team in company.teams],
        lines.attributes["sub_account_name"].tolist(),
        span,
        streams,
        fiscal_start,
        CURRENCY,
    )
    law = IncidentLaw(company, streams, float(incidents_a_month) if incidents else 0.0)
    leaf_cost = leaf_costs(lines, cost, company)
    drafts, observed = law.past(leaf_cost), planted.Observed.of(lines, company)
    struck = planted.strike(lines, cost, drafts, observed, streams, span)
    ahead = IncidentsAhead.after(law, lines, cost, leaf_cost, drafts, (last - span.start).days + 1)
    lines = struck.lines
    charges = charges_of(lines, span, streams, granularity == "h")
    return Company(
        rows=focus_rows(lines, charges, span, CURRENCY),
        incidents=struck.truth,
        events=plans.events(company, circumstances, span),
        budgets=budgets,
        daily=planted.daily_cost(cost, struck.excess, observed, span),
        timing=timing_of(lines, charges, span, streams),
        seed=seed,
        start=span.start,
        end=span.end,
        currency=CURRENCY,
        futures=_futures(simulation, past, memory, futures, horizon, [], ahead) if futures else None,
        lever_futures=_futures(simulation, past, memory, futures, horizon, pulled, ahead) if futures and pulled else None,
    )


def _futures(
    simulation: Simulation, past: Stretch, memory: Memory, worlds: int, horizon: int, levers: Sequence[Lever], ahead: IncidentsAhead
) -> Futures:
    """Futures in parts of WORLDS_AT_ONCE; a part's number is its noise."""
    cost, keys = np.empty((0, horizon, worlds), dtype=np.float32), pd.DataFrame()
    for number, begin in enumerate(range(0, worlds, WORLDS_AT_ONCE)):
        # The last part is simulated whole, so that more futures begin with the same ones.
        keys, part = simulation.may_happen(past.fork(horizon, WORLDS_AT_ONCE, number, memory), levers)
        if begin == 0:
            cost = np.empty((len(keys), horizon, worlds), dtype=np.float32)
        end = min(begin + WORLDS_AT_ONCE, worlds)
        cost[:, :, begin:end] = part[:, : end - begin].transpose(2, 0, 1)
    return Futures(past.span.end, keys, cost, ahead.cost(keys, cost))


def _cutoff(cutoff: object, span: Span, futures: object, horizon: object) -> date:
    """The last day of the shared past."""
    check_whole("futures", futures, 0, MOST_FUTURES)
    check_whole("horizon", horizon, 1, MOST_HORIZON)
    if cutoff is None:
        return span.end - timedelta(days=1)
    earliest, latest = span.start + timedelta(days=13), span.end - timedelta(days=1)
    day: object = cutoff
    if isinstance(cutoff, str):
        try:
            day = date.fromisoformat(cutoff)
        except ValueError:
            day = None
    if isinstance(day, datetime):
        day = day.date()
    if not isinstance(day, date) or not earliest <= day <= latest:
        raise InputError(
            f"Company cannot be generated: cutoff is {cutoff!r}; allowed is a day from {earliest} to {latest}.",
            field="cutoff",
            got=cutoff,
            allowed=f"a day from {earliest} to {latest}",
        )
    return day


def _check_rate(rate: object) -> None:
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.integer | np.floating) or not 0.0 <= rate <= MOST_INCIDENTS_A_MONTH:
        raise InputError(
            f"Company cannot be generated: incidents_a_month is {rate!r}; allowed is a number from 0 to {MOST_INCIDENTS_A_MONTH:g}.",
            field="incidents_a_month",
            got=rate,
            allowed=f"a number from 0 to {MOST_INCIDENTS_A_MONTH:g}",
        )


def check_whole(name: str, value: object, least: int, most: int | None) -> None:
    allowed = f"a whole number ≥ {least}" if most is None else f"a whole number from {least} to {most}"
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not integer or int(value) < least or (most is not None and int(value) > most):  # type: ignore[call-overload]
        raise InputError(f"Company cannot be generated: {name} is {value!r}; allowed is {allowed}.", field=name, got=value, allowed=allowed)


def check_sizes(seed: object, days: object, teams: object, granularity: object, end: object, fiscal_start: object) -> None:
    check_whole("seed", seed, 0, None)
    check_whole("days", days, FEWEST_DAYS, MOST_DAYS)
    check_whole("teams", teams, 1, MOST_TEAMS)
    check_whole("fiscal_start", fiscal_start, 1, 12)
    if granularity not in get_args(Granularity):
        raise InputError(
            f"Company cannot be generated: granularity is {granularity!r}; allowed is 'D' or 'h'.",
            field="granularity",
            got=granularity,
            allowed="'D' or 'h'",
        )
    if not isinstance(end, date) or end.year < 1990 or end.year > 2200:
        raise InputError(
            f"Company cannot be generated: end is {end!r}; allowed is a date from 1990 to 2200.",
            field="end",
            got=end,
            allowed="a date from 1990 to 2200",
        )
