"""Which values of which dimension explain an excess, and whether price, volume or mix did it.

The excess over what was expected is split over the values of one dimension: the dimension whose shares changed most
(Jensen-Shannon divergence against the expected shares) among those in which few values explain it. Impacts of all
contributors add up to the excess; falls that offset it are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

REST = "(rest)"
ENOUGH = 0.8
"""A set of values explains an excess when it holds this part of it."""
OFFSET = 0.05
"""Opposite movements of at least this part of the excess are shown."""
UNCHANGED = 0.002
"""Below this divergence the shares of a dimension have not moved: everything grew alike."""
MOST_CONTRIBUTORS = 8
MOST_NARROWED = 3
"""Leading contributors that a second dimension is looked for."""
ITEMS: tuple[str, ...] = ("ai_model", "meter", "sku")
"""Columns whose combinations have one price and one unit."""


@dataclass(frozen=True)
class Contributor:
    """One part of an excess.

    scope : dimension → value; {} with `rest` true is everything else. price + volume + mix = impact, where quantities are known.
    """

    scope: dict[str, str]
    impact: float
    share: float | None
    price: float | None = None
    volume: float | None = None
    mix: float | None = None
    rest: bool = False

    def as_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "scope": self.scope,
            "impact": self.impact,
            "share": self.share,
            "price": self.price,
            "volume": self.volume,
            "mix": self.mix,
        }
        return {**found, "rest": True} if self.rest else found


def root_causes(current: pd.DataFrame, reference: pd.DataFrame, dimensions: Sequence[str], *, actual: float, expected: float) -> list[Contributor]:
    """Ranked contributors whose impacts add up to `actual − expected`.

    current : charge lines of the incident's days; reference : charge lines of ordinary days (any number of them; they are
    scaled to `expected`). Columns: the dimensions, `cost`, and `quantity` where known. Without dimensions that moved, there is one
    contributor with an empty scope: everything grew alike.
    """
    excess = actual - expected
    current, reference = _scaled(current, actual), _scaled(reference, expected)
    chosen = _choose(current, reference, dimensions, excess)
    if chosen is None:
        return [_contributor({}, current, reference, excess)]
    name, impacts = chosen
    found = []
    for number, value in enumerate(_shown(impacts, excess)):
        scope, part, before = {name: value}, current[current[name] == value], reference[reference[name] == value]
        if number < MOST_NARROWED:
            scope, part, before = _narrow(scope, part, before, [other for other in dimensions if other != name])
        found.append(_contributor(scope, part, before, excess))
    rest = excess - sum(contributor.impact for contributor in found)
    if abs(rest) > 1e-9 * max(abs(excess), 1.0):
        found.append(Contributor({}, rest, _share(rest, excess), rest=True))
    return found


def impacts_by_value(current: pd.DataFrame, reference: pd.DataFrame, dimension: str) -> pd.Series:
    """Cost now − cost expected for each value of a dimension, largest first; adds up to the excess."""
    values, now, usual = _costs(current, reference, dimension)
    return pd.Series(now - usual, index=values).sort_values(ascending=False, kind="stable")


def _costs(current: pd.DataFrame, reference: pd.DataFrame, dimension: str) -> tuple[pd.Index, NDArray[np.float64], NDArray[np.float64]]:
    """The values of a dimension, sorted, and the cost of each now and expected."""
    codes, values = pd.factorize(np.concatenate([current[dimension].to_numpy(dtype=object), reference[dimension].to_numpy(dtype=object)]), sort=True)
    n_now, n_values = len(current), len(values)
    now = _sums(codes[:n_now], current["cost"].to_numpy(dtype=np.float64), n_values)
    usual = _sums(codes[n_now:], reference["cost"].to_numpy(dtype=np.float64), n_values)
    return pd.Index(values), now, usual


def _sums(codes: NDArray[np.int64], cost: NDArray[np.float64], n_values: int) -> NDArray[np.float64]:
    # An empty bincount is one of integers.
    return np.bincount(codes, weights=cost, minlength=n_values).astype(np.float64)


def price_volume_mix(current: pd.DataFrame, reference: pd.DataFrame) -> tuple[float, float, float] | None:
    """(price, volume, mix) of the change in cost, adding up to it; None where quantities are not known.

    Per item (AI model, meter, SKU): price = Σ (p1 − p0) q1; the rest is quantity at old prices, of which volume is what the
    common growth of all quantities makes of the old cost and mix is the remainder. A new item has no old price: its cost is volume.
    """
    if "quantity" not in current or "quantity" not in reference:
        return None
    names = [name for name in ITEMS if name in current and name in reference]
    if not names:
        return None
    now, usual = (frame.groupby(names, observed=True)[["cost", "quantity"]].sum(min_count=1) for frame in (current, reference))
    joined = now.add_suffix("_now").join(usual.add_suffix("_usual"), how="outer").fillna(0.0)
    cost_now, cost_usual = joined["cost_now"].to_numpy(), joined["cost_usual"].to_numpy()
    quantity_now, quantity_usual = joined["quantity_now"].to_numpy(), joined["quantity_usual"].to_numpy()
    if ((quantity_now <= 0) & (cost_now != 0)).any() or ((quantity_usual <= 0) & (cost_usual != 0)).any():
        return None
    old = quantity_usual > 0
    old_price = np.divide(cost_usual, quantity_usual, out=np.zeros(len(joined)), where=old)
    price = float(np.where(old, cost_now - old_price * quantity_now, 0.0).sum())
    change = float(cost_now.sum() - cost_usual.sum())
    total_usual = float(quantity_usual.sum())
    if total_usual <= 0:
        return 0.0, change, 0.0
    new_items = float(cost_now[~old].sum())
    growth = float(quantity_now[old].sum()) / total_usual - 1.0
    volume = growth * float(cost_usual.sum()) + new_items
    return price, volume, change - price - volume


def sentence(
    scope_text: str, days: tuple[str, str], actual: float, expected: float, currency: str, causes: Sequence[Contributor | Mapping[str, Any]]
) -> str:
    """One plain sentence made from the numbers."""
    excess = actual - expected
    when = f"on {days[0]}" if days[0] == days[1] else f"from {days[0]} to {days[1]}"
    side = "above" if excess >= 0 else "below"
    usual = f"{expected:,.2f} {currency}" + (f" ({abs(excess) / abs(expected):.0%})" if expected else "")
    text = f"{scope_text or 'The whole company'} cost {actual:,.2f} {currency} {when}, {abs(excess):,.2f} {side} the expected {usual}"
    first = next((cause for cause in map(_plain, causes) if cause["scope"] and cause["share"] is not None and not cause.get("rest")), None)
    if first is None:
        return f"{text}."
    pairs = [f"{dimension}={value}" for dimension, value in first["scope"].items()]
    if sorted(pairs) == sorted(scope_text.split(",")):  # the whole of the incident is no cause of it
        return f"{text}."
    drivers = {key: first[key] for key in ("price", "volume", "mix") if first.get(key) is not None}
    main = max(drivers, key=lambda key: abs(drivers[key]), default=None)
    because = f", mostly {main}" if main and abs(drivers[main]) > 0.5 * abs(first["impact"]) else ""
    return f"{text}; {first['share']:.0%} of that is {', '.join(pairs)}{because}."


def _plain(cause: Contributor | Mapping[str, Any]) -> Mapping[str, Any]:
    return cause.as_dict() if isinstance(cause, Contributor) else cause


def _scaled(frame: pd.DataFrame, total: float) -> pd.DataFrame:
    """The lines with costs and quantities scaled to a total; lines that add up to nothing stay as they are."""
    own = float(frame["cost"].sum())
    if own == 0 or not np.isfinite(own):
        return frame
    factor = total / own
    if factor <= 0:
        return frame
    changed = {"cost": frame["cost"] * factor}
    if "quantity" in frame:
        changed["quantity"] = frame["quantity"] * factor
    return frame.assign(**changed)


def _choose(current: pd.DataFrame, reference: pd.DataFrame, dimensions: Sequence[str], excess: float) -> tuple[str, pd.Series] | None:
    """The dimension that explains an excess best, and the impact of each of its values."""
    best: tuple[float, str, pd.Series] | None = None
    for name in dimensions:
        if name not in current or name not in reference:
            continue
        values, now, usual = _costs(current, reference, name)
        if len(values) < 2:
            continue
        moved = _divergence(now, usual)
        if moved < UNCHANGED:
            continue
        impacts = pd.Series(now - usual, index=values).sort_values(ascending=False, kind="stable")
        rank = moved / (1.0 + 0.2 * (len(_shown(impacts, excess)) - 1))
        # Dimensions that follow each other (a SKU and its model) score alike; the earlier, coarser one is named.
        if best is None or rank > 1.02 * best[0]:
            best = (rank, name, impacts)
    return None if best is None else (best[1], best[2])


def _divergence(now: NDArray[np.float64], usual: NDArray[np.float64]) -> float:
    """Jensen-Shannon divergence (nats) of the shares of a dimension's values, now against expected."""
    shares = []
    for cost in (now.clip(min=0.0), usual.clip(min=0.0)):
        total = cost.sum()
        shares.append(cost / total if total > 0 else np.full(len(cost), 1.0 / len(cost)))
    middle = 0.5 * (shares[0] + shares[1])
    return float(0.5 * sum(_entropy_to(part, middle) for part in shares))


