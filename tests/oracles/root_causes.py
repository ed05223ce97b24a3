"""The set of values that explains an excess best, by trying every one: the slow twin of `anomalies/attribution_search.py`.

Money only, no days: what varies anyway is taken as nothing. Written from the definitions, with dictionaries and loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

Cell = tuple[Mapping[str, str], float, float]
"""Its values, its money now and what was expected."""


def scores(
    cells: Sequence[Cell], names: Sequence[str], coarse: Sequence[str], sign: float, excess: float
) -> dict[tuple[tuple[str, str], ...], float]:
    """Score of every set of up to three values that some cell has. Cells that differ in the AI model only move together."""
    merged: dict[tuple[str, ...], list[float]] = {}
    for values, now, usual in cells:
        both = merged.setdefault(tuple(values[name] for name in names), [0.0, 0.0])
        both[0] += now
        both[1] += usual
    kept = [place for place, name in enumerate(names) if name != "ai_model"]
    together: dict[tuple[str, ...], list[float]] = {}
    for key, (now, usual) in merged.items():
        joint = together.setdefault(tuple(key[place] for place in kept), [0.0, 0.0])
        joint[0] += sign * (now - usual)
        joint[1] += max(usual, 0.0)
    part = {key: min(max(change / (0.2 * usual), 0.0), 1.0) if usual > 0.0 else float(change > 0.0) for key, (change, usual) in together.items()}
    gross = sum(max(change, 0.0) * part[key] for key, (change, _) in together.items())
    targets = [excess, gross] if gross > 1.2 * excess else [excess]
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for count in range(4):
        for chosen in combinations(range(len(names)), count):
            for wanted in product(*({key[place] for key in merged} for place in chosen)):
                inside = [key for key in merged if all(key[place] == value for place, value in zip(chosen, wanted, strict=True))]
                if not inside:
                    continue
                change = sum(sign * (merged[key][0] - merged[key][1]) for key in inside)
                usual = sum(max(merged[key][1], 0.0) for key in inside)
                moved = sum(max(merged[key][1], 0.0) * part[tuple(key[place] for place in kept)] for key in inside)
                named = tuple((names[place], value) for place, value in zip(chosen, wanted, strict=True))
                penalty = sum(0.02 if name in coarse else 0.10 for name, _ in named)
                found[named] = max(_score(change, usual, moved, target) for target in targets) - penalty
    return found


def _score(change: float, usual: float, moved: float, target: float) -> float:
    soft = 0.05 * target
    return min(max(1.0 - abs(target - change) / target, 0.0), 1.0) * (moved + soft) / (usual + soft)
