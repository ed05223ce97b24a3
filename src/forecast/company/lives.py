"""When workloads and teams begin and end: decided by chance, known to the company from the day of the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from forecast.company.span import Floats, Integers
from forecast.company.stretch import Stretch, first_hit

NEVER = 1_000_000
NOTICE_DAYS = 30
"""From the decision to end a workload to the first day on which less of it is left."""
FADE_DAYS = 21.0


@dataclass(frozen=True)
class Life:
    """One workload of a team, or (workload empty) the team as a whole.

    first_day : day of its launch where that is settled from the beginning, else NEVER: then it is decided with probability
    `hazard` a day and launched `lead` days later; development begins with the decision. mortality : probability a day, once
    launched, of a decision to end it. announced : whether the decision to launch stands in the calendar of planned events.
    parent : position of the team's own life; -1 for a team.
    """

    team: str
    workload: str
    first_day: int = 0
    hazard: float = 0.0
    lead: int = 0
    mortality: float = 0.0
    announced: bool = True
    parent: int = -1


@dataclass(frozen=True, eq=False)
class Lived:
    """Days of decision, launch and (first day of) fading, each (worlds, lives); NEVER where it has not come by the end."""

    decided: Integers
    launched: Integers
    ended: Integers

    def size(self, day: Integers, life: Integers, early: np.ndarray[tuple[int], np.dtype[np.bool_]], ramp_days: Floats) -> Floats:
        """Part of its full size that each leaf has, (days, worlds, n): 0, a ramp, 1, a fade, 0.

        life : position of each leaf's life, (n,). early : leaves that begin with the decision, not the launch.
        """
        begin = np.where(early, self.decided[:, life], self.launched[:, life])
        when = day[:, None, None]
        rising = np.clip((when - begin + 1.0) / np.maximum(ramp_days, 1.0), 0.0, 1.0)
        fading = np.clip(1.0 - (when - self.ended[:, life] + 1.0) / FADE_DAYS, 0.0, 1.0)
        return np.asarray(rising * fading)


def live(lives: Sequence[Life], stretch: Stretch) -> Lived:
    """Live through a stretch: decisions to launch and to end, by independent chances every day (so waiting has no memory)."""
    n = len(lives)
    place = stretch.called("lives")
    settled = np.array([[life.first_day for life in lives]], dtype=np.int64)
    lead = np.array([life.lead for life in lives], dtype=np.int64)
    before = cast("Integers | None", place.recall("decided"))
    earlier = settled if before is None else before
    hits = place.uniform("launches", n) < np.array([life.hazard for life in lives])
    decided = np.where(earlier < NEVER, earlier, first_hit(hits, stretch.first_day, NEVER))
    launched = np.where(settled < NEVER, settled, np.where(decided < NEVER, decided + lead, NEVER))

    day = stretch.day[:, None, None]
    deaths = (place.uniform("ends", n) < np.array([life.mortality for life in lives])) & (day > launched)
    gone = cast("Integers | None", place.recall("ended"))
    fresh = first_hit(deaths, stretch.first_day, NEVER - NOTICE_DAYS) + NOTICE_DAYS
    ended = fresh if gone is None else np.where(gone < NEVER, gone, fresh)
    place.remember("decided", decided)
    place.remember("ended", ended)

    parent = np.array([life.parent if life.parent >= 0 else index for index, life in enumerate(lives)], dtype=np.int64)
    # Nothing outlives its team, and nothing is decided in a team that is about to go.
    ended = np.minimum(ended, ended[:, parent])
    late = decided >= ended
    return Lived(np.where(late, NEVER, decided), np.where(late, NEVER, launched), ended)
