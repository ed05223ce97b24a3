"""How the prior is made: trees for where a scaled future lies, a forest for how it is spread, and a bank of futures in the forest's leaves.

Three disjoint sets of generated histories, so that nothing is judged by what it learned from: the first teaches the location of scaled window
means, the second which rows have alike *deviations* from that location (their size, direction, gaps and roughness), and the third fills the
leaves. One thread and fixed seeds: the same bytes every time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.history import Floats
from forecast.forecasters.prior.features import LARGEST, OFFSET, RATES, Seen, flattened, see
from forecast.forecasters.prior.processes import FUTURE, Histories, generate

EDGES = (0, 2, 7, 21, FUTURE)
"""Windows of steps whose mean levels the location trees predict."""

MIDDLES = tuple((begin + 1 + end) / 2 for begin, end in pairwise(EDGES))

ROUGHNESS = 2 * len(RATES)
"""Column of the features that says how far the best smoothed level lay from what came."""

LARGEST_RATIO = 30.0

LARGEST_MONTH = 4.0
"""Futures whose first or second four weeks cost more than this times the location are scaled down to it: the few that explode would carry
the mean of every sum, and no short history can tell which they are."""

HALF = FUTURE // 2

_CHUNK = 2048
_BATCH = 15_000


@dataclass(frozen=True)
class Recipe:
    """Histories of the three sets (`bank` < 65,536), and the sizes of the trees.

    evenness : exponent on inverse roughness by which the location's rows are weighted; 0 is all alike. members : kept in each leaf.
    """

    teachers: int = 120_000
    spreaders: int = 80_000
    bank: int = 36_000
    seed: int = 2026
    rounds: int = 120
    leaves: int = 47
    learning_rate: float = 0.1
    evenness: float = 0.5
    trees_a_target: int = 10
    forest_leaves: int = 128
    least_in_leaf: int = 120
    members: int = 128


def seen_of(histories: Histories) -> Seen:
    """`see` in pieces that fit a processor's cache."""
    parts = [see(histories.past[at : at + _CHUNK], histories.age[at : at + _CHUNK]) for at in range(0, len(histories.past), _CHUNK)]
    return Seen(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("scale", "profile", "features")))


def lessons(count: int, seed: int) -> tuple[Floats, Floats]:
    """Features (n, F) and scaled futures without their week (n, FUTURE) of about `count` generated histories, made batch by batch."""
    features, futures = [], []
    for batch, begin in enumerate(range(0, count, _BATCH)):
        made = generate(min(_BATCH, count - begin), seed * 1000 + batch)
        seen = seen_of(made)
        features.append(seen.features)
        futures.append(np.minimum(flattened(made.future, seen.profile) / seen.scale[:, None], LARGEST))
    return np.concatenate(features), np.concatenate(futures)


def grow(recipe: Recipe) -> dict[str, NDArray[np.generic] | str]:
    """The prior's parts, name → array or text of trees; `prior.Prior` says what each of them is."""
    import lightgbm

    def trees(features: Floats, target: Floats, rounds: int, weight: Floats | None = None, **parameters: Any) -> Any:
        data = lightgbm.Dataset(features, label=target, weight=weight, params={"verbosity": -1, "max_bin": 127})
        common = {"verbosity": -1, "num_threads": 1, "deterministic": True, "force_col_wise": True, "seed": 1, "max_bin": 127, "lambda_l2": 1.0}
        return lightgbm.train({**common, **parameters}, data, num_boost_round=rounds)

    found: dict[str, NDArray[np.generic] | str] = {}
    features, future = lessons(recipe.teachers, recipe.seed)
    location_trees = []
    for number, (begin, end) in enumerate(pairwise(EDGES)):
        target = np.log(future[:, begin:end].mean(axis=1) + OFFSET)
        grown = trees(
            features,
            target,
            recipe.rounds,
            # Where the level is known well, small errors count: rough series would otherwise decide every split.
            weight=1 / (0.05 + features[:, ROUGHNESS]) ** recipe.evenness,
            num_leaves=recipe.leaves,
            learning_rate=recipe.learning_rate,
            min_data_in_leaf=80,
            feature_fraction=0.5,
            bagging_fraction=0.7,
            bagging_freq=1,
        )
        location_trees.append(grown)
        found[f"location_{number}"] = _text(grown)
    features, future = lessons(recipe.spreaders, recipe.seed + 1)
    deviation = future / _location(location_trees, features)
    forest = []
    for number, target in enumerate(_spread_targets(deviation)):
        grown = trees(
            features,
            target,
            recipe.trees_a_target,
            boosting="rf",
            num_leaves=recipe.forest_leaves,
            min_data_in_leaf=recipe.least_in_leaf,
            feature_fraction=0.4,
            bagging_fraction=0.6,
            bagging_freq=1,
        )
        forest.append(grown)
        found[f"forest_{number}"] = _text(grown)
    features, future = lessons(recipe.bank, recipe.seed + 2)
    bank = np.minimum(future / _location(location_trees, features), LARGEST_RATIO)
    bank = _coarse(tamed(bank, LARGEST_MONTH).astype(np.float16))
    leaves = np.concatenate([leaf_numbers(grown, features) for grown in forest], axis=1)
    counts = [int(number) for grown in forest for number in re.findall(r"^num_leaves=(\d+)$", _text(grown), re.MULTILINE)]
    found["bank"] = bank
    found.update(_membership(leaves, counts, bank[:, :HALF].astype(np.float64).sum(axis=1), recipe.members))
    return found


