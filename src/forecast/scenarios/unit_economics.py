"""What one unit of AI work costs: caches, batches, spot, retries, and users × requests × tokens × price.

All functions take numbers or arrays that broadcast (a number a path where something is uncertain) and give the same back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MILLION = 1e6


def discounted_factor(before: ArrayLike, after: ArrayLike, discount: ArrayLike) -> Floats:
    """What cost is multiplied with when the share of work that is `discount` cheaper goes from `before` to `after`.

    (1 − d·after) ÷ (1 − d·before): the same work costs 1 − d of its price where it is discounted. A negative discount is dearer.
    Where all of it is free already (before = d = 1) there is no cost to scale: 1.
    """
    share, now, later = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (discount, before, after)))
    paid = 1.0 - share * now
    return np.asarray(np.divide(1.0 - share * later, paid, out=np.ones(paid.shape), where=paid > 0.0))


def spot_discount(discount: ArrayLike, overhead: ArrayLike) -> Floats:
    """How much cheaper a useful hour on spot machines is, 1 − (1 − discount)(1 + overhead); negative where interruptions eat the discount.

    overhead : hours run again, restarted or lost ÷ useful hours.
    """
    return np.asarray(1.0 - (1.0 - np.asarray(discount, dtype=np.float64)) * (1.0 + np.asarray(overhead, dtype=np.float64)))


def break_even_overhead(discount: float) -> float:
    """The interruption overhead at which spot saves nothing, d ÷ (1 − d); infinite where spot is free."""
    return discount / (1.0 - discount) if discount < 1.0 else float("inf")


def useful_share(cheap: float, dear: float, overhead: float) -> float:
    """Share of the useful hours that run on spot, of hours billed. cheap, dear : hours on spot and on demand; 0 where there are none."""
    useful = cheap / (1.0 + overhead)
    return useful / (useful + dear) if useful + dear > 0.0 else 0.0


def moved_cost_ratio(price_ratio: ArrayLike, token_ratio: ArrayLike, retry_rate: ArrayLike) -> Floats:
    """Cost of the same work at the new place ÷ at the old one: price ratio × token ratio × (1 + retries a request).

    price_ratio : price of a token there ÷ here. token_ratio : tokens there ÷ here for the same text (tokenizers and verbosity differ).
    retry_rate : requests that are asked again ÷ requests.
    """
    return np.asarray(np.asarray(price_ratio, dtype=np.float64) * np.asarray(token_ratio) * (1.0 + np.asarray(retry_rate)))


def break_even_retry_rate(price_ratio: float, token_ratio: float) -> float:
    """Retries a request at which a move saves nothing any more; 0 where it saves nothing without any, infinite where it is free."""
    ratio = price_ratio * token_ratio
    return float("inf") if ratio <= 0.0 else max(1.0 / ratio - 1.0, 0.0)


def request_money(input_tokens: ArrayLike, output_tokens: ArrayLike, input_price: ArrayLike, output_price: ArrayLike) -> Floats:
    """Cost of one request; prices are of a million tokens."""
    asked = np.asarray(input_tokens, dtype=np.float64) * np.asarray(input_price, dtype=np.float64)
    return np.asarray((asked + np.asarray(output_tokens, dtype=np.float64) * np.asarray(output_price, dtype=np.float64)) / MILLION)
