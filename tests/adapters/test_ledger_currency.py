"""A ledger in several currencies: charges stay as they were billed, answers are in one, and a rate that is missing is an error."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.compute
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.adapters.ledger import Ledger
from forecast.adapters.spend_history import read_history, read_recent
from forecast.errors import InputError, SpendDataError
from forecast.spend.currency import DatedRate, Rates, rounded
from tests.adapters.ledger_rows import Row, moment, row, write_csv

FIRST = dt.date(2026, 1, 5)
NOW = moment("2026-03-01")


def day_of(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def line(currency: str, number: int, cost: Decimal | int | str, **changes: Any) -> Row:
    """A charge of one day, `number` days after the first; billed at twice its effective cost."""
    exact = Decimal(cost)
    return row(
        BillingCurrency=currency,
        EffectiveCost=format(exact, "f"),
        BilledCost=format(2 * exact, "f"),
        ChargePeriodStart=f"{day_of(number)}T00:00:00Z",
        ChargePeriodEnd=f"{day_of(number + 1)}T00:00:00Z",
        **changes,
    )


def table(*rates: tuple[str, str, int, str], source: str = "bank", **options: Any) -> Rates:
    return Rates.of([DatedRate(base, quote, day_of(number), Decimal(rate), source) for base, quote, number, rate in rates], **options)


EURO = table(("EUR", "USD", 0, "1.1"), ("EUR", "USD", 3, "1.25"))
MIXED = [line("USD", 0, 100), line("EUR", 0, 10), line("EUR", 2, 20), line("EUR", 4, 40), line("USD", 4, 1, Tags='{"team": "ads"}')]
IN_DOLLARS = {day_of(0): 111.0, day_of(2): 22.0, day_of(4): 51.0}


def take_in(folder: Path, rows: Sequence[Row], ledger: Ledger, received: str = "2026-03-01", name: str = "a.csv", **options: Any) -> Any:
    return ledger.ingest([write_csv(folder / name, rows)], received_at=moment(received), **options)


@pytest.fixture
def mixed(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path / "ledger", rates=EURO)
    take_in(tmp_path, MIXED, ledger)
    return ledger


def by_day(ledger: Ledger, *asked: Any, **options: Any) -> dict[dt.date, float]:
    panel = ledger.panel(*asked, **options)
    return {at.date(): float(cost) for at, cost in zip(panel["ds"], panel["y"], strict=True)}


# Answers


def test_each_line_is_converted_by_the_rate_of_its_day(mixed: Ledger) -> None:
    assert by_day(mixed) == IN_DOLLARS
    assert by_day(mixed, cost="billed") == {day: 2 * cost for day, cost in IN_DOLLARS.items()}
    assert by_day(mixed, freq="MS") == {dt.date(2026, 1, 1): 184.0}
    assert by_day(mixed, "team=ads") == {day_of(4): 1.0}
    assert by_day(mixed, start=day_of(1), end=day_of(4)) == {day_of(2): 22.0}


def test_answer_that_converted_shows_pair_rates_and_their_days(mixed: Ledger) -> None:
    (shown,) = mixed.panel(by=["team"]).attrs["rates"]
    assert shown == mixed.rates_used()[0].as_json() == mixed.summary()["rates"][0] == mixed.developments().attrs["rates"][0]
    assert (shown["from"], shown["to"], shown["lowest"], shown["highest"], shown["source"]) == ("EUR", "USD", "1.1", "1.25", "bank")
    assert (shown["oldest_rate"], shown["newest_rate"], shown["oldest_in_days"]) == ("2026-01-05", "2026-01-08", 2)


def test_answer_about_lines_of_one_currency_names_no_rates(mixed: Ledger) -> None:
    assert "rates" not in mixed.panel("team=ads").attrs
    assert mixed.rates_used("team=ads") == ()
    assert [used.highest for used in mixed.rates_used(end=day_of(3))] == [Decimal("1.1")]


def test_charges_stay_in_the_currency_in_which_they_were_billed(mixed: Ledger) -> None:
    charges = mixed.charges(columns=["BillingCurrency", "EffectiveCost"]).to_pylist()
    assert sorted((one["BillingCurrency"], one["EffectiveCost"]) for one in charges) == [
        ("EUR", Decimal(10)),
        ("EUR", Decimal(20)),
        ("EUR", Decimal(40)),
        ("USD", Decimal(1)),
        ("USD", Decimal(100)),
    ]
    assert (mixed.currency, mixed.currencies) == ("USD", ("USD", "EUR"))


def test_summary_has_one_total_and_what_was_billed_in_each_currency(mixed: Ledger) -> None:
    summary = mixed.summary()
    assert (summary["rows"], summary["currency"], summary["effective_cost"], summary["billed_cost"]) == (
        5,
        "USD",
        "184.000000000000",
        "368.000000000000",
    )
    billed = [(one["currency"], one["rows"], one["effective_cost"]) for one in summary["currencies"]]
    assert billed == [("EUR", 3, "70.000000000000"), ("USD", 2, "101.000000000000")]


def test_answers_are_in_the_currency_that_is_asked_for(mixed: Ledger, tmp_path: Path) -> None:
    both = Ledger(tmp_path / "ledger", rates=table(("USD", "EUR", 0, "0.5")), currency="eur")
    assert both.currency == "EUR"
    assert by_day(both) == {day_of(0): 60.0, day_of(2): 20.0, day_of(4): 40.5}
    third = Ledger(tmp_path / "ledger", rates=table(("USD", "JPY", 0, "150"), ("EUR", "USD", 0, "1.1"), base="USD"), currency="JPY")
    assert by_day(third)[day_of(0)] == pytest.approx(16650.0)
    assert [used.way for used in third.rates_used()] == ["over USD", "quoted"]


def test_ledger_of_one_currency_can_be_asked_for_another(tmp_path: Path) -> None:
    take_in(tmp_path, [line("USD", 0, 100)], Ledger(tmp_path / "ledger"))
    assert by_day(Ledger(tmp_path / "ledger", rates=table(("USD", "EUR", 0, "0.9")), currency="EUR")) == {FIRST: 90.0}


def test_changes_of_a_day_add_up_to_what_is_known_of_it(mixed: Ledger, tmp_path: Path) -> None:
    take_in(tmp_path, [line("EUR", 2, 7)], mixed, "2026-03-05", "late.csv")
    found = mixed.developments().groupby("ds")["change"].sum().reset_index()
    known = {at.date(): float(cost) for at, cost in zip(found["ds"], found["change"], strict=True)}
    assert known == by_day(mixed) == IN_DOLLARS | {day_of(2): pytest.approx(29.7)}


def test_training_reads_lines_and_days_in_the_same_currency(tmp_path: Path) -> None:
    rates = table(*(("EUR", "USD", number, f"1.{number:02}") for number in range(40)))
    ledger = Ledger(tmp_path / "ledger", rates=rates)
    rows = [line(code, number, 10, Tags=f'{{"team": "{team}"}}') for code in ("USD", "EUR") for number in range(40) for team in ("ads", "search")]
    take_in(tmp_path, rows, ledger)
    history = read_history(ledger, ("provider", "team"), day_of(39))
    recent = read_recent(ledger, history, days=40)
    np.testing.assert_allclose(recent.groupby(["leaf", "ds"])["cost"].sum().to_numpy(), history.matrix.values.ravel(), rtol=1e-12)
    assert history.matrix.values.sum() == pytest.approx(2 * sum(10 + 10 * float(f"1.{number:02}") for number in range(40)))


# A rate that is missing


def test_delivery_with_a_day_without_a_rate_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "home" / "ledger", rates=EURO)
    rows = [*MIXED, line("EUR", 11, 1), line("USD", 0, 1) | {"EffectiveCost": "many"}]
    with pytest.raises(
        SpendDataError, match=r"no rate EUR→USD for 2026-01-16: newest is 2026-01-08.* EUR \(a\.csv, line 3\), and nothing"
    ) as refused:
        take_in(tmp_path, rows, ledger)
    assert refused.value.field == "rates"
    assert ledger.is_empty
    assert not ledger.quarantine.folder.exists()


def test_refused_delivery_leaves_the_ledger_as_it_was(mixed: Ledger, tmp_path: Path) -> None:
    before = mixed.digest(), mixed.summary()
    for rows in ([line("GBP", 0, 1)], [line("EUR", 0, 1), line("EUR", 20, 1)], [line("TOK", 0, 1)]):
        with pytest.raises(InputError, match=r"no rate GBP→USD|no rate EUR→USD|not a currency: got 'TOK'"):
            take_in(tmp_path, rows, mixed, "2026-03-02", "b.csv")
    assert (mixed.digest(), mixed.summary()) == before


def test_without_a_table_another_currency_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    with pytest.raises(SpendDataError, match=r"mixes currencies: got USD \(a\.csv, line 2\), EUR \(a\.csv, line 3\).*no table of rates"):
        take_in(tmp_path, MIXED, ledger)
    take_in(tmp_path, [line("USD", 0, 1)], ledger)
    with pytest.raises(SpendDataError, match=r"got EUR \(a\.csv, line 2\), allowed is USD: there is no table of rates"):
        take_in(tmp_path, [line("EUR", 0, 1)], ledger)
    with pytest.raises(SpendDataError, match="allowed is EUR"):
        take_in(tmp_path, [line("USD", 0, 1)], Ledger(tmp_path / "other", currency="EUR"))


def test_several_currencies_are_never_added_up_without_a_table(mixed: Ledger, tmp_path: Path) -> None:
    bare = Ledger(tmp_path / "ledger")
    for ask in (bare.panel, bare.summary, bare.developments, bare.rates_used):
        with pytest.raises(SpendDataError, match=r"no rate EUR→USD for 2026-01-05: there is no table of rates"):
            ask()
    assert by_day(bare, "team=ads") == {day_of(4): 1.0}
    take_in(tmp_path, [line("USD", 0, 5, Tags='{"team": "ads"}')], bare, "2026-03-02", "b.csv")
    assert by_day(bare, "team=ads") == {day_of(0): 5.0, day_of(4): 1.0}


def test_table_that_ends_too_early_is_an_error_for_the_days_beyond_it_only(mixed: Ledger, tmp_path: Path) -> None:
    short = Ledger(tmp_path / "ledger", rates=table(("EUR", "USD", 0, "1.1"), max_age_days=2))
    assert by_day(short, end=day_of(3)) == {day_of(0): 111.0, day_of(2): 22.0}
    with pytest.raises(SpendDataError, match="no rate EUR→USD for 2026-01-09"):
        short.panel()


def test_sum_that_is_too_large_to_convert_is_an_error_in_words(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", rates=table(("EUR", "USD", 0, "99999999")))
    with pytest.raises(SpendDataError, match="too large to be converted"):
        take_in(tmp_path, [line("USD", 0, 1), line("EUR", 0, 10**12)], ledger)
    assert ledger.is_empty
    take_in(tmp_path, [line("EUR", 0, 10**12)], Ledger(tmp_path / "ledger", currency="EUR"))
    in_dollars = Ledger(tmp_path / "ledger", rates=table(("EUR", "USD", 0, "99999999")), currency="USD")
    for ask in (in_dollars.panel, in_dollars.summary, in_dollars.developments):
        with pytest.raises(SpendDataError, match="too large to be converted"):
            ask()


# Late and restated


def test_restated_rates_change_answers_only_with_the_new_table(mixed: Ledger, tmp_path: Path) -> None:
    restated = Ledger(tmp_path / "ledger", rates=table(("EUR", "USD", 0, "1.2"), ("EUR", "USD", 3, "1.25"), source="bank, corrected"))
    assert by_day(mixed) == IN_DOLLARS
    assert by_day(restated) == {day_of(0): 112.0, day_of(2): 24.0, day_of(4): 51.0}
    named = [ledger.panel().attrs["rates"][0] for ledger in (mixed, restated)]
    assert [(one["lowest"], one["source"]) for one in named] == [("1.1", "bank"), ("1.2", "bank, corrected")]
    assert mixed.digest() == restated.digest()


def test_charge_that_is_restated_in_another_currency_counts_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", rates=EURO)
    take_in(tmp_path, [line("USD", 0, 100, x_id="1"), line("USD", 0, 7, x_id="2")], ledger, key="x_id", source="a")
    take_in(tmp_path, [line("EUR", 0, 50, x_id="1")], ledger, "2026-03-02", "b.csv", key="x_id", source="a")
    assert by_day(ledger) == {day_of(0): 62.0}
    assert by_day(ledger, as_of=moment("2026-03-01")) == {day_of(0): 107.0}
    take_in(tmp_path, [line("USD", 0, 60, x_id="1")], ledger, "2026-03-03", "c.csv", key="x_id", source="a")
    # What was withdrawn needs no rate.
    bare = Ledger(tmp_path / "ledger")
    assert by_day(bare) == {day_of(0): 67.0}
    assert Decimal(bare.summary()["effective_cost"]) == 67
    with pytest.raises(SpendDataError, match="no rate"):
        bare.panel(as_of=moment("2026-03-02"))


def test_ledger_knows_its_currencies_after_it_was_compacted(mixed: Ledger, tmp_path: Path) -> None:
    take_in(tmp_path, [line("USD", 1, 3)], mixed, "2026-03-02", "b.csv")
    for _ in range(9):
        mixed.compact(keep_hours=0)
    assert mixed.currencies == ("USD", "EUR")
    assert by_day(mixed) == IN_DOLLARS | {day_of(1): 3.0}


# What ingestion says


def test_report_of_several_currencies_is_in_one_and_notes_each(tmp_path: Path) -> None:
    report = take_in(tmp_path, MIXED, Ledger(tmp_path / "ledger", rates=EURO))
    assert (report.accepted, report.currency, report.effective_cost, report.billed_cost) == (5, "USD", Decimal(184), Decimal(368))
    assert "3 rows in EUR: 70 effective, 140 billed" in report.notes
    assert "2 rows in USD: 101 effective, 202 billed" in report.notes
    assert "1 EUR is 1.1 to 1.25 USD (rates of 2026-01-05 to 2026-01-08, bank; charges of 2026-01-05 to 2026-01-09)" in report.notes
    assert report.ai["effective_cost"] == pytest.approx(184)


def test_report_of_one_other_currency_is_as_billed(mixed: Ledger, tmp_path: Path) -> None:
    report = take_in(tmp_path, [line("EUR", 1, 8)], mixed, "2026-03-02", "b.csv")
    assert (report.currency, report.effective_cost) == ("EUR", Decimal(8))
    assert "the charges stay in EUR; answers are in USD" in report.notes
    assert any(note.startswith("1 EUR is 1.1 USD") for note in report.notes)


def test_second_ingest_of_a_mixed_delivery_changes_nothing(mixed: Ledger, tmp_path: Path) -> None:
    before = mixed.digest()
    report = take_in(tmp_path, MIXED, mixed)
    assert (report.accepted, report.unchanged) == (0, 5)
    again = take_in(tmp_path, MIXED[:3], mixed, "2026-03-02", "part.csv")
    assert (again.accepted, again.unchanged) == (0, 3)
    assert mixed.digest() == before


# Money is conserved

AMOUNT = st.integers(-(10**15), 10**15).map(lambda units: Decimal(units).scaleb(-6))
LINE = st.tuples(st.sampled_from(["USD", "EUR", "JPY"]), st.integers(0, 9), AMOUNT)
RATE = st.integers(1_000_000, 2_000_000_000).map(lambda units: Decimal(units).scaleb(-9))


@given(st.lists(LINE, min_size=1, max_size=25), st.lists(LINE, max_size=8), RATE, RATE, RATE)
@settings(max_examples=12, deadline=None)
def test_money_of_a_mixed_ledger_is_the_exact_sum_of_its_conversions(
    first: list[tuple[str, int, Decimal]], second: list[tuple[str, int, Decimal]], euro: Decimal, later: Decimal, yen: Decimal
) -> None:
    rows = [("EUR", "USD", 0, euro), ("EUR", "USD", 5, later), ("JPY", "USD", 0, yen)]
    rates = Rates.of([DatedRate(base, quote, day_of(number), rate, "test") for base, quote, number, rate in rows], max_age_days=20)
    with TemporaryDirectory() as name:
        folder = Path(name)
        ledger = Ledger(folder / "ledger", rates=rates, currency="USD")
        # Ids keep equal lines apart; the second delivery restates some of the first.
        deliveries = [dict(enumerate(lines)) for lines in (first, second)]
        for number, lines in enumerate(deliveries):
            given_rows = [line(code, day, amount, x_id=str(key)) for key, (code, day, amount) in lines.items()]
            if given_rows:
                take_in(folder, given_rows, ledger, f"2026-03-0{number + 1}", f"{number}.csv", key="x_id", source="a")
        for as_of, standing in ((None, deliveries[0] | deliveries[1]), (moment("2026-03-01"), deliveries[0])):
            exact = {day: Fraction(0) for _, day, _ in standing.values()}
            for code, day, amount in standing.values():
                exact[day] += Fraction(amount) * rates.rate(code, "USD", day_of(day)).rate
            assert by_day(ledger, as_of=as_of) == {day_of(day): pytest.approx(float(total), rel=1e-15) for day, total in sorted(exact.items())}
            if as_of is None:
                summary = ledger.summary()
                assert Decimal(summary["effective_cost"]) == rounded(sum(exact.values(), Fraction(0)), 12)
                assert Decimal(summary["billed_cost"]) == rounded(2 * sum(exact.values(), Fraction(0)), 12)


@given(st.lists(st.integers(-(10**11), 10**11), min_size=1, max_size=10), st.integers(1_000, 10**6))
@settings(max_examples=6, deadline=None)
def test_there_and_back_through_the_ledger_is_the_same_to_the_cent(cents: list[int], rate: int) -> None:
    rates = table(("USD", "EUR", 0, format(Decimal(rate).scaleb(-4), "f")), inverse=True)
    with TemporaryDirectory() as name:
        amounts = [Decimal(amount).scaleb(-2) for amount in cents]
        take_in(Path(name), [line("USD", 0, amount) for amount in amounts], Ledger(Path(name) / "ledger"))
        there = Decimal(Ledger(Path(name) / "ledger", rates=rates, currency="EUR").summary()["effective_cost"])
        assert rates.convert(there, "EUR", "USD", FIRST, 2) == sum(amounts)


def test_one_currency_costs_nothing_more_with_a_table_than_without(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", rates=EURO)
    take_in(tmp_path, [line("USD", number, number + 1) for number in range(5)], ledger)
    bare = Ledger(tmp_path / "ledger")
    assert ledger.panel(by=["team"]).equals(bare.panel(by=["team"]))
    assert ledger.summary() == bare.summary()
    assert (ledger.rates_used(), ledger.summary()["rates"]) == ((), [])
    total = pyarrow.compute.sum(ledger.charges(columns=["EffectiveCost"]).column(0)).as_py()
    assert total == Decimal(ledger.summary()["effective_cost"]) == 15