def _location(trees: list[Any], features: Floats) -> Floats:
    """(rows, FUTURE) smooth location of scaled futures."""
    knots = np.stack([np.asarray(grown.predict(features, num_threads=1)) for grown in trees], axis=1)
    return np.asarray(location_by_step(knots))


def location_by_step(knots: Floats) -> Floats:
    """(rows, FUTURE) locations between the windows' log locations `knots` (rows, 4), level beyond the outer ones."""
    steps = np.arange(1, FUTURE + 1, dtype=float)
    weights = np.stack([np.interp(steps, MIDDLES, one) for one in np.eye(len(MIDDLES))])  # (4, FUTURE)
    return np.asarray(np.exp(np.clip(knots, np.log(OFFSET), np.log(LARGEST)) @ weights))


def _spread_targets(deviation: Floats) -> list[Floats]:
    """What makes two deviations alike: their direction and size over unlike windows, gaps, and roughness from day to day."""
    logs = [np.log(deviation[:, :width].mean(axis=1) + OFFSET) for width in (3, 7, 28, FUTURE)]
    gaps = (deviation[:, :14] < 0.02).mean(axis=1)
    rough = np.log(deviation[:, :14].std(axis=1) / np.maximum(deviation[:, :14].mean(axis=1), OFFSET) + OFFSET)
    return [logs[1], logs[2], np.abs(logs[0]), np.abs(logs[1]), np.abs(logs[2]), np.abs(logs[3]), gaps, rough]


def tamed(deviations: NDArray[np.floating[Any]], largest: float) -> Floats:
    """(b, FUTURE) with each half scaled down to a mean of `largest` where it is above."""
    halves = np.asarray(deviations, dtype=np.float64).reshape(len(deviations), 2, HALF)
    mean = halves.mean(axis=2, keepdims=True)
    return np.asarray(halves * np.minimum(1.0, largest / np.maximum(mean, 1e-9))).reshape(len(deviations), FUTURE)


def _coarse(bank: NDArray[np.float16]) -> NDArray[np.float16]:
    """To eight binary digits (0.2 %): what a file can be compressed to."""
    return ((bank.view(np.uint16) + np.uint16(4)) & np.uint16(0xFFF8)).view(np.float16)


def leaf_numbers(trees: Any, features: Floats) -> NDArray[np.int64]:
    """(rows, trees) number of the leaf that each row falls into."""
    return np.asarray(trees.predict(features, pred_leaf=True, num_threads=1), dtype=np.int64).reshape(len(features), -1)


def _membership(leaves: NDArray[np.int64], counts: list[int], order: Floats, members: int) -> dict[str, NDArray[np.generic]]:
    """Rows of the bank in every leaf, smallest total first, at most `members` at even ranks. Leaves without any take the whole bank's.

    leaves : (bank, trees). counts : leaves of each tree. order : (bank,) what members are sorted by.
    """
    ranked = np.argsort(order, kind="stable")
    everyone = ranked[np.linspace(0, len(ranked) - 1, members).round().astype(np.int64)]
    tables, offsets = [], [0]
    for tree, count in enumerate(counts):
        own = leaves[ranked, tree]
        table = np.tile(everyone, (count, 1))
        grouped = ranked[np.argsort(own, kind="stable")]
        sizes = np.bincount(own, minlength=count)
        ends = np.cumsum(sizes)
        filled = np.flatnonzero(sizes)
        places = (np.arange(members) + 0.5) / members * sizes[filled, None]
        table[filled] = grouped[(ends - sizes)[filled, None] + np.floor(places).astype(np.int64)]
        tables.append(table)
        offsets.append(offsets[-1] + count)
    return {"members": np.concatenate(tables).astype(np.uint16), "offsets": np.array(offsets, dtype=np.int64)}


def _text(trees: Any) -> str:
    return str(trees.model_to_string())
