"""Root causes of an excess: the fewest values that explain it, each with its money, its share, and price, volume and mix.

The best set is found first (`attribution_search.py`), then what it leaves, as long as that is large and strange; falls that offset the excess are
found in the same way. Impacts of all contributors add up to the excess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.anomalies.attribution_cube import Cube, build_cube
from forecast.anomalies.attribution_search import Rule, best_scope, explained_and_moved, narrowed, shortest
from forecast.anomalies.attribution_split import price_volume_mix
from forecast.spend.dimensions import LEAF_DIMENSIONS

ENOUGH = 0.9
"""No further set is looked for once this part of an excess is explained."""
FURTHER = 0.1
"""A second set holds at least this part of the excess, …"""
STRANGE = 3.0
"""… and so many of its own standard deviations."""
OFFSET = 0.05
"""Opposite movements of at least this part of the excess are shown."""
MOST_RISES, MOST_FALLS = 5, 3


@dataclass(frozen=True)
class Contributor:
    """One part of an excess.

    scope : dimension → value; {} is all of what was looked at, or with `rest` everything else. price + volume + mix = impact, where quantities
    are known. switched : (AI model that was left, one that took its place), where the mix is that.
    """

    scope: dict[str, str]
    impact: float
    share: float | None
    price: float | None = None
    volume: float | None = None
    mix: float | None = None
    rest: bool = False
    switched: tuple[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "scope": self.scope,
            "impact": self.impact,
            "share": self.share,
            "price": self.price,
            "volume": self.volume,
            "mix": self.mix,
        }
        if self.switched is not None:
            found["switched"] = {"from": self.switched[0], "to": self.switched[1]}
        return {**found, "rest": True} if self.rest else found


def root_causes(
    current: pd.DataFrame,
    reference: pd.DataFrame,
    dimensions: Sequence[str],
    *,
    actual: float,
    expected: float,
    rule: Rule = explained_and_moved,
) -> list[Contributor]:
    """Ranked contributors whose impacts add up to `actual − expected`.

    current : charge lines of the incident's days; reference : charge lines of ordinary days (any number of them; they are
    scaled to `expected`). Columns: the dimensions, `cost`, and `quantity` and `ds` where known; with `ds`, what varies from day to day anyway
    weighs less. Where everything moved alike there is one contributor with an empty scope.
    """
    excess = actual - expected
    cube = build_cube(current, reference, _ordered(dimensions), actual=actual, expected=expected)
    if not excess or not len(cube.now) or not cube.dimensions:
        return [_contributor(cube, {}, excess, excess)]
    sign = 1.0 if excess > 0.0 else -1.0
    causes, rest = _sets(cube, cube, sign, abs(excess), excess, MOST_RISES, rule)
    left = abs(excess) - sum(sign * cause.impact for cause in causes)
    if left <= -OFFSET * abs(excess) and len(rest.now):
        falls, _ = _sets(rest, cube, -sign, -left, excess, MOST_FALLS, rule)
        causes += [fall for fall in falls if abs(fall.impact) >= OFFSET * abs(excess)]
    if not causes:
        return [_contributor(cube, {}, excess, excess)]
    # What is left and has no name is the rest.
    causes = [cause for cause in causes if cause.scope or len(causes) == 1]
    remainder = excess - sum(cause.impact for cause in causes)
    if abs(remainder) > 1e-9 * max(abs(excess), 1.0):
        causes.append(Contributor({}, remainder, remainder / excess, rest=True))
    return causes


def _sets(cube: Cube, whole: Cube, sign: float, wanted: float, excess: float, most: int, rule: Rule) -> tuple[list[Contributor], Cube]:
    """Sets that moved one way, largest first, and the cells that none of them holds.

    whole : the cube that they are named in. wanted : > 0, what they should hold together.
    """
    found: list[Contributor] = []
    left, rest = wanted, cube
    while len(found) < most and len(rest.now) and left > (1.0 - ENOUGH) * wanted:
        scope = narrowed(rest, best_scope(rest, sign, left, rule), sign)
        inside = rest.where(scope)
        part = rest.part(inside)
        impact = sign * float(part.now.sum() - part.usual.sum())
        if impact <= 0.0:
            break
        if found:
            own = float(part.deviation(np.zeros(len(part.now), dtype=np.int64), 1)[0])
            if impact < FURTHER * wanted or impact < STRANGE * own:
                break
        # A further set is what is left of its values without the sets before it.
        found.append(_contributor(part, shortest(rest, scope) or _common(part, whole), sign * impact, excess))
        rest, left = rest.part(~inside), left - impact
    return sorted(found, key=lambda cause: -abs(cause.impact)), rest


def _contributor(part: Cube, scope: dict[str, str], impact: float, excess: float) -> Contributor:
    share = impact / excess if excess else None
    split = price_volume_mix(part)
    if split is None:
        return Contributor(scope, impact, share)
    return Contributor(scope, impact, share, split.price, split.volume, split.mix, switched=split.switched)


def _common(part: Cube, whole: Cube) -> dict[str, str]:
    """The fewest values that tell what is left from all there was; {} where nothing does."""
    if len(part.now) == len(whole.now):
        return {}
    found = {}
    for name in part.dimensions:
        values = part.by_value(name)[0]
        if name in LEAF_DIMENSIONS and len(values) == 1:
            found[name] = part.text(name, int(values[0]))
    return shortest(whole, found)


def _ordered(dimensions: Sequence[str]) -> list[str]:
    """A leaf's dimensions first: of sets that explain alike, the coarser is named."""
    return sorted(dict.fromkeys(dimensions), key=lambda name: name not in LEAF_DIMENSIONS)
