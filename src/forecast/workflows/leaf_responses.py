"""How the cost of a snapshot's leaves follows usage, from what is kept of their bills: schedules, meters and their units, drivers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.scenarios.response_rules import is_energy, is_machine_hours, response_of
from forecast.scenarios.responses import ELASTIC, FIXED, MEASURED, NAMES, STEPS, Responses
from forecast.snapshot import Snapshot
from forecast.spend.events import P90
from forecast.spend.known_money import SCHEDULED
from forecast.spend.meters import recent_start
from forecast.spend.scope import Scope
from forecast.workflows.leaf_commitments import covered_rows, leaf_commitments
from forecast.workflows.leaf_lags import calm_pools, following_rate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HOURS_A_DAY = 24.0
WHOLE_DAYS, NEAR = 60, 0.02
"""Latest days, and how near to a whole number of machines (relative) a day's money counts as one."""
RATE_SPREAD = 1.6
"""P90 ÷ P50 of the rate at which slow pools follow demand: single pools of one company differ by that."""
ENERGY_POWER, ENERGY_ERROR = 0.5, 0.2
"""Machines draw a quarter to a third of their power when they are idle, and no more than all of it."""
PIECE = 1e-9
"""Of a month's money: of spend that is in proportion to usage."""
LEAST_SHARE = 0.005
"""Of a leaf's money that is no reason to take it apart."""


def leaf_responses(snapshot: Snapshot, draw: Callable[[str], Floats], phase: Floats) -> Responses:
    """Responses of all leaves. draw : name → (n_paths,) standard normals. phase : see `Responses`."""
    shares, quantum = _shares(snapshot)
    driver = np.full(len(shares), -1, dtype=np.int64)
    powers: list[Floats] = []
    for one in measured_drivers(snapshot):
        try:
            inside = snapshot.hierarchy.leaf_mask(Scope.parse(one["scope"]))
        except InputError:
            continue
        error = (float(one["high"]) - float(one["low"])) / (2.0 * P90)
        driver[inside & (driver < 0)] = len(powers)
        powers.append(float(one["value"]) + error * draw(f"driver|{one['driver']}"))
    energy = _with_energy(snapshot) & (driver < 0)
    if energy.any():
        driver[energy] = len(powers)
        powers.append(ENERGY_POWER + ENERGY_ERROR * draw("energy"))
    # Nobody measured anything: then what has no unit follows usage as most spend does, in proportion.
    unknown = driver < 0
    shares[unknown, ELASTIC] += shares[unknown, MEASURED]
    shares[unknown, MEASURED] = 0.0
    _let_taxes_follow(snapshot, shares)
    commitments = leaf_commitments(snapshot)
    slow, rate = _slow_pools(snapshot)
    if rate is None:
        return Responses(shares, quantum, driver, tuple(powers), phase, commitments=commitments)
    rates = np.clip(rate * np.exp(draw("lag") * np.log(RATE_SPREAD) / P90), 0.0, 1.0)
    return Responses(shares, quantum, driver, tuple(powers), phase, slow, rates, commitments)


def _with_energy(snapshot: Snapshot) -> NDArray[np.bool_]:
    """(n_leaves,) whose bills count electricity."""
    found = np.zeros(len(snapshot.hierarchy.leaves), dtype=bool)
    if snapshot.meters is not None:
        counted = np.array([is_energy(str(unit)) for unit in snapshot.meters["unit"]], dtype=bool)
        found[snapshot.meters["leaf"].to_numpy(dtype=np.int64)[counted]] = True
    return found


def _let_taxes_follow(snapshot: Snapshot, shares: Floats) -> None:
    """Tax is a part of what a provider bills: it follows usage as far as the provider's other money does."""
    recent, leaves = snapshot.recent, snapshot.hierarchy.leaves
    if "charge_category" not in recent.columns or recent.empty or "provider" not in leaves.columns:
        return
    leaf, cost = recent["leaf"].to_numpy(dtype=np.int64), recent["cost"].to_numpy(dtype=np.float64).clip(min=0.0)
    taxes = (recent["charge_category"].astype(str) == "Tax").to_numpy()
    tax, rest = (np.bincount(leaf[inside], cost[inside], minlength=len(shares)) for inside in (taxes, ~taxes))
    providers = leaves["provider"].to_numpy()
    for place in np.flatnonzero(tax > rest).tolist():
        own = np.flatnonzero((providers == providers[place]) & (rest > tax))
        if len(own):
            fixed = float(rest[own] @ shares[own, FIXED] / rest[own].sum())
            shares[place] = 0.0
            shares[place, [FIXED, ELASTIC]] = fixed, 1.0 - fixed


