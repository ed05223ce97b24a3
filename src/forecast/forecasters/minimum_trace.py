"""Leaf paths moved towards what the nodes above them were forecast to be on their own: minimum-trace reconciliation of totals, path by path.

A node's total is known twice: as the sum of its leaves' paths, and from paths of the node itself. For each stretch of steps (a season, the rest of
a short window, …) the difference of the two is shared out among the leaves so that the expected squared error of all is least (Wickramasuriya,
Athanasopoulos and Hyndman 2019): a leaf takes as much as it is uncertain, alone and together with the others, and a node's own forecast counts as
far as it is the surer one. Both uncertainties are read off the paths, which are calibrated by backtest, and are not estimated again. All nodes are
honoured at once, crossing levels too; sums stay sums because only leaves are moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.batches import in_batches
from forecast.forecasters.error_record import smoothing
from forecast.forecasters.history import Floats, Ints
from forecast.spend.hierarchy import sum_rows

Singles = NDArray[np.float32]

SHARED = 0.5
"""Share of the leaves' covariance that is taken as their joint paths show it; in the rest leaves are independent. A few dozen past origins stand
behind the paths, too few to believe every correlation of hundreds of leaves."""

LEAST_FACTOR, MOST_FACTOR = 0.3, 3.0
"""No leaf's total of a stretch is moved further than by these."""


def stretches(edges: Ints, horizon: int) -> Ints:
    """(S + 1,) steps at which stretches begin, and `horizon`. edges : of one trajectory of past errors; its length is repeated beyond its end.

    What remains at the end joins the stretch before it where it is shorter than half of what it would be.
    """
    block = int(edges[-1])
    full = [*edges.tolist(), *range(2 * block, horizon + 2 * block, block)]
    kept = [begin for begin, end in pairwise(full) if begin == 0 or 2 * (horizon - begin) >= end - begin]
    return np.array([begin for begin in kept if begin < horizon] + [horizon], dtype=np.int64)


def reconcile(
    values: Singles,
    own: Singles,
    nodes: Sequence[Ints],
    edges: Ints,
    movable: NDArray[np.bool_],
    *,
    strength: float = 1.0,
    threads: int = 1,
) -> None:
    """Move joint paths of leaves (n, horizon, n_paths), in place, towards paths `own` (m, horizon, n_paths) of the nodes above.

    nodes : rows of each node's leaves. edges : see `stretches`; the last is the horizon. movable : (n,) leaves that are money spent; credits stay.
    strength : share of the move that is made. Each leaf's steps are multiplied by one factor a stretch and path, smooth from stretch to stretch, so
    zeros stay zero, signs stay, and a path that was high among the sums stays high.
    """
    if not strength:
        return
    place = np.arange(values.shape[1])
    inside = ((place >= edges[:-1, None]) & (place < edges[1:, None])).astype(np.float32)  # (S, horizon)
    factors = np.empty((len(values), len(inside), values.shape[2]), dtype=np.float32)

    def sum_up(rows: slice) -> None:
        for row in range(rows.start, rows.stop):
            np.matmul(inside, values[row], out=factors[row])

    in_batches(sum_up, len(values), threads)
    wanted = np.stack([inside @ paths for paths in own]).astype(np.float64)
    for stretch in range(len(inside)):
        factors[:, stretch] = _factors(factors[:, stretch], wanted[:, stretch], nodes, movable, strength, threads)
    # Factors pass smoothly from stretch to stretch and still are, on average over each stretch, what they are.
    smooth = smoothing(edges)
    smooth = (smooth @ np.linalg.inv(inside @ smooth / inside.sum(axis=1, keepdims=True))).astype(np.float32)

    def move(rows: slice) -> None:
        for row in range(rows.start, rows.stop):
            if movable[row]:
                values[row] *= np.clip(smooth @ factors[row], LEAST_FACTOR, MOST_FACTOR)

    in_batches(move, len(values), threads)


def _factors(leaves: Singles, own: Floats, nodes: Sequence[Ints], movable: NDArray[np.bool_], strength: float, threads: int) -> Singles:
    """(n, n_paths) factors of one stretch. leaves : (n, n_paths) totals. own : (m, n_paths) totals of the nodes' own paths."""
    away = np.where(movable[:, None], leaves - leaves.mean(axis=1, dtype=np.float64, keepdims=True), 0.0).astype(np.float64)
    sums = np.stack([sum_rows(leaves, rows) for rows in nodes])
    sums_away = sums - sums.mean(axis=1, keepdims=True) if movable.all() else np.stack([sum_rows(away, rows) for rows in nodes])
    count = leaves.shape[1]
    covariance = np.empty((len(leaves), len(nodes)))  # of each leaf with each node's sum

    def covary(rows: slice) -> None:
        covariance[rows] = SHARED / count * (away[rows] @ sums_away.T)

    in_batches(covary, len(leaves), threads)
    alone = (1.0 - SHARED) * np.square(away).mean(axis=1)
    for number, rows in enumerate(nodes):
        covariance[rows, number] += alone[rows]
    system = np.stack([covariance[rows].sum(axis=0) for rows in nodes])
    system[np.diag_indices_from(system)] += own.var(axis=1)
    scale = np.sqrt(np.diag(system))
    scale = np.where(scale > 0.0, scale, 1.0)
    system = (system + system.T) / (2.0 * np.outer(scale, scale)) + 1e-9 * np.eye(len(nodes))
    # The node's own distribution on the paths of the sums: lowest with lowest, so that what moves together goes on doing so.
    order = np.argsort(sums, axis=1, kind="stable")
    paired = np.empty_like(own)
    np.put_along_axis(paired, order, np.sort(own, axis=1), axis=1)
    shares = np.linalg.solve(system, (paired - sums) / scale[:, None]) / scale[:, None]
    found = np.ones(leaves.shape, dtype=np.float32)

    def share_out(rows: slice) -> None:
        moved = strength * (covariance[rows] @ shares)
        part = leaves[rows].astype(np.float64)
        # A path without spend has nothing to be moved by a factor.
        usable = part > 1e-6 * np.abs(part).mean(axis=1, keepdims=True)
        ratio = np.divide(moved, part, out=np.zeros_like(moved), where=usable)
        found[rows] = np.clip(1.0 + ratio, LEAST_FACTOR, MOST_FACTOR)

    in_batches(share_out, len(leaves), threads)
    return found
