"""The tutorial runs from top to bottom, and what it says of its numbers is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tutorial.md"
LONGEST_PAGE = 120


def test_tutorial_runs_as_it_stands_and_says_what_is_so() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_PAGE
    names: dict[str, Any] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), names)  # the page is ours
    assert names["quarter"].shape == (5, 1000)
    low, high = names["quarter"].quantile(0.1, axis=1), names["quarter"].quantile(0.9, axis=1)
    assert high["ads|openai"] < 1.5 * low["ads|openai"]
    assert (high > 3 * low)[["ads|aws", "support|openai"]].all()
    assert names["nodes"].shape == (6, 30, 500)
    assert names["hierarchy"].node_ids[0] == "company"
    assert str(names["notes"]) in text
    assert str(names["model"].simulate(1, 2).starts[0, 0])[:10] == "2026-11-02"
    assert names["tomorrow"].values.shape == (1, 24, 500)
