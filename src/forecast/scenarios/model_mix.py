"""How the share of an AI model in its spend goes on from here: as shares of AI models went on from where they were, by the months billed.

Teams change AI models within weeks, so that what a lever on one touches is far less sure than the spend around it. History says how much less:
changes of shares on the logit scale over one month, two, and so on, of all AI models in groups of leaves like the scope's, from shares like today's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr

from forecast.scenarios.world import World
from forecast.spend.dimensions import UNKNOWN
from forecast.spend.scope import Scope

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AI_MODEL = "ai_model"
SELLER = ("provider", "service")
DAYS_A_MONTH = 365.25 / 12.0
CENTRE = 14.0
"""Days from the middle of what is called recent to the cutoff."""
LEAST_SHARE, SMALLEST = 0.03, 0.002
"""Shares from which changes are told, and what a share is held above (and below one less it)."""
FEWEST, MOST = 40, 300
"""Changes that must be known, and the most that are looked at: those from shares nearest to today's."""
MOST_MONTHS = 6
PARTS = (0.1, 0.3, 0.6, 0.85)
"""Leaves are taken together whose parts lie between two of these."""


@dataclass(frozen=True, eq=False)
class PartFactors:
    """What parts of leaves are multiplied with, day by day and path by path.

    groups : (m,) masks of leaves with like parts, and (n_days, n_paths), None where parts stay. at_the_end : (n_paths,) of all of them on the last
    day; None where parts stay.
    """

    groups: tuple[tuple[NDArray[np.bool_], Floats | None], ...]
    at_the_end: Floats | None = None


def part_factors(world: World, scope: Scope, leaves: Ints, parts: Floats) -> PartFactors:
    """How the parts of leaves that lie in a scope go on. parts : (m,) today's. No part becomes more than its leaf."""
    recent = np.maximum(world.recent[leaves], 0.0)
    whole = float(recent @ parts / recent.sum()) if recent.sum() > 0.0 else float(parts.mean())
    change = share_changes(world, scope, whole)
    if change is None:
        return PartFactors(((np.ones(len(leaves), dtype=bool), None),))
    group = np.digitize(parts, PARTS)
    found: list[tuple[NDArray[np.bool_], Floats | None]] = []
    for number in np.unique(group).tolist():
        some = group == number
        own = float(np.average(parts[some], weights=recent[some] + 1e-9))
        found.append((some, np.minimum(moved_share(own, change) / own, 1.0 / float(parts[some].max()))))
    return PartFactors(tuple(found), np.asarray(moved_share(whole, change[-1]) / whole))


def share_changes(world: World, scope: Scope, share: float) -> Floats | None:
    """(n_days, n_paths) change of the logit of a share since lately; None where the scope names no AI model or too little is known.
    None too where AI models are rows of their own: then their paths have it in them.

    share : today's, of the scope in the spend of its leaves. The same scope draws the same in every plan.
    """
    if AI_MODEL not in scope.dimensions or AI_MODEL in world.dimensions or world.meters is None or not world.n_days:
        return None
    known = _changes(_shares_by_month(world, scope), float(_logit(share)))
    if not known:
        return None
    # One draw a path: a share that has fallen much in a month is the one that has fallen much in two.
    place = ndtr(world.draw(f"mix|{scope}"))
    knots = np.stack([np.zeros(world.n_paths), *(np.quantile(changes, place) for changes in known)])
    cutoff = world.meters["end"].max().to_datetime64().astype("datetime64[D]")
    months = ((world.days - cutoff).astype(np.float64) + CENTRE) / DAYS_A_MONTH
    last = float(len(known))
    inside = np.clip(months, 0.0, last)
    lower = np.minimum(inside.astype(np.int64), len(known) - 1)
    part = (inside - lower)[:, None]
    # Doubt grows with the root of time below a month and beyond what is known.
    part = np.where((lower == 0)[:, None], np.sqrt(part), part)
    found = (1.0 - part) * knots[lower] + part * knots[lower + 1]
    return np.asarray(found * np.sqrt(np.maximum(months / last, 1.0))[:, None])


def moved_share(share: Floats | float, change: Floats) -> Floats:
    """A share after a change of its logit; one that is nothing or all stays so."""
    now = np.asarray(share, dtype=np.float64)
    return np.where((now <= 0.0) | (now >= 1.0), now, expit(_logit(now) + change))


def _logit(share: Floats | float) -> Floats:
    return np.asarray(logit(np.clip(share, SMALLEST, 1.0 - SMALLEST)))


def _shares_by_month(world: World, scope: Scope) -> Floats:
    """(n_series, n_months) share of each AI model in each group of leaves, NaN where a group has no spend on any; months in order.

    Groups are told apart by the leaf dimensions that the scope names, else by who sells the model.
    """
    meters = world.meters if world.meters is not None else pd.DataFrame()
    names = [name for name in scope.dimensions if name in world.dimensions] or [name for name in SELLER if name in world.dimensions]
    rows = np.flatnonzero(~meters["recent"].to_numpy(dtype=bool) & (meters[AI_MODEL] != UNKNOWN).to_numpy() & (meters[AI_MODEL] != "").to_numpy())
    leaf_group = world.leaves[names].groupby(names, sort=True).ngroup().to_numpy() if names else np.zeros(world.n_leaves, dtype=np.int64)
    group = leaf_group[meters["leaf"].to_numpy(dtype=np.int64)[rows]]
    month, months = pd.factorize(meters["start"].to_numpy()[rows].astype("datetime64[M]"), sort=True)
    model = pd.factorize(np.asarray(meters[AI_MODEL].array[rows], dtype=object))[0]
    series, _ = pd.factorize(group * (int(model.max(initial=0)) + 1) + model)
    n_series, n_months = int(series.max(initial=-1)) + 1, len(months)
    cost = np.maximum(meters["cost"].to_numpy(dtype=np.float64)[rows], 0.0)
    own = np.bincount(series * n_months + month, weights=cost, minlength=n_series * n_months).reshape(n_series, n_months)
    group_of = np.zeros(n_series, dtype=np.int64)
    group_of[series] = group
    whole = np.zeros((int(leaf_group.max(initial=0)) + 1, n_months))
    np.add.at(whole, group_of, own)
    return np.asarray(np.divide(own, whole[group_of], out=np.full(own.shape, np.nan), where=whole[group_of] > 0.0))


def _changes(shares: Floats, today: float) -> list[Floats]:
    """Changes of logits over one month, two and so on, from shares near today's; as many spans as enough is known of. today : a logit."""
    logits = _logit(shares)
    found: list[Floats] = []
    for span in range(1, min(shares.shape[1] - 1, MOST_MONTHS) + 1):
        before, after = logits[:, :-span], logits[:, span:]
        usable = np.isfinite(before) & np.isfinite(after) & (shares[:, :-span] >= LEAST_SHARE)
        if usable.sum() < FEWEST:
            break
        near = np.argsort(np.abs(before[usable] - today), kind="stable")[:MOST]
        found.append((after - before)[usable][near])
    return found
