"""The error for a name that is not kept, with the nearest that are: most wrong names are misspelt ones."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from forecast.errors import NotFoundError

MOST_SHOWN = 5


def not_kept(problem: str, name: str, known: Iterable[str], field: str = "id") -> NotFoundError:
    """`problem` (such as "No budget has the id") with the name, and what is nearest to it among `known`, else the first of them."""
    names = sorted(known)
    hint: str
    allowed: str | None
    nearest = get_close_matches(name, names, n=3, cutoff=0.6)
    if nearest:
        hint, allowed = f"nearest: {', '.join(nearest)}", ", ".join(nearest)
    elif names:
        shown = ", ".join(names[:MOST_SHOWN])
        hint, allowed = f"there {'are' if len(names) > 1 else 'is'} {shown}{' …' if len(names) > MOST_SHOWN else ''}", shown
    else:
        hint, allowed = "there is none yet", None
    return NotFoundError(f"{problem} {name!r}; {hint}", field=field, got=name, allowed=allowed)
