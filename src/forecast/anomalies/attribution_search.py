"""The values that explain an excess best: every combination of up to three, scored by what it explains and by what in it stood still.

A set of lines explains an excess well when it holds all of it, no more and no less (`explained`), and when what else it holds has moved
too (`moved`): a team is no cause where one of its workloads grew and the others did not. The score is their product less a little for every
value named; values below a workload cost more, for they are named only where they say more than a coarser one. A set that explains enough is
then narrowed while one value holds nearly all of its excess. docs/decisions/0014-root-cause.md has what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from forecast.anomalies.attribution_cube import Cube, Floats, Integers, numbered, sums
from forecast.spend.dimensions import LEAF_DIMENSIONS

FINEST: tuple[str, ...] = ("sku", "resource")
"""Too fine to search through: keys come and go without a cent more. A set is narrowed to them in the end."""
REPLACEABLE: tuple[str, ...] = ("ai_model",)
"""Lines that differ in nothing else may take each other's place."""
COARSE_PENALTY, FINE_PENALTY = 0.02, 0.10
"""What naming a value costs: one of a leaf's dimensions, one of another."""
QUIET = 1.0
"""Standard deviations up to which a cell has moved in part only, …"""
QUIET_SHARE = 0.2
"""… besides this part of its usual money."""
SOFT = 0.05
"""Part of the excess that is added to moved and unmoved money: new spend has no usual money that could have moved."""
EXCUSED = 0.1
"""Part of the deviation of all lines by which a set may miss the excess."""
HOLDS, EXCEEDS = 0.9, 1.15
"""A value that a set is narrowed to holds this part of its excess, and not much more: otherwise others fell."""
TELLS = 0.05
"""A value's part of the excess is larger than its part of the usual money by this, or it tells nothing."""
SAME = 0.02
"""Sets whose money differs by no more are the same."""
OFFSET_BY = 1.2
"""Rises of more than so many times the excess are offset by falls."""
CELLS_IN_THREES, CELLS_IN_PAIRS = 20_000, 200_000
"""Cells up to which combinations of three and of two values are looked at; of more, single ones, narrowed afterwards."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """All value combinations of some dimensions, as groups of cells. excess > 0: falls are turned round.

    group : (n_cells,) number of a cell's combination. now, usual, moved : (n_cells,) money; `moved` is the part of `usual` in cells that moved
    along. deviation : of all cells' money together. n_groups : how many combinations.
    """

    group: Integers
    now: Floats
    usual: Floats
    change: Floats
    moved: Floats
    excess: float
    deviation: float
    n_groups: int


Rule = Callable[[Candidates], Floats]
"""(n_groups,) how well each combination explains the excess, before what its names cost; 1 is perfect."""


def explained_and_moved(found: Candidates) -> Floats:
    """The product of the part of the excess that a set explains and of the part of it that moved."""
    change = sums(found.group, found.change, found.n_groups)
    missed = np.maximum(np.abs(found.excess - change) - EXCUSED * found.deviation, 0.0)
    soft = SOFT * found.excess
    moved = (sums(found.group, found.moved, found.n_groups) + soft) / (sums(found.group, found.usual, found.n_groups) + soft)
    return np.asarray(np.clip(1.0 - missed / found.excess, 0.0, 1.0) * moved)


def best_scope(cube: Cube, sign: float, excess: float, rule: Rule = explained_and_moved) -> dict[str, str]:
    """Dimension → value of the set that explains the excess best; {} where all of it moved alike.

    sign : 1 for a rise, −1 for a fall. excess : > 0, money that the set should hold.
    """
    names = [name for name in cube.dimensions if name not in FINEST and len(cube.by_value(name)[0]) > 1]
    cell, first = _numbered(cube, names, np.arange(len(cube.now)))
    n_cells = len(first)
    usual = sums(cell, cube.usual, n_cells)
    change = sign * (sums(cell, cube.now, n_cells) - usual)
    base = np.maximum(usual, 0.0)
    # Cells that stand in for each other move together: usage that left one AI model for another is no fall.
    together, members = _numbered(cube, [name for name in names if name not in REPLACEABLE], first)
    joint, joint_base = (sums(together, values, len(members)) for values in (change, base))
    quiet = np.maximum(QUIET * cube.deviation(together[cell], len(members)) + QUIET_SHARE * joint_base, 1e-12)
    part_moved = np.clip(joint / quiet, 0.0, 1.0)
    whole = float(cube.deviation(np.zeros(len(cube.now), dtype=np.int64), 1)[0])
    moved = base * part_moved[together]
    # Where falls offset rises, a set may hold more than is left of them: all that rose is looked for too.
    gross = float((np.maximum(joint, 0.0) * part_moved).sum())
    targets = (excess, gross) if gross > OFFSET_BY * excess else (excess,)
    most = 3 if n_cells <= CELLS_IN_THREES else 2 if n_cells <= CELLS_IN_PAIRS else 1
    best: tuple[float, tuple[str, ...], int] = (-np.inf, (), 0)
    for count in range(min(most, len(names)) + 1):
        for chosen in combinations(names, count):
            group, members = _numbered(cube, chosen, first)
            for target in targets:
                scores = rule(Candidates(group, usual + sign * change, base, change, moved, target, whole, len(members)))
                place = int(np.argmax(scores))
                score = float(scores[place]) - _penalty(chosen)
                if score > best[0] + 1e-9:
                    best = (score, chosen, int(first[members[place]]))
    _, chosen, example = best
    return {name: cube.text(name, int(cube.codes[name][example])) for name in chosen}


def narrowed(cube: Cube, scope: Mapping[str, str], sign: float) -> dict[str, str]:
    """The scope with more values while one value holds nearly all of the excess: first a leaf's dimensions, then finer ones."""
    found = dict(scope)
    part = cube.part(cube.where(found))
    excess = sign * float(part.now.sum() - part.usual.sum())
    fine = [name for name in cube.dimensions if name not in LEAF_DIMENSIONS]
    for names in ([name for name in cube.dimensions if name in LEAF_DIMENSIONS], fine):
        while excess > 0.0:
            value = _telling(part, [name for name in names if name not in found], sign, excess)
            if value is None:
                break
            found[value[0]] = value[1]
            part = cube.part(cube.where(found))
    return found