def _slow_pools(snapshot: Snapshot) -> tuple[NDArray[np.bool_], float | None]:
    """(n_leaves,) pools whose load is smoothed, and the rate at which they follow (None: nothing tells)."""
    machines = np.zeros(0, dtype=np.int64)
    if snapshot.meters is not None:
        instances = snapshot.meters["meter"].astype(str).str.lower().str.contains("instance").to_numpy(dtype=bool)
        machines = np.unique(snapshot.meters["leaf"].to_numpy(dtype=np.int64)[instances])
    pools = calm_pools(snapshot, machines)
    slow = np.zeros(len(snapshot.hierarchy.leaves), dtype=bool)
    slow[pools] = True
    return slow, following_rate(snapshot, pools)


def measured_drivers(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Drivers of volume whose relation to spend was measured, the best known first."""
    known = [one for one in snapshot.meta.get("drivers") or () if one.get("value") is not None and one.get("kind", "volume") == "volume"]
    return sorted(known, key=lambda one: -float(one.get("gain_if_known") or 0.0))


def _shares(snapshot: Snapshot) -> tuple[Floats, Floats]:
    """(n_leaves, 4) shares and (n_leaves,) money of a machine a day."""
    n = len(snapshot.hierarchy.leaves)
    money = np.zeros((n, len(NAMES)))
    hours, cost_of_hours, committed = np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool)
    first = recent_start(snapshot.cutoff)
    money[:, FIXED] += _scheduled(snapshot, first)
    if snapshot.meters is not None:
        frame = snapshot.meters[snapshot.meters["recent"].to_numpy(dtype=bool)]
        leaf, cost = frame["leaf"].to_numpy(dtype=np.int64), np.maximum(frame["cost"].to_numpy(dtype=np.float64), 0.0)
        pairs, names = pd.factorize(pd.MultiIndex.from_frame(frame[["meter", "unit"]]))
        kinds = np.array([response_of(str(meter), str(unit)) for meter, unit in names], dtype=np.int64)
        machines = np.array([is_machine_hours(str(meter), str(unit)) for meter, unit in names], dtype=np.bool_)
        covered = covered_rows(frame)
        np.add.at(money, (leaf, np.where(covered, STEPS, kinds[pairs])), cost)
        committed[leaf[covered]] = True
        counted = machines[pairs]
        hours += np.bincount(leaf[counted], frame["quantity"].to_numpy(dtype=np.float64)[counted], minlength=n)
        cost_of_hours += np.bincount(leaf[counted], cost[counted], minlength=n)
    else:
        learnt = np.maximum(snapshot.expected_history[:, -30:].sum(axis=1) - money[:, FIXED], 0.0)
        money[:, MEASURED] += learnt
    total = money.sum(axis=1)
    shares = np.divide(money, total[:, None], out=np.zeros_like(money), where=total[:, None] > 0.0)
    shares[total <= 0.0, MEASURED] = 1.0
    shares[shares < LEAST_SHARE] = 0.0
    shares /= shares.sum(axis=1, keepdims=True)
    known = (hours > 0.0) & (cost_of_hours > 0.0)
    quantum = np.where(known, HOURS_A_DAY * cost_of_hours / np.where(known, hours, 1.0), np.nan)
    quantum = np.where(_in_whole_days(snapshot, quantum), quantum, quantum / HOURS_A_DAY)
    # A commitment may cover what is not counted in machines: then it comes in pieces so small that none are seen.
    quantum[committed & ~known] = PIECE * np.maximum(total[committed & ~known], 1.0)
    known |= committed
    shares[~known, ELASTIC] += shares[~known, STEPS]
    shares[~known, STEPS] = 0.0
    return shares, quantum


def _in_whole_days(snapshot: Snapshot, quantum: Floats) -> NDArray[np.bool_]:
    """(n_leaves,) whether machines run for whole days: then most days cost a whole number of them; else hours come and go one by one."""
    machines = snapshot.leaf_history[:, -WHOLE_DAYS:] / quantum[:, None]
    runs = machines > 0.5
    whole = runs & (np.abs(machines - np.rint(machines)) <= NEAR * np.maximum(machines, 1.0)) & (machines < 0.5 / NEAR)
    return np.asarray(whole.sum(axis=1) > 0.5 * np.maximum(runs.sum(axis=1), 1), dtype=np.bool_)


def _scheduled(snapshot: Snapshot, first: date) -> Floats:
    """(n_leaves,) money that came by a schedule since `first`."""
    frame = snapshot.known_money
    if frame is None:
        return np.zeros(len(snapshot.hierarchy.leaves))
    since = np.datetime64(first, "s")
    until = np.datetime64(snapshot.cutoff + timedelta(days=1), "s")
    days = frame["ds"].to_numpy().astype("datetime64[s]")
    own = (frame["kind"] == SCHEDULED).to_numpy() & (days >= since) & (days < until)
    lines = frame["leaf"].to_numpy(dtype=np.int64)[own]
    cost = np.maximum(frame["cost"].to_numpy(dtype=np.float64)[own], 0.0)
    return np.bincount(lines, cost, minlength=len(snapshot.hierarchy.leaves)).astype(np.float64)
