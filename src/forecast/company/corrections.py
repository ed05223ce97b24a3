"""Corrections of closed months: usage that was charged to the wrong key is moved to the right one of the same leaf, a month later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.company import cells
from forecast.company.lines import ChargeLines
from forecast.company.span import Floats, Integers, Span
from forecast.company.stretch import Streams

CHANCE = 0.005
"""Of a day's tokens of one key, model and meter being found at fault."""
MOVED = (0.05, 0.30)
DELIVERED = (5, 20)
"""Days after the end of the month that is corrected."""


@dataclass(frozen=True, eq=False)
class Corrections:
    """`moved` of the quantity of `day` is taken from line `source` and given to line `target`; all (n,).

    delivered : number of the day on which the correction arrives. Source and target share leaf, tags, SKU and price: the cost of two
    resources changes, and nothing that is summed over resources.
    """

    day: Integers
    source: Integers
    target: Integers
    moved: Floats
    delivered: Integers


def corrections(lines: ChargeLines, day: Integers, line: Integers, quantity: Floats, span: Span, streams: Streams) -> Corrections:
    """Those of the charges `quantity` of `line` on `day` that arrive before the end of the span."""
    partner = _partners(lines)
    number = np.flatnonzero(partner[line] >= 0)
    cell = cells.at(cells.identities(lines.attributes)[line[number]], day[number])
    chosen = cells.uniform(cell, streams.of("corrections", "which")) < CHANCE
    number, cell = number[chosen], cell[chosen]
    part = MOVED[0] + (MOVED[1] - MOVED[0]) * cells.uniform(cell, streams.of("corrections", "how much"))
    wait = DELIVERED[0] + np.floor((DELIVERED[1] - DELIVERED[0]) * cells.uniform(cell, streams.of("corrections", "when"))).astype(np.int64)
    at, source = day[number], line[number]
    target, moved = partner[source], np.floor(part * quantity[number])
    delivered = (span.next_month - np.datetime64(span.start, "D")).astype(np.int64)[at] + wait
    same_price = (lines.contracted_price[at, source] == lines.contracted_price[at, target]) & (
        lines.list_price[at, source] == lines.list_price[at, target]
    )
    kept = (moved > 0.0) & (lines.quantity[at, target] > 0.0) & same_price & (delivered < span.days)
    return Corrections(at[kept], source[kept], target[kept], moved[kept], delivered[kept])


def _partners(lines: ChargeLines) -> Integers:
    """(lines,) for token lines another one of the same leaf, SKU and tags, −1 where there is none."""
    attributes = lines.attributes
    tokens = np.flatnonzero(attributes["ai_model"].notna() & (attributes["charge_category"] == "Usage") & (attributes["whole"]).astype(bool))
    if "planted" in attributes:
        # Lines that an incident adds must not change who is corrected in favour of whom.
        tokens = tokens[~attributes["planted"].to_numpy(dtype=np.bool_)[tokens]]
    found = np.full(len(attributes), -1, dtype=np.int64)
    keys = attributes.iloc[tokens].groupby(["leaf", "sku_price_id", "tags"], sort=False, dropna=False).indices
    for places in keys.values():
        if len(places) > 1:
            found[tokens[places]] = tokens[np.roll(places, -1)]
    return found
