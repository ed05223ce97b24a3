"""What is known exactly of budgets whose totals are jointly normal, and a walk through every path for any other. Imports nothing of the package.

Child i costs m_i + a_i Z + e_i ε_i: a shock Z that all share, and one of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def density(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def below(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def any_over(means: Sequence[float], shared: Sequence[float], own: Sequence[float], amounts: Sequence[float]) -> float:
    """P(at least one child over): given Z the children are independent; Simpson's rule over Z in ±9."""
    n, width = 4000, 18.0 / 4000
    total = 0.0
    for step in range(n + 1):
        z = -9.0 + step * width
        none = math.prod(below((b - m - a * z) / e) for m, a, e, b in zip(means, shared, own, amounts, strict=True))
        total += density(z) * none * (1 if step in {0, n} else 4 if step % 2 else 2)
    return 1.0 - total * width / 3


def moments(means: Sequence[float], shared: Sequence[float], own: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of the sum of all children."""
    return sum(means), math.sqrt(sum(shared) ** 2 + sum(e * e for e in own))


def over(mean: float, deviation: float, amount: float) -> float:
    return 1.0 - below((amount - mean) / deviation)


def expected_overrun(mean: float, deviation: float, amount: float) -> float:
    """E[(T − B)+] of a normal total."""
    d = (amount - mean) / deviation
    return deviation * density(d) + (mean - amount) * (1.0 - below(d))


def contribution(
    number: int, means: Sequence[float], shared: Sequence[float], own: Sequence[float], amounts: Sequence[float], amount: float
) -> float:
    """E[(T_i − b_i) 1{T > B}] of jointly normal T_i and T: (m_i − b_i) P(T > B) + cov(T_i, T) / sd(T) · φ(d)."""
    mean, deviation = moments(means, shared, own)
    d = (amount - mean) / deviation
    covariance = shared[number] * sum(shared) + own[number] ** 2
    return (means[number] - amounts[number]) * (1.0 - below(d)) + covariance / deviation * density(d)


def walk(totals: Sequence[Sequence[float]], amounts: Sequence[float], parent: Sequence[float], amount: float) -> dict[str, float]:
    """Every share and mean, path by path."""
    found = dict.fromkeys(("any_child", "parent", "any_budget", "parent_alone", "children_alone", "number", "expected"), 0.0)
    for path, whole in enumerate(parent):
        children = [row[path] for row in totals]
        number = sum(1 for cost, limit in zip(children, amounts, strict=True) if cost > limit)
        is_over = whole > amount
        found["any_child"] += number > 0
        found["parent"] += is_over
        found["any_budget"] += is_over or number > 0
        found["parent_alone"] += is_over and number == 0
        found["children_alone"] += number > 0 and not is_over
        found["number"] += number
        found["expected"] += sum(max(cost - limit, 0.0) for cost, limit in zip(children, amounts, strict=True))
    return {name: value / len(parent) for name, value in found.items()}
