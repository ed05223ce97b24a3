"""Dated rates: which rate a day has, which may be made from others, and what is refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest

from forecast.errors import InputError, SpendDataError
from forecast.spend.currency import CURRENCIES, DatedRate, Rates, RatesUsed, allocate, check_currency, places_of, rounded

FRIDAY = dt.date(2026, 2, 20)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def dated(pair: str, when: str | dt.date, rate: str, source: str = "central bank") -> DatedRate:
    one, other = pair.split("/")
    return DatedRate(one, other, day(when) if isinstance(when, str) else when, Decimal(rate), source)


EURO = [dated("EUR/USD", FRIDAY, "1.0800"), dated("EUR/USD", "2026-02-23", "1.1000"), dated("EUR/JPY", FRIDAY, "160.5", "market")]


def test_rate_is_the_newest_on_or_before_the_day() -> None:
    rates = Rates.of(EURO)
    found = [rates.rate("EUR", "USD", day(text)).decimal for text in ("2026-02-20", "2026-02-22", "2026-02-23", "2026-03-02")]
    assert found == [Decimal("1.08"), Decimal("1.08"), Decimal("1.1"), Decimal("1.1")]


def test_weekend_has_fridays_rate_and_says_so() -> None:
    quote = Rates.of(EURO).rate("EUR", "USD", day("2026-02-22"))
    assert (quote.day, quote.source, quote.way) == (FRIDAY, "central bank", "quoted")


def test_stale_rate_is_an_error_that_names_pair_day_and_newest() -> None:
    with pytest.raises(SpendDataError, match=r"no rate EUR→USD for 2026-03-03: newest is 2026-02-23, and at most 7 days old"):
        Rates.of(EURO).rate("EUR", "USD", day("2026-03-03"))
    assert Rates.of(EURO, max_age_days=8).rate("EUR", "USD", day("2026-03-03")).day == day("2026-02-23")


def test_day_before_the_first_rate_is_an_error_and_not_the_first_rate() -> None:
    with pytest.raises(SpendDataError, match=r"no rate EUR→USD for 2026-02-19: the first of EUR→USD is of 2026-02-20"):
        Rates.of(EURO).rate("EUR", "USD", day("2026-02-19"))


def test_missing_pair_is_an_error_and_never_one() -> None:
    with pytest.raises(SpendDataError, match="no rate USD→EUR: the table has EUR→JPY, EUR→USD") as error:
        Rates.of(EURO).rate("USD", "EUR", FRIDAY)
    assert error.value.got == "USD→EUR"


def test_currency_in_itself_is_exactly_one_on_any_day() -> None:
    assert Rates.of(EURO).rate("usd", "USD", day("1990-01-01")).rate == 1


def test_pair_is_turned_round_only_where_the_table_says_so() -> None:
    quote = Rates.of(EURO, inverse=True).rate("USD", "EUR", FRIDAY)
    assert quote.rate == Fraction(100, 108)
    assert quote.way == "inverse"


def test_cross_rate_needs_the_base_and_takes_the_older_day() -> None:
    with pytest.raises(SpendDataError, match="not joined"):
        Rates.of(EURO, inverse=True).rate("USD", "JPY", FRIDAY)
    with pytest.raises(SpendDataError, match="may not be turned round"):
        Rates.of(EURO, base="EUR").rate("USD", "JPY", FRIDAY)
    quote = Rates.of(EURO, inverse=True, base="EUR").rate("USD", "JPY", day("2026-02-24"))
    assert quote.rate == Fraction("160.5") / Fraction("1.1")
    assert (quote.day, quote.way, quote.source) == (FRIDAY, "over EUR", "central bank; market")


def test_quoted_pair_comes_before_a_cross_rate() -> None:
    rates = Rates.of([*EURO, dated("USD/JPY", FRIDAY, "150")], inverse=True, base="EUR")
    assert rates.rate("USD", "JPY", FRIDAY).decimal == 150


@pytest.mark.parametrize("rate", ["0", "-1.1", "NaN", "Infinity", "1E+9", "1E-9", "1.0000000000000000001"])
def test_rate_that_cannot_be_is_refused(rate: str) -> None:
    with pytest.raises(SpendDataError, match="is not usable"):
        Rates.of([dated("EUR/USD", FRIDAY, rate)])


def test_float_is_refused_because_it_is_not_what_was_written() -> None:
    with pytest.raises(SpendDataError, match="not usable"):
        Rates.of([DatedRate("EUR", "USD", FRIDAY, 1.08)])  # type: ignore[arg-type]


def test_two_rates_for_a_pair_and_day_are_refused_even_if_they_are_equal() -> None:
    with pytest.raises(SpendDataError, match="EUR→USD has two rates for 2026-02-20"):
        Rates.of([*EURO, dated("EUR/USD", FRIDAY, "1.0800", "somebody else")])


def test_both_directions_are_refused_where_pairs_may_be_turned_round() -> None:
    rows = [*EURO, dated("USD/EUR", FRIDAY, "0.92")]
    assert Rates.of(rows).rate("USD", "EUR", FRIDAY).decimal == Decimal("0.92")
    with pytest.raises(SpendDataError, match="quoted in both directions"):
        Rates.of(rows, inverse=True)


def test_rate_of_a_currency_in_itself_is_refused() -> None:
    with pytest.raises(SpendDataError, match="a currency in itself"):
        Rates.of([dated("EUR/EUR", FRIDAY, "1")])


@pytest.mark.parametrize("code", ["ERU", "Token", "", "US", "XXX", "BTC"])
def test_unknown_code_is_refused_with_codes_that_are_known(code: str) -> None:
    with pytest.raises(InputError, match="is not a currency") as error:
        check_currency(code)
    assert error.value.allowed is not None
    assert all(near in CURRENCIES for near in error.value.allowed.split(", "))


@pytest.mark.parametrize("age", [-1, 367, 1.5, True])
def test_unusable_age_is_refused(age: int) -> None:
    with pytest.raises(InputError, match="max_age_days is not usable"):
        Rates.of(EURO, max_age_days=age)


def test_steps_say_the_same_as_asking_for_each_day() -> None:
    rows = [*EURO, dated("EUR/USD", "2026-03-10", "1.2"), dated("EUR/JPY", "2026-02-26", "161"), dated("EUR/JPY", "2026-03-12", "162")]
    rates = Rates.of(rows, inverse=True, base="EUR")
    for pair in (("EUR", "USD"), ("USD", "EUR"), ("USD", "JPY"), ("JPY", "USD")):
        steps = rates.steps(*pair)
        for number in range(45):
            at = day("2026-02-15") + dt.timedelta(days=number)
            covered = [step.quote for step in steps if step.first <= at <= step.last]
            try:
                expected = [rates.rate(*pair, at)]
            except SpendDataError:
                expected = []
            assert covered == expected, (pair, at)


def test_answer_shows_the_rates_behind_it() -> None:
    used = Rates.of(EURO).used("EUR", "USD", [day("2026-02-25"), day("2026-02-21"), day("2026-02-21")])
    assert used == RatesUsed(
        "EUR",
        "USD",
        day("2026-02-21"),
        day("2026-02-25"),
        Decimal("1.08"),
        Decimal("1.1"),
        day("2026-02-20"),
        day("2026-02-23"),
        2,
        "central bank",
        "quoted",
    )
    assert used.sentence == ("1 EUR is 1.08 to 1.1 USD (rates of 2026-02-20 to 2026-02-23, central bank; charges of 2026-02-21 to 2026-02-25)")
    assert used.as_json()["lowest"] == "1.08"


def test_conversion_rounds_once_and_away_from_zero() -> None:
    rates = Rates.of([dated("EUR/USD", FRIDAY, "0.5")])
    assert rates.convert(Decimal("0.01"), "EUR", "USD", FRIDAY, 2) == Decimal("0.01")
    assert rates.convert(Decimal("-0.01"), "EUR", "USD", FRIDAY, 2) == Decimal("-0.01")
    assert rates.convert(Decimal("123456789012345.123456789012"), "EUR", "USD", FRIDAY, 12) == Decimal("61728394506172.561728394506")


def test_rounding_keeps_amounts_that_are_longer_than_a_decimal_context() -> None:
    large = Decimal("123456789012345678901234567890.123456789012")
    assert rounded(large, 12) == large
    assert rounded(Fraction(2, 3), 3) == Decimal("0.667")


def test_smallest_units_are_those_of_the_currency() -> None:
    assert [places_of(code) for code in ("USD", "JPY", "KWD", "clf")] == [2, 0, 3, 4]


def test_allocation_gives_the_units_left_over_to_the_largest_remainders() -> None:
    assert allocate(Decimal("100.00"), [1, 1, 1]) == [Decimal("33.34"), Decimal("33.33"), Decimal("33.33")]
    assert allocate(Decimal("-0.05"), [Decimal("0.5"), Decimal("0.3"), 0, Decimal("0.2")]) == [
        Decimal("-0.03"),
        Decimal("-0.01"),
        Decimal("0.00"),
        Decimal("-0.01"),
    ]


@pytest.mark.parametrize(
    ("amount", "weights", "field"),
    [
        (Decimal("1.005"), [1], "amount"),
        (Decimal("NaN"), [1], "amount"),
        (1.5, [1], "amount"),
        (Decimal(1), [], "weights"),
        (Decimal(1), [0, 0], "weights"),
        (Decimal(1), [1, -1], "weights"),
        (Decimal(1), [Decimal("NaN")], "weights"),
        (Decimal(1), [0.1], "weights"),
    ],
)
def test_what_cannot_be_allocated_is_refused(amount: Decimal, weights: list[Decimal | int], field: str) -> None:
    with pytest.raises(InputError) as error:
        allocate(amount, weights)
    assert error.value.field == field
