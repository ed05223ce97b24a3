"""Spend of a scope finer than a leaf: leaf paths × share paths, learned from the snapshot's recent charge lines.

A leaf's spend splits over the values of a finer dimension (AI model, region, resource, a tag). The split is a share per
value: its log-ratio walks week by week around the recent share, as a first-order autoregression that starts at the last
week's split. Shares of one leaf are normalised path by path, so that the parts always add up to the leaf, and the noise
of a value is seeded by snapshot, leaf and value, so that a scope and the row of a group-by are the same numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import UnknownScopeError
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import DIMENSIONS, UNKNOWN
from forecast.spend.scope import Clause, unknown_value

WEEK = 7
PERSISTENCE = 0.8
"""How much of last week's departure from the usual split is left a week later."""
USUAL_SPREAD = 0.25
"""Standard deviation of a weekly log-ratio that a value starts from; worth as much as `USUAL_WEEKS` observed weeks."""
USUAL_WEEKS = 4.0
SMALLEST_SHARE = 1e-4


@dataclass(frozen=True)
class RecentSpend:
    """The snapshot's recent charge lines, ready to be split by any finer dimension.

    leaf : (n_lines,) row number of the leaf. day : (n_lines,) datetime64[D]. week : (n_lines,) weeks before the cutoff, 0 is
    the last one. cost : (n_lines,) float64.
    """

    frame: pd.DataFrame
    leaf: NDArray[np.int64]
    day: NDArray[np.datetime64]
    week: NDArray[np.int64]
    cost: NDArray[np.float64]
    tags: tuple[dict[str, str], ...]
    tag_codes: NDArray[np.int64]
    seen: dict[str, tuple[str, ...]]
    known: dict[str, tuple[NDArray[np.int64], tuple[str, ...]]] = field(default_factory=dict)
    """Columns that were asked for already: putting numbers to the texts of all lines takes longer than what is done with them."""

    @property
    def tag_keys(self) -> tuple[str, ...]:
        return tuple(sorted({key for tags in self.tags for key in tags}))

    @property
    def first_day(self) -> np.datetime64 | None:
        return self.day.min() if len(self.day) else None

    def column(self, name: str, field: str = "scope") -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """(n_lines,) codes and the values they stand for; a tag key that never occurred is an error that lists the known ones."""
        if name not in self.known:
            self.known[name] = self._column(name, field)
        return self.known[name]

    def _column(self, name: str, field: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        if name in DIMENSIONS and name in self.frame.columns:
            codes, values = pd.factorize(self.frame[name].astype(object).fillna(UNKNOWN), sort=True)
            return codes.astype(np.int64), tuple(map(str, values))
        keys = self.tag_keys
        if name not in keys:
            known = ", ".join(keys) or "none"
            raise UnknownScopeError(
                f"{name!r} is neither a dimension ({', '.join(DIMENSIONS)}) nor a tag key that has occurred; known tag keys: {known}",
                field=field,
                got=name,
                suggestions=keys,
            )
        by_text, found = pd.factorize(np.array([tags.get(name, UNKNOWN) for tags in self.tags], dtype=object), sort=True)
        return by_text.astype(np.int64)[self.tag_codes], tuple(map(str, found))

    def matches(self, clause: Clause) -> NDArray[np.bool_]:
        """(n_lines,) whether a line meets the condition; raises UnknownScopeError for a value that never occurred."""
        codes, values = self.column(clause.dimension)
        known = set(values) | set(self.seen.get(clause.dimension, ()))
        for value in clause.values:
            if value not in known:
                raise unknown_value(clause.dimension, value, sorted(known))
        wanted = np.array([value in clause.values for value in values], dtype=bool)
        inside = wanted[codes] if len(values) else np.zeros(len(codes), dtype=bool)
        return ~inside if clause.exclude else inside


def recent_spend(snapshot: Snapshot) -> RecentSpend:
    """The snapshot's recent lines, prepared once per snapshot (kept in the instance, as a cached property would be)."""
    found: RecentSpend | None = snapshot.__dict__.get("_recent_spend")
    if found is None:
        frame = snapshot.recent
        day = frame["ds"].to_numpy().astype("datetime64[D]")
        texts = frame["tags"].astype(object).fillna("") if "tags" in frame.columns else pd.Series([""] * len(frame), dtype=object)
        codes, unique = pd.factorize(texts)
        found = RecentSpend(
            frame,
            frame["leaf"].to_numpy(dtype=np.int64),
            day,
            (np.datetime64(snapshot.cutoff, "D") - day).astype(np.int64) // WEEK,
            frame["cost"].to_numpy(dtype=np.float64),
            tuple(_tags(text) for text in unique),
            codes.astype(np.int64),
            {name: tuple(values) for name, values in snapshot.meta.get("known_values", {}).items()},
        )
        snapshot.__dict__["_recent_spend"] = found
    return found


def combine(columns: Sequence[tuple[NDArray[np.int64], tuple[str, ...]]], n_lines: int) -> tuple[NDArray[np.int64], list[tuple[str, ...]]]:
    """Codes of value combinations over several columns, and the combinations; no columns give one empty combination."""
    codes = np.zeros(n_lines, dtype=np.int64)
    for column, values in columns:
        codes = codes * max(len(values), 1) + column
    unique, inverse = np.unique(codes, return_inverse=True)
    combinations: list[tuple[str, ...]] = []
    for code in unique.tolist():
        parts: list[str] = []
        for _, values in reversed(columns):
            code, last = divmod(code, max(len(values), 1))
            parts.append(values[last])
        combinations.append(tuple(reversed(parts)))
    return inverse.astype(np.int64), combinations


@dataclass(frozen=True)
class Shares:
    """Split of parents over values; pairs of one parent lie side by side.

    parent, value : (n_pairs,) what a pair stands for. mean : (n_pairs,) recent share; adds up to 1 over a parent.
    level, start, spread : (n_pairs,) of the log-ratio's walk. fixed : (n_pairs,) pairs whose parent has credits: no noise.
    """

    parent: NDArray[np.int64]
    value: NDArray[np.int64]
    mean: NDArray[np.float64]
    level: NDArray[np.float64]
    start: NDArray[np.float64]
    spread: NDArray[np.float64]
    fixed: NDArray[np.bool_]

    def pairs_of(self, parent: int) -> slice:
        first, last = np.searchsorted(self.parent, [parent, parent + 1])
        return slice(int(first), int(last))

    def paths(self, pairs: slice, n_blocks: int, n_paths: int, seed_of: SeedOf) -> NDArray[np.float64]:
        """(n_pairs of one parent, n_blocks, n_paths) shares in each week after the cutoff; they add up to 1 in every week of every path."""
        mean = self.mean[pairs]
        if len(mean) == 1 or self.fixed[pairs].any():
            return np.broadcast_to(mean[:, None, None], (len(mean), n_blocks, n_paths))
        walk = np.empty((len(mean), n_blocks, n_paths))
        for row, number in enumerate(range(pairs.start, pairs.stop)):
            rng = np.random.default_rng(seed_of(int(self.parent[number]), int(self.value[number])))
            noise = rng.standard_normal((n_blocks, n_paths)) * (self.spread[number] * np.sqrt(1.0 - PERSISTENCE**2))
            state = np.full(n_paths, self.start[number])
            for block in range(n_blocks):
                state = PERSISTENCE * state + noise[block]
                walk[row, block] = self.level[number] + state
        weights = np.exp(walk)
        return weights / weights.sum(axis=0)


def split_shares(parent: NDArray[np.int64], value: NDArray[np.int64], week: NDArray[np.int64], cost: NDArray[np.float64]) -> Shares:
    """How the cost of each parent splits over the values that occur in the lines; parent, value, week, cost : (n_lines,)."""
    if not len(cost):
        empty = np.zeros(0)
        return Shares(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), empty, empty, empty, empty, np.zeros(0, dtype=bool))
    width = int(value.max()) + 1
    pairs, inverse = np.unique(parent * width + value, return_inverse=True)
    parents, values = pairs // width, pairs % width
    n_weeks = int(week.max()) + 1
    table = np.bincount(inverse * n_weeks + week, weights=cost, minlength=len(pairs) * n_weeks).reshape(len(pairs), n_weeks)
    starts_parent = np.r_[True, parents[1:] != parents[:-1]]
    first, owner = np.flatnonzero(starts_parent), np.cumsum(starts_parent) - 1
    total = table.sum(axis=1)
    sums = np.add.reduceat(total, first)[owner]
    mean = np.where(sums != 0, total / np.where(sums != 0, sums, 1.0), 1.0 / np.bincount(owner)[owner])
    level = np.log(np.maximum(mean, SMALLEST_SHARE))
    weekly = np.maximum(table, 0.0)
    weekly_sums = np.add.reduceat(weekly, first, axis=0)[owner]
    observed = weekly_sums > 0
    weekly_log = np.log(np.maximum(weekly / np.where(observed, weekly_sums, 1.0), SMALLEST_SHARE))
    departure = np.where(observed, weekly_log - level[:, None], 0.0)
    variance = ((departure**2).sum(axis=1) + USUAL_WEEKS * USUAL_SPREAD**2) / (observed.sum(axis=1) + USUAL_WEEKS)
    # Credits make log-ratios meaningless: such a parent keeps its recent split.
    fixed = (np.minimum.reduceat(total, first) < 0)[owner]
    return Shares(parents, values, mean, level, np.clip(departure[:, 0], -1.0, 1.0), np.minimum(np.sqrt(variance), 1.0), fixed)


class SeedOf:
    """Seed of a pair's noise: a digest of the snapshot, the leaf and the value, independent of what else was asked."""

    def __init__(self, snapshot_id: str, parents: Callable[[int], str], dimensions: Sequence[str], values: Sequence[tuple[str, ...]]) -> None:
        self.snapshot_id = snapshot_id
        self.parents = parents
        self.dimensions = tuple(dimensions)
        self.values = values

    def __call__(self, parent: int, value: int) -> int:
        text = json.dumps([self.snapshot_id, self.parents(parent), self.dimensions, self.values[value]])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _tags(text: str) -> dict[str, str]:
    if not text:
        return {}
    data = json.loads(text)
    return {str(key): str(value) for key, value in data.items()} if isinstance(data, dict) else {}
