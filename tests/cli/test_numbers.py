"""How numbers are written for people."""

from __future__ import annotations

import math

import pytest

from forecast.commands.console import minute, money, percent, signed_percent, table
from forecast.commands.whatif_tables import _price


@pytest.mark.parametrize(
    ("value", "text"), [(-1e-6, "0"), (-0.004, "0"), (2.456, "2.46"), (-18.06, "-18.06"), (1234567.8, "1,234,568"), (math.nan, "–")]
)
def test_money_has_cents_where_they_matter_and_no_minus_zero(value: float, text: str) -> None:
    assert money(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0822, "+8.2 %"), (-0.0001, "0.0 %"), (0.0, "0.0 %"), (-0.0006, "-0.1 %"), (11.4, "+1,140.0 %"), (None, "–")]
)
def test_a_change_that_rounds_to_nothing_has_no_sign(share: float | None, text: str) -> None:
    assert signed_percent(share) == text


@pytest.mark.parametrize(("share", "text"), [(0.24, "24.0 %"), (-0.0001, "0.0 %"), (None, "–")])
def test_percent_has_no_minus_zero(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(("value", "text"), [(0.616, "0.6160"), (0.7970, "0.7970"), (12.345, "12.35"), (1234.5, "1,234"), (0.0, "0"), (None, "–")])
def test_prices_of_units_have_four_digits_that_count(value: float | None, text: str) -> None:
    assert _price(value) == text


def test_a_title_that_is_wider_than_its_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    title = "Forecast of provider=OpenAI,stage!=dev, 2027-03-01 to 2027-04-01 (exclusive), USD"
    table(title, ["", "mean"], [["total", "1"]])
    assert capsys.readouterr().out.splitlines()[0] == title


def test_times_are_told_to_the_minute() -> None:
    assert minute("2026-11-22T01:43:31.220321Z") == "2026-11-22 01:43"
