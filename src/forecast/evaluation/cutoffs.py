"""Where a rolling-origin backtest cuts history."""

from __future__ import annotations

import pandas as pd

from forecast.errors import InputError
from forecast.spend.panel import parse_freq

SEASONS = {"h": 24, "D": 7, "W": 52, "MS": 12, "ME": 12, "QS": 4}
"""Periods of one season by frequency; 1 where a frequency has none."""


def season_of(freq: str) -> int:
    """Periods of the shortest season of a frequency: 7 days, 24 hours, 52 weeks, 12 months, else 1."""
    offset = parse_freq(freq)
    season, several = SEASONS.get(offset.rule_code.split("-")[0], 1), int(offset.n)
    return season // several if season % several == 0 else 1


def rolling_cutoffs(
    last: pd.Timestamp | str,
    n: int,
    step: int,
    horizon: int,
    *,
    first: pd.Timestamp | str | None = None,
    least_history: int = 14,
    freq: str = "D",
) -> list[pd.Timestamp]:
    """Up to `n` cutoffs, ascending, `step` periods apart, the newest `horizon` periods before `last` (so its horizon is complete).

    last, first : last and first period of the data. Cutoffs that leave fewer than `least_history` periods since `first` are left
    out, so fewer than `n` (down to none) come back where history is short.
    """
    for name, value in (("n", n), ("step", step), ("horizon", horizon)):
        if value < 1:
            raise InputError(f"{name} is not usable: got {value}, allowed is 1 or more", field=name, got=value, allowed="1 or more")
    offset = parse_freq(freq)
    newest = pd.Timestamp(last) - horizon * offset
    found = [newest - number * step * offset for number in range(n)]
    if first is not None:
        earliest = pd.Timestamp(first) + (least_history - 1) * offset
        found = [cutoff for cutoff in found if cutoff >= earliest]
    return found[::-1]
