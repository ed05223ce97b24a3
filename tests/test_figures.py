"""The figures that the README quotes are the recorded ones."""

from __future__ import annotations

from benchmarks.figures import README, rendered


def test_readme_quotes_the_recorded_results() -> None:
    text = README.read_text(encoding="utf-8")
    assert rendered(text) == text, "run: python benchmarks/figures.py"
