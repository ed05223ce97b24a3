"""A source that is new and brings what another one has said already is refused: the same bill under two names would count twice."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from forecast.adapters.ingest_report import IngestReport
from forecast.adapters.ledger import Ledger
from forecast.adapters.ledger_overlap import FEWEST_ROWS, Overlap
from forecast.errors import DeliveryError
from tests.adapters.ledger_rows import Row, cost_sum, moment, row, write_csv

FEBRUARY, MARCH = moment("2026-02-01"), moment("2026-03-01")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "home" / "ledger", threads=1)


def bill(count: int = 40, first: int = 0, **changes: str) -> list[Row]:
    """Rows of January of which no two are equal."""
    places = range(first, first + count)
    return [
        row(EffectiveCost=f"{place + 1}.25", ResourceId=f"r-{place}", **_day(place % 28 + 1), **({"Tags": f'{{"n": "{place}"}}'} | changes))
        for place in places
    ]


def _day(number: int) -> Row:
    return {"ChargePeriodStart": f"2026-01-{number:02}T00:00:00Z", "ChargePeriodEnd": f"2026-01-{number + 1:02}T00:00:00Z"}


def take(
    ledger: Ledger, folder: Path, rows: Sequence[Row], source: str | None, *, key: str | None = None, also: bool = False, replaces: bool = False
) -> IngestReport:
    path = write_csv(folder / "in" / f"{source}-{len(list(folder.glob('in/*')))}.csv", rows)
    return ledger.ingest([path], received_at=MARCH, source=source, key=key, allow_overlap=also, replace=replaces)


def total(ledger: Ledger) -> Decimal:
    return Decimal(ledger.summary()["effective_cost"])


def test_same_bill_under_another_name_is_refused_and_leaves_nothing(tmp_path: Path, ledger: Ledger) -> None:
    rows = bill()
    take(ledger, tmp_path, rows, "bucket")
    with pytest.raises(DeliveryError) as refused:
        take(ledger, tmp_path, [*rows, row(EffectiveCost="oops")], "gateway")
    words = str(refused.value)
    assert "40 of the 40 rows of the new source 'gateway' (830.00 of 830.00 USD)" in words
    assert "as said by 'bucket' (40 rows)" in words
    assert "give --source bucket or --also" in words
    assert (refused.value.field, refused.value.got, refused.value.allowed) == ("source", "gateway", "--source bucket or --also")
    assert total(ledger) == cost_sum(rows)
    assert not ledger.quarantine.files()
    assert [delivery["source"] for delivery in ledger.deliveries()] == ["bucket"]


def test_what_differs_between_formats_does_not_hide_the_same_bill(tmp_path: Path, ledger: Ledger) -> None:
    """Tags, descriptions, hours and the last digits of a cost are written in different ways."""
    take(ledger, tmp_path, bill(), "bucket")
    other = [
        line | {"EffectiveCost": f"{line['EffectiveCost']}000000004", "ChargeDescription": "as a vendor calls it", "x_id": "1"}
        for line in bill(Tags="{}")
    ]
    with pytest.raises(DeliveryError, match="40 of the 40 rows"):
        take(ledger, tmp_path, other, "vendor")


def test_another_format_of_the_same_bill_is_a_source_of_its_own(tmp_path: Path, ledger: Ledger) -> None:
    take(ledger, tmp_path, bill(), "bucket")
    with pytest.raises(DeliveryError, match="of the new source 'focus'"):
        take(ledger, tmp_path, bill(), None)


def test_both_count_where_somebody_says_so_and_the_report_tells(tmp_path: Path, ledger: Ledger) -> None:
    rows = bill()
    take(ledger, tmp_path, rows, "bucket")
    report = take(ledger, tmp_path, rows, "gateway", also=True)
    assert report.accepted == 40
    assert any(note.startswith("40 of the 40 rows of the new source 'gateway'") and note.endswith("both count") for note in report.notes)
    assert total(ledger) == 2 * cost_sum(rows)
    assert ledger.ingest([tmp_path / "in" / "gateway-1.csv"], received_at=MARCH, source="gateway").unchanged == 40


def test_a_source_that_has_spoken_before_is_not_asked_again(tmp_path: Path, ledger: Ledger) -> None:
    take(ledger, tmp_path, bill(), "bucket")
    take(ledger, tmp_path, bill(5, first=100), "gateway")
    assert take(ledger, tmp_path, bill(), "gateway").accepted == 40


def test_half_of_the_rows_or_half_of_the_money_are_told_and_not_refused(tmp_path: Path, ledger: Ledger) -> None:
    take(ledger, tmp_path, bill(40), "bucket")
    half = take(ledger, tmp_path, [*bill(40), *bill(40, first=50)], "half of the rows")
    assert any(note.startswith("40 of the 80 rows") for note in half.notes)
    cheap = take(ledger, tmp_path, [*bill(40), row(EffectiveCost="830")], "half of the money")
    assert any(note.startswith("40 of the 41 rows") and "(830.00 of 1,660.00 USD)" in note for note in cheap.notes)


def test_a_few_equal_fees_are_no_bill(tmp_path: Path, ledger: Ledger) -> None:
    few = bill(FEWEST_ROWS - 1)
    take(ledger, tmp_path, few, "bucket")
    assert not [note for note in take(ledger, tmp_path, few, "gateway").notes if "both count" in note]
    assert total(ledger) == 2 * cost_sum(few)


def test_equal_rows_count_as_often_as_they_stand(tmp_path: Path, ledger: Ledger) -> None:
    """A fee that stands once is not the hundred fees that another source brings."""
    take(ledger, tmp_path, bill(1), "bucket")
    assert take(ledger, tmp_path, bill(1) * 100, "gateway").accepted == 100


def test_rows_of_another_billing_account_are_other_charges(tmp_path: Path, ledger: Ledger) -> None:
    take(ledger, tmp_path, bill(BillingAccountId="one"), "first account")
    assert take(ledger, tmp_path, bill(BillingAccountId="two"), "second account").accepted == 40
    with pytest.raises(DeliveryError, match="as said by 'second account'"):
        take(ledger, tmp_path, bill(BillingAccountId="two"), "second account by another road")


def test_what_was_withdrawn_is_not_in_the_way_and_what_was_restated_is(tmp_path: Path, ledger: Ledger) -> None:
    dearer = [line | {"EffectiveCost": f"1{line['EffectiveCost']}"} for line in bill()]
    take(ledger, tmp_path, bill(), "bucket", replaces=True)
    take(ledger, tmp_path, dearer, "bucket", replaces=True)
    with pytest.raises(DeliveryError, match="40 of the 40 rows"):
        take(ledger, tmp_path, dearer, "restated")
    assert take(ledger, tmp_path, bill(), "as it was").accepted == 40


def test_a_bill_that_two_sources_hold_together_is_told_with_both(tmp_path: Path, ledger: Ledger) -> None:
    take(ledger, tmp_path, bill(24), "team one")
    take(ledger, tmp_path, bill(22, first=24), "team two")
    with pytest.raises(DeliveryError, match=r"46 of the 46 rows .* as said by 'team one' \(24 rows\) and 'team two' \(22 rows\)"):
        take(ledger, tmp_path, bill(46), "everything")


def test_restating_under_the_name_that_the_refusal_gives_counts_once(tmp_path: Path, ledger: Ledger) -> None:
    take(ledger, tmp_path, bill(), "bucket")
    restated = [*bill(39), row(EffectiveCost="7.5")]
    with pytest.raises(DeliveryError):
        take(ledger, tmp_path, restated, "gateway")
    take(ledger, tmp_path, restated, "bucket", replaces=True)
    assert total(ledger) == cost_sum(restated)


def test_credits_count_by_their_size(tmp_path: Path, ledger: Ledger) -> None:
    """Charges and credits that cancel out are not no money."""
    rows = [line | {"EffectiveCost": sign + line["EffectiveCost"]} for line in bill() for sign in ("", "-")]
    take(ledger, tmp_path, rows, "bucket")
    with pytest.raises(DeliveryError, match=r"80 of the 80 rows .*1,660\.00 of 1,660\.00 USD"):
        take(ledger, tmp_path, rows, "gateway")


def test_money_of_each_currency_has_to_be_there() -> None:
    both = (("EUR", Decimal(10), Decimal(9)), ("USD", Decimal(100), Decimal(60)))
    one = (("EUR", Decimal(10), Decimal(5)), ("USD", Decimal(100), Decimal(60)))
    found = [Overlap("new", (("old", 30),), 40, 30, money) for money in (both, one)]
    assert [overlap.is_the_same_bill for overlap in found] == [True, False]
    assert "(9.00 of 10.00 EUR, 60.00 of 100.00 USD)" in found[0].sentence
