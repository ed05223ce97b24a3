"""A generated AI company: eighteen months of FOCUS rows, with what really happened.

It exists so that the product can be tried, tested and judged without anybody's bill. What it gets from reality, in daily
medians of real sets: two regimes (GPU pools are smooth and persistent, personal LLM use is bursty, intermittent and
changes regime), weak weekly rhythm, multiplicative growth, models that replace each other, teams and workloads that begin
late, prices that are cut once. How far it is from reality:

- bills arrive complete and are never restated; there are no credits, taxes, refunds or commitment discounts;
- demand of different workloads shares only a faint company-wide traffic factor, year-end and the calendar, so the company's
  total is steadier than a real one; GPU serving and vector reads follow their own noise, not the traffic they serve;
- price cuts and releases do not change demand; users move to a new model by a smooth curve;
- incidents are few, of four kinds, one leaf each, and clean: nobody notices and corrects half of one;
- the number of people, projects and regions of a team does not change.

The same arguments give the same bytes with the same versions of NumPy and pandas. No clock, file or global state is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, get_args

import numpy as np
import pandas as pd

from forecast.company import incidents as planted
from forecast.company import organisation, plans
from forecast.company.catalogue import PROVIDERS
from forecast.company.gpus import GpuPools
from forecast.company.licences import Licences
from forecast.company.lines import ChargeLines, concatenate
from forecast.company.managed import ManagedServices
from forecast.company.processes import Streams
from forecast.company.rows import focus_rows
from forecast.company.span import Booleans, Span
from forecast.company.token_meters import TokenMeters
from forecast.errors import InputError

Granularity = Literal["D", "h"]

CURRENCY = "USD"
FEWEST_DAYS, MOST_DAYS = 60, 3660
MOST_TEAMS = 200
UNTAGGED_SHARE = 0.012


@dataclass(frozen=True, eq=False)
class Company:
    """Charges of [start, end) and what is known about them.

    rows : FOCUS 1.2, 57 columns, in order of time.
    incidents : id, kind, scope (JSON text of leaf dimensions), start, end (exclusive), daily_excess (tuple, one number a
        day), total_excess; USD of EffectiveCost, negative in a drop. Empty where incidents were left out.
    events : planned events known beforehand: name, type, start, end (NaT = for good), scope, effect, effect_low,
        effect_high, effect_unit (`factor` or `usd_per_day`), announced. One lies after `end`.
    budgets : id, scope, start, end (exclusive), amount, currency; current and next fiscal quarter, each team and the company.
    """

    rows: pd.DataFrame
    incidents: pd.DataFrame
    events: pd.DataFrame
    budgets: pd.DataFrame
    seed: int
    start: date
    end: date
    currency: str


def generate(
    seed: int,
    days: int = 548,
    teams: int = 8,
    granularity: Granularity = "D",
    end: date = date(2026, 11, 1),
    *,
    incidents: bool = True,
    fiscal_start: int = 1,
) -> Company:
    """Generate a company of `teams` teams and the `days` days before `end` (exclusive).

    seed : ≥ 0; another seed is another company. days : 60 to 3,660. teams : 1 to 200. granularity : length of a charge
    period, `D` or `h`; the hours of a day add up to the day. incidents : False leaves the planted incidents out and
    changes nothing else. fiscal_start : month in which the fiscal year of the budgets begins.

    The default has some 150 to 200 leaves and 250,000 rows and takes about two seconds. Hours make up to 24 times as many.
    """
    _check(seed, days, teams, granularity, end, fiscal_start)
    span = Span(end - timedelta(days=days), end)
    streams = Streams(seed)
    company = organisation.found(streams, days, teams)
    plan = plans.draw(company, streams, days, {name: provider.discount for name, provider in PROVIDERS.items()})
    lines = concatenate(
        [
            TokenMeters(company, plan, streams, span).lines(),
            GpuPools(company, plan, streams, span).lines(),
            ManagedServices(company, plan, streams, span).lines(),
            Licences(company, streams, span).lines(),
        ]
    )
    lines, spared = _without_some_tags(lines, streams)
    budgets = plans.budgets(
        lines.effective_cost(),
        [team.name for team in company.teams],
        lines.attributes["sub_account_name"].tolist(),
        span,
        streams,
        fiscal_start,
        CURRENCY,
    )
    truth = planted.no_incidents()
    if incidents:
        struck = planted.plant(lines, company, streams, span, spared)
        truth = struck.truth
        lines = ChargeLines(struck.lines.attributes, struck.lines.quantity + struck.extra, struck.lines.list_price, struck.lines.contracted_price)
    return Company(
        rows=focus_rows(lines, span, streams, CURRENCY, granularity == "h"),
        incidents=truth,
        events=plans.events(plan, company, span),
        budgets=budgets,
        seed=seed,
        start=span.start,
        end=span.end,
        currency=CURRENCY,
    )


def _without_some_tags(lines: ChargeLines, streams: Streams) -> tuple[ChargeLines, Booleans]:
    """Somebody forgot to tag a few resources: about one line in eighty. Also which lines share a leaf with one of them."""
    rng = streams.of("untagged")
    sizes = lines.attributes.groupby("resource_id", sort=True).size()
    order = rng.permutation(len(sizes))
    forgotten = order[np.cumsum(sizes.to_numpy()[order]) <= UNTAGGED_SHARE * len(lines.attributes)]
    untagged = lines.attributes["resource_id"].isin(sizes.index[forgotten]).to_numpy(dtype=np.bool_)
    attributes = lines.attributes.assign(tags=lines.attributes["tags"].mask(untagged))
    leaf = lines.attributes["leaf"].to_numpy(dtype=np.int64)
    return ChargeLines(attributes, lines.quantity, lines.list_price, lines.contracted_price), np.isin(leaf, leaf[untagged])


def _check(seed: object, days: object, teams: object, granularity: object, end: object, fiscal_start: object) -> None:
    def whole(name: str, value: object, least: int, most: int | None) -> None:
        allowed = f"a whole number ≥ {least}" if most is None else f"a whole number from {least} to {most}"
        integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not integer or int(value) < least or (most is not None and int(value) > most):  # type: ignore[call-overload]
            raise InputError(f"Company cannot be generated: {name} is {value!r}; allowed is {allowed}.", field=name, got=value, allowed=allowed)

    whole("seed", seed, 0, None)
    whole("days", days, FEWEST_DAYS, MOST_DAYS)
    whole("teams", teams, 1, MOST_TEAMS)
    whole("fiscal_start", fiscal_start, 1, 12)
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