def _entropy_to(part: NDArray[np.float64], middle: NDArray[np.float64]) -> float:
    positive = part > 0
    return float((part[positive] * np.log(part[positive] / middle[positive])).sum())


def _shown(impacts: pd.Series, excess: float) -> list[str]:
    """The fewest values that explain the excess, then the largest offsetting ones."""
    sign = 1.0 if excess >= 0 else -1.0
    ordered = (impacts * sign).sort_values(ascending=False, kind="stable")
    rises = ordered[ordered > 0]
    reached = np.cumsum(rises.to_numpy())
    # Where there are offsetting falls, the rises together are more than the excess.
    goal = ENOUGH * max(abs(excess), float(reached[-1]) if len(reached) else 0.0)
    shown = list(rises.index[: int(np.searchsorted(reached, goal)) + 1][:MOST_CONTRIBUTORS])
    falls = ordered[ordered <= -OFFSET * abs(excess)].sort_values(kind="stable") if excess else ordered[ordered < 0]
    return [str(value) for value in [*shown, *falls.index[:MOST_CONTRIBUTORS]]]


def _narrow(
    scope: dict[str, str], current: pd.DataFrame, reference: pd.DataFrame, dimensions: Sequence[str]
) -> tuple[dict[str, str], pd.DataFrame, pd.DataFrame]:
    """One more dimension, where a single value of it holds nearly all of the contributor's impact."""
    impact = float(current["cost"].sum() - reference["cost"].sum())
    chosen = _choose(current, reference, dimensions, impact)
    if chosen is None:
        return scope, current, reference
    name, impacts = chosen
    value = str(impacts.index[0] if impact >= 0 else impacts.index[-1])
    own = float(impacts.loc[value])
    if not 0.9 <= own / impact <= 1.1:
        return scope, current, reference
    return {**scope, name: value}, current[current[name] == value], reference[reference[name] == value]


def _contributor(scope: dict[str, str], current: pd.DataFrame, reference: pd.DataFrame, excess: float) -> Contributor:
    impact = float(current["cost"].sum() - reference["cost"].sum()) if scope else excess
    parts = price_volume_mix(current, reference)
    price, volume, mix = parts if parts is not None else (None, None, None)
    return Contributor(scope, impact, _share(impact, excess), price, volume, mix)


def _share(impact: float, excess: float) -> float | None:
    return impact / excess if excess else None
