"""What the company knows beforehand, as a calendar of planned events; and its budgets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd

from forecast.company.catalogue import FAMILIES
from forecast.company.circumstances import Circumstances
from forecast.company.lives import FADE_DAYS, NEVER, NOTICE_DAYS
from forecast.company.market import PRICE_NOTICE
from forecast.company.organisation import Organisation
from forecast.company.span import Floats, Span
from forecast.company.stretch import Streams

EVENT_COLUMNS = ("name", "type", "start", "end", "scope", "effect", "effect_low", "effect_high", "effect_unit", "announced")
BUDGET_COLUMNS = ("id", "scope", "start", "end", "amount", "currency")

Event = tuple[str, str, int, int | None, str, float, float, float, str, int]


def events(organisation: Organisation, stretches: Sequence[Circumstances], span: Span) -> pd.DataFrame:
    """Planned events that had been announced by the end of the span, one row each, in order of start.

    Days are half-open, an open end (NaT) means for good. `effect` is a factor on the scope's cost, or USD a day once the ramp is
    over (`effect_unit` says which), with its plausible range; `announced` is the day from which the company knew. Three in ten
    launches are not announced to anybody, and are not here.
    """
    last = stretches[-1]
    rows = [*_price_changes(stretches), *_releases(last), *_campaigns(organisation, stretches), *_lives(organisation, last)]
    frame = pd.DataFrame([row for row in rows if row[-1] < span.days], columns=list(EVENT_COLUMNS))
    origin, day_length = np.datetime64(span.start, "us"), np.timedelta64(1, "D")
    for name in ("start", "announced"):
        frame[name] = origin + np.maximum(frame[name].to_numpy(dtype=np.int64), 0 if name == "announced" else -NEVER) * day_length
    ends = [np.datetime64("NaT", "us") if pd.isna(end) else origin + int(end) * day_length for end in frame["end"]]
    frame["end"] = np.array(ends, dtype="datetime64[us]")
    return frame.sort_values(["start", "name"], ignore_index=True)


def _price_changes(stretches: Sequence[Circumstances]) -> list[Event]:
    rows: list[Event] = []
    for number, day, factor in (change for now in stretches for change in now.market.changes):
        family = FAMILIES[number]
        scope = "ai_model=" + "|".join(sorted(model.id for model in family.models))
        name = f"{family.name} price {'cut' if factor < 1.0 else 'rise'} {len(rows) + 1}"
        rows.append((name, "price_change", day, None, scope, factor, factor, factor, "factor", day - PRICE_NOTICE))
    return rows


def _releases(last: Circumstances) -> list[Event]:
    rows: list[Event] = []
    for family, released in zip(FAMILIES, last.market.released[0], strict=True):
        for old, new, day in zip(family.models, family.models[1:], released[1:], strict=False):
            if 0 < day < NEVER:
                ratio = new.blended(0.85, 0.4) / old.blended(0.85, 0.4)
                effects = (round(ratio, 3), round(min(ratio, 1.0) * 0.9, 3), round(max(ratio, 1.0) * 1.1, 3))
                scope = "ai_model=" + "|".join(sorted((old.id, new.id)))
                rows.append((f"{new.id} replaces {old.id}", "model_switch", int(day), None, scope, *effects, "factor", int(day)))
    return rows


def _campaigns(organisation: Organisation, stretches: Sequence[Circumstances]) -> list[Event]:
    rows: list[Event] = []
    for campaign in (campaign for now in stretches for campaign in now.campaigns):
        life, factor = organisation.lives[campaign.life], campaign.factor
        launched, ended = (int(days[0, campaign.life]) for days in (stretches[-1].lived.launched, stretches[-1].lived.ended))
        if campaign.first_day < launched or campaign.decided >= ended:
            continue
        low, high = round(1.0 + 0.6 * (factor - 1.0), 2), round(1.0 + 1.5 * (factor - 1.0), 2)
        scope = f"team={life.team},workload={life.workload},stage=prod"
        name = f"{life.team} {life.workload} promotion {len(rows) + 1}"
        rows.append((name, "promotion", campaign.first_day, campaign.last_day, scope, factor, low, high, "factor", campaign.decided))
    return rows


def _lives(organisation: Organisation, last: Circumstances) -> list[Event]:
    """Launches and ends of workloads, foundings and dissolutions of teams."""
    rows: list[Event] = []
    for number, life in enumerate(organisation.lives):
        decided, launched, ended = (int(days[0, number]) for days in (last.lived.decided, last.lived.launched, last.lived.ended))
        leaves = [leaf for leaf in organisation.leaves if leaf.life == number and leaf.kind != "central"]
        cost = sum(leaf.daily_cost for leaf in leaves if not leaf.early)
        usd = (round(cost, 0), round(0.5 * cost, 0), round(2.0 * cost, 0))
        scope = f"team={life.team},workload={life.workload},stage=prod" if life.workload else f"team={life.team}"
        if life.workload and 0 < launched < NEVER and life.announced and life.hazard:
            rows.append((f"{life.team} launches {life.workload}", "launch", launched, None, scope, *usd, "usd_per_day", decided))
        if not life.workload and 0 < launched < NEVER:
            rows.append((f"team {life.team} begins", "team", launched, None, scope, *usd, "usd_per_day", 0))
        if ended < NEVER and (not life.workload or ended < int(last.lived.ended[0, life.parent])) and decided < ended:
            name = f"{life.team} ends {life.workload}" if life.workload else f"team {life.team} is dissolved"
            rows.append((name, "shutdown", ended + int(FADE_DAYS) - 1, None, scope, 0.0, 0.0, 0.0, "factor", ended - NOTICE_DAYS))
    return rows


def fiscal_quarter(day: date, fiscal_start: int, ahead: int = 0) -> tuple[str, date, date]:
    """Name, start and exclusive end of the fiscal quarter that contains `day`, or of one `ahead` quarters later.

    A fiscal year is named by the calendar year in which it ends, so with a start in January it is the calendar year.
    """
    months = day.year * 12 + day.month - 1
    first = months - (months - (fiscal_start - 1)) % 3 + 3 * ahead
    position = (first - (fiscal_start - 1)) % 12
    year_end = first - position + 11
    name = f"{year_end // 12}-Q{position // 3 + 1}"
    return name, date(first // 12, first % 12 + 1, 1), date((first + 3) // 12, (first + 3) % 12 + 1, 1)


def budgets(
    cost: Floats, teams: Sequence[str], team_of_line: Sequence[str], span: Span, streams: Streams, fiscal_start: int, currency: str
) -> pd.DataFrame:
    """Budgets of every team and of the whole company for the quarter of `span.end` and the next one.

    cost : (days, lines) effective cost without the incidents, which nobody budgets for. An amount is the run rate of the
    90 days before the current quarter × its days × a growth allowance × the planner's optimism (0.85 to 1.25).
    """
    rng = streams.of("budgets")
    owner = np.asarray(team_of_line)
    _, first_day, _ = fiscal_quarter(span.end, fiscal_start)
    known = min(max((first_day - span.start).days, 14), span.days)
    recent = cost[max(0, known - 90) : known]
    rows = []
    optimism = rng.uniform(0.85, 1.25, len(teams))
    for ahead, growth in ((0, 1.08), (1, 1.18)):
        name, start, end = fiscal_quarter(span.end, fiscal_start, ahead)
        whole = 0.0
        for team, factor in zip(teams, optimism, strict=True):
            run_rate = float(recent[:, owner == team].sum(axis=1).mean())
            if run_rate <= 0.0:  # dissolved, or not yet founded
                continue
            amount = max(100.0, float(np.round(run_rate * (end - start).days * growth * factor, -2)))
            whole += amount
            rows.append((f"{name}-{team}", f"team={team}", start, end, amount, currency))
        rows.append((f"{name}-company", "", start, end, float(np.round(whole * 0.97, -3)) or whole, currency))
    frame = pd.DataFrame(rows, columns=list(BUDGET_COLUMNS))
    frame["start"] = frame["start"].to_numpy(dtype="datetime64[us]")
    frame["end"] = frame["end"].to_numpy(dtype="datetime64[us]")
    return frame
