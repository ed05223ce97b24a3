"""Quantiles of many rows of samples at once: the paths' own, under the name by which evaluation knows them."""

from __future__ import annotations

from forecast.paths import sorted_quantiles

__all__ = ["sorted_quantiles"]