def shortest(cube: Cube, scope: Mapping[str, str]) -> dict[str, str]:
    """The fewest of the scope's values that select the same money; of equally many, those of the coarser dimensions."""
    names = [*(name for name in cube.dimensions if name in scope)]
    inside = {name: cube.where({name: scope[name]}) for name in names}
    wanted = np.logical_and.reduce(list(inside.values()), initial=True) & np.ones(len(cube.now), dtype=np.bool_)
    size = max(float(np.abs(cube.now[wanted]).sum() + np.abs(cube.usual[wanted]).sum()), 1e-12)
    for count in range(len(names)):
        for chosen in combinations(names, count):
            more = np.logical_and.reduce([inside[name] for name in chosen], initial=True) & ~wanted
            if float(np.abs(cube.now[more]).sum() + np.abs(cube.usual[more]).sum()) <= SAME * size:
                return {name: scope[name] for name in chosen}
    return dict(scope)


def _telling(part: Cube, names: Sequence[str], sign: float, excess: float) -> tuple[str, str] | None:
    """The dimension and value that hold nearly all of an excess and least of the usual money."""
    best: tuple[float, str, str] | None = None
    for name in names:
        values, now, usual = part.by_value(name)
        if len(values) < 2:
            continue
        change = sign * (now - usual)
        place = int(np.argmax(change))
        share = float(change[place]) / excess
        whole = float(usual.sum())
        held = float(usual[place]) / whole if whole > 0.0 else 0.0
        if not HOLDS <= share <= EXCEEDS or held > min(share, 1.0) - TELLS:
            continue
        if best is None or held < best[0] - 0.01:
            best = (held, name, part.text(name, int(values[place])))
    return None if best is None else best[1:]


def _numbered(cube: Cube, names: Sequence[str], cells: Integers) -> tuple[Integers, Integers]:
    """Number of each cell's combination of values, and the place of one cell of each combination; `cells` are places in the cube."""
    return numbered([(cube.codes[name][cells], len(cube.values[name])) for name in names], len(cells))


def _penalty(names: Sequence[str]) -> float:
    return sum(COARSE_PENALTY if name in LEAF_DIMENSIONS else FINE_PENALTY for name in names)
