"""What is said of a name that is not kept."""

from __future__ import annotations

import pytest

from forecast.spend.nearest import not_kept


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (["2026-Q4-commerce", "2026-Q4-company"], "No budget has the id '2026-Q4-comerce'; nearest: 2026-Q4-commerce, 2026-Q4-company"),
        (["b", "a"], "No budget has the id '2026-Q4-comerce'; there are a, b"),
        (["z"], "No budget has the id '2026-Q4-comerce'; there is z"),
        ([], "No budget has the id '2026-Q4-comerce'; there is none yet"),
        (list("abcdefg"), "No budget has the id '2026-Q4-comerce'; there are a, b, c, d, e …"),
    ],
)
def test_a_wrong_name_is_told_with_what_there_is(known: list[str], told: str) -> None:
    error = not_kept("No budget has the id", "2026-Q4-comerce", known)
    assert (str(error), error.field, error.got) == (told, "id", "2026-Q4-comerce")
