"""When does somebody want to know? Conditions on a budget's answer, and the state that they put the budget in.

Written `actual>=80%`, `actual>=5000`, `forecast>=100%`, `forecast>=90000`, `probability>=30%`, `exhaustion<2027-03-01`, each with `:warn` (the
default) or `:act` behind it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from forecast.errors import BudgetError
from forecast.spend.periods import parse_day

MEASURES = ("actual", "forecast", "probability", "exhaustion")
LEVELS = ("ok", "warn", "act")
"""States of a budget, the mildest first."""

_ALLOWED = "actual>=80%, actual>=5000, forecast>=100%, probability>=30%, exhaustion<2027-03-01, each with :warn or :act behind it"
_FORM = re.compile(r"\s*(actual|forecast|probability)\s*>=?\s*([0-9.eE+_-]+)\s*(%?)\s*(?::\s*(warn|act))?\s*")
_DAY = re.compile(r"\s*exhaustion\s*<=?\s*(\d{4}-\d{2}-\d{2})\s*(?::\s*(warn|act))?\s*")


@dataclass(frozen=True)
class Threshold:
    """measure : `actual` (billed so far), `forecast` (mean of the total), `probability` (of an overrun) or `exhaustion` (the P50 day).

    at : what it is compared with: money; or, with `percent`, a share of the amount (0.8 is 80 %); a probability; a day. Reached at or above it, a
    day when the exhaustion day lies before it.
    """

    measure: str
    at: float | date
    level: str = "warn"
    percent: bool = False

    def __post_init__(self) -> None:
        if self.measure not in MEASURES or self.level not in LEVELS[1:] or isinstance(self.at, date) != (self.measure == "exhaustion"):
            raise _bad(f"{self.measure} {self.at}:{self.level}")
        if isinstance(self.at, date):
            return
        most = 1.0 if self.measure == "probability" else 100.0 if self.percent else math.inf
        if not (math.isfinite(self.at) and 0 < self.at <= most):
            raise _bad(str(self))

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Read one from its text; BudgetError says what is allowed."""
        if found := _DAY.fullmatch(text):
            return cls("exhaustion", parse_day(found[1], "thresholds"), found[2] or "warn")
        found = _FORM.fullmatch(text)
        if found is None:
            raise _bad(text)
        try:
            at = float(found[2])
        except ValueError:
            raise _bad(text) from None
        percent = bool(found[3])
        if found[1] == "probability":  # 30% and 0.3 are the same probability
            return cls("probability", at / 100.0 if percent else at, found[4] or "warn")
        return cls(found[1], at / 100.0 if percent else at, found[4] or "warn", percent)

    def __str__(self) -> str:
        if isinstance(self.at, date):
            return f"exhaustion<{self.at}:{self.level}"
        return f"{self.measure}>={_shown(self.at, self.percent or self.measure == 'probability')}:{self.level}"


def _shown(at: float, percent: bool) -> str:
    """The shortest text that reads back as the same number."""
    texts = [f"{100 * at if percent else at:.{digits}g}" for digits in (12, 15, 16, 17)]
    same = [text for text in texts if (float(text) / 100.0 if percent else float(text)) == at]
    return f"{(same or texts[-1:])[0]}{'%' if percent else ''}"


USUAL = (Threshold("probability", 0.3, "warn"), Threshold("probability", 0.6, "act"))
"""What a budget without thresholds of its own is judged by."""


@dataclass(frozen=True)
class Standing:
    """A threshold, what it was compared with, and whether it is reached. value : money, probability or day; None where there is no such day."""

    threshold: Threshold
    value: float | date | None
    reached: bool

    def describe(self) -> dict[str, Any]:
        """As answers carry it."""
        at = self.threshold.at
        return {
            "threshold": str(self.threshold),
            "measure": self.threshold.measure,
            "level": self.threshold.level,
            "at": at.isoformat() if isinstance(at, date) else at,
            "percent": self.threshold.percent,
            "value": self.value.isoformat() if isinstance(self.value, date) else self.value,
            "reached": self.reached,
        }


def standings(thresholds: Sequence[Threshold], amount: float, measured: Mapping[str, float | date | None]) -> list[Standing]:
    """Each threshold against what was measured. amount : what a percentage is of. measured : a value for each of MEASURES."""
    return [_stand(threshold, amount, measured[threshold.measure]) for threshold in thresholds]


def state(found: Sequence[Standing]) -> str:
    """The strongest level that is reached: ok, warn or act."""
    return max((one.threshold.level for one in found if one.reached), key=LEVELS.index, default="ok")


def _stand(threshold: Threshold, amount: float, value: float | date | None) -> Standing:
    if value is None:
        return Standing(threshold, None, False)
    if isinstance(threshold.at, date):
        return Standing(threshold, value, isinstance(value, date) and value < threshold.at)
    line = threshold.at * amount if threshold.percent else threshold.at
    return Standing(threshold, value, not isinstance(value, date) and value >= line)


def _bad(text: str) -> BudgetError:
    return BudgetError(f"Threshold {text!r} is not one", field="thresholds", got=text, allowed=_ALLOWED)
