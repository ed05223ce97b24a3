"""What waits in quarantine and how it gets out: mended rows are taken in once, as a part of the delivery that they came with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from forecast.adapters import ledger_ingest
from forecast.adapters.formats.base import BillFormat
from forecast.adapters.formats.mapping import parse_mapping
from forecast.adapters.formats.registry import shipped_formats
from forecast.adapters.ingest_report import IngestReport, RetryReport
from forecast.adapters.ledger import Ledger
from forecast.errors import InputError
from forecast.spend import focus
from forecast.spend.prices import read_prices
from tests.adapters.formats import (
    test_anthropic_cost,
    test_anthropic_usage,
    test_aws_cur,
    test_azure_export,
    test_google_billing,
    test_litellm,
    test_openai_costs,
    test_openai_usage,
    test_opencost,
    test_oracle_cost,
)
from tests.adapters.formats.cloud_bills import write_csv as write_table
from tests.adapters.formats.cloud_bills import write_parquet as write_typed
from tests.adapters.ledger_rows import cost_sum, moment, row, write_csv, write_ndjson, write_parquet

FIRST, THEN, LATER, NOW = (moment(text) for text in ("2026-06-01", "2026-06-02", "2026-06-03", "2026-07-01"))
ROWS = [row(ResourceId=f"r{number}", EffectiveCost=f"{number}.25") for number in range(1, 5)]
BROKEN = "broken"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "home" / "ledger")


def ingest(ledger: Ledger, *paths: Path, at: Any = FIRST, **options: Any) -> IngestReport:
    return ledger.ingest(paths, received_at=at, **options)


def retry(ledger: Ledger, formats: Sequence[BillFormat] | None = None) -> RetryReport:
    report = ledger.retry_quarantine(received_at=NOW, formats=formats)
    assert report.quarantined == sum("row" in entry for entry in waiting(ledger)) - sum(each.quarantined for each in report.reports)
    return report


def waiting(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(text) for file in ledger.quarantine.files() for text in file.read_text(encoding="utf-8").splitlines()]


def mend(ledger: Ledger, old: str, new: str, **more: Any) -> None:
    """What a person does with an editor: another value in `row`, and `more` of them."""
    for file in ledger.quarantine.files():
        entries = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
        for entry in entries:
            if "row" in entry and old in json.dumps(entry["row"], ensure_ascii=False).replace('\\"', '"').replace("\\\\", "\\"):
                entry["row"] = json.loads(json.dumps(entry["row"]).replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))
                if more:
                    entry["row"] |= more
        file.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")


def costs(ledger: Ledger, **options: Any) -> Decimal:
    return sum(ledger.charges(columns=["EffectiveCost"], **options).column("EffectiveCost").to_pylist(), Decimal(0))


def said(ledger: Ledger) -> list[dict[str, Any]]:
    """Everything that the ledger holds about its charges but when they came."""
    columns = [*(column.name for column in focus.COLUMNS), "extra", "file", "source", "keyed", "charge_key", "ai_rule"]
    return sorted(ledger.charges(columns=columns).to_pylist(), key=str)


# Out of quarantine


def test_mended_rows_go_in_and_the_others_stay_with_their_new_reason(ledger: Ledger, tmp_path: Path) -> None:
    rows = [*ROWS, *[row(EffectiveCost=f"bad {number}", ResourceId=f"x{number}") for number in range(3)]]
    ingest(ledger, write_csv(tmp_path / "bill.csv", rows))
    mend(ledger, "bad 0", "7.125")
    mend(ledger, "bad 1", "1", ChargeCategory="Gift")
    report = retry(ledger)
    assert (report.rows, report.accepted, report.quarantined, report.complete) == (3, 1, 2, False)
    assert costs(ledger) == cost_sum(ROWS) + Decimal("7.125")
    told = [(entry["line"], entry["column"], entry["value"]) for entry in waiting(ledger)]
    assert told == [(7, "ChargeCategory", "Gift"), (8, "EffectiveCost", "bad 2")]
    assert "is not a charge category" in waiting(ledger)[0]["reason"]
    mend(ledger, "Gift", "Usage")
    mend(ledger, "bad 2", "", EffectiveCost=2)
    report = retry(ledger)
    assert (report.accepted, report.quarantined, report.complete) == (2, 0, True)
    assert ledger.quarantine.files() == []
    assert costs(ledger) == cost_sum(ROWS) + Decimal("10.125")
    assert [values["line"] for values in ledger.charges(columns=["line", "file"]).sort_by("line").to_pylist()] == list(range(2, 9))


def test_nothing_mended_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    ingest(ledger, write_csv(tmp_path / "bill.csv", [*ROWS, row(EffectiveCost=BROKEN)]))
    before, digest = waiting(ledger), ledger.digest()
    report = retry(ledger)
    assert (report.rows, report.accepted, report.quarantined) == (1, 0, 1)
    assert (waiting(ledger), ledger.digest()) == (before, digest)


def test_empty_quarantine_is_complete(ledger: Ledger) -> None:
    assert retry(ledger).complete


def test_mended_rows_are_known_from_when_they_were_mended(ledger: Ledger, tmp_path: Path) -> None:
    ingest(ledger, write_csv(tmp_path / "bill.csv", [*ROWS, row(EffectiveCost=BROKEN)]))
    mend(ledger, BROKEN, "5")
    retry(ledger)
    assert costs(ledger, as_of=THEN) == cost_sum(ROWS)
    assert costs(ledger, as_of=NOW) == cost_sum(ROWS) + 5


@pytest.mark.parametrize("broken", ["10.5,1.5", "LINE,more", '"LINE'])
def test_line_that_could_not_be_taken_apart_is_mended_as_text(ledger: Ledger, tmp_path: Path, broken: str) -> None:
    path = write_csv(tmp_path / "bill.csv", [*ROWS, row(ResourceId="r9", EffectiveCost="2.5", Tags="x")])
    *lines, last = path.read_text().splitlines()
    lines.insert(2, broken.replace("LINE", last))
    path.write_text("\n".join(lines) + "\n")
    assert ingest(ledger, path).quarantined == 1
    assert retry(ledger).quarantined == 1
    (entry,) = waiting(ledger)
    assert "allowed is a line with 12 fields" in entry["reason"]
    mend(ledger, entry["row"], last)
    assert retry(ledger).complete
    assert costs(ledger) == cost_sum(ROWS) + Decimal("2.5")


def test_line_that_is_not_utf_8_waits_until_its_value_is_another_one(ledger: Ledger, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [*ROWS, row(ResourceId="größe", EffectiveCost="2.5")])
    path.write_bytes(path.read_bytes().replace("ö".encode(), b"\xf6"))
    ingest(ledger, path)
    assert retry(ledger).quarantined == 1
    assert costs(ledger) == cost_sum(ROWS)
    mend(ledger, "gr\\xf6ße", "größe")
    assert retry(ledger).complete
    assert "größe" in ledger.values("resource")


def test_column_that_said_two_things_waits_for_one(ledger: Ledger, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", ROWS)
    first, second, *others = path.read_text().splitlines()
    path.write_text("\n".join([f"{first},ServiceName", f"{second},Chit", *(f"{line},Chat" for line in others)]) + "\n")
    ingest(ledger, path)
    assert retry(ledger).quarantined == 1
    mend(ledger, "Chat | Chit", "Chit")
    assert retry(ledger).complete
    assert ledger.values("service") == ["Chat", "Chit"]


def test_malformed_line_of_ndjson_is_mended_as_text(ledger: Ledger, tmp_path: Path) -> None:
    path = write_ndjson(tmp_path / "bill.ndjson", ROWS)
    good = json.dumps(row(EffectiveCost="2.5"))
    path.write_text(good[:-1] + "\n" + path.read_text())
    ingest(ledger, path)
    assert retry(ledger).quarantined == 1
    mend(ledger, good[:-1], good)
    assert retry(ledger).complete
    assert costs(ledger) == cost_sum(ROWS) + Decimal("2.5")


def test_dates_are_read_in_the_order_that_the_whole_file_decided(ledger: Ledger, tmp_path: Path) -> None:
    dates = {"ChargePeriodStart": "1/5/2026", "ChargePeriodEnd": "1/6/2026"}
    rows = [row(**dates, EffectiveCost=BROKEN), row(ChargePeriodStart="1/17/2026", ChargePeriodEnd="1/18/2026")]
    ingest(ledger, write_csv(tmp_path / "bill.csv", rows))
    mend(ledger, BROKEN, "5")
    assert retry(ledger).complete
    assert ledger.panel()["ds"].dt.day.tolist() == [5, 17]


def test_amounts_keep_their_digits_on_the_way(ledger: Ledger, tmp_path: Path) -> None:
    amount = "123456789012345.123456789012"
    for number, write in enumerate((write_csv, write_ndjson)):
        path = write(tmp_path / f"{number}.{'csv' if write is write_csv else 'ndjson'}", [*ROWS, row(BilledCost=amount, EffectiveCost=BROKEN)])
        path.write_text(path.read_text().replace(f'"{amount}"', amount))
        ingest(ledger, path, source=str(number))
    for file in ledger.quarantine.files():
        file.write_text(file.read_text().replace(f'"EffectiveCost": "{BROKEN}"', '"EffectiveCost": 999999999999999.999999999999'))
    assert retry(ledger).complete
    charges = ledger.charges(columns=["BilledCost", "EffectiveCost"]).to_pylist()
    assert [values for values in charges if values["BilledCost"] > 11] == [
        {"BilledCost": Decimal(amount), "EffectiveCost": Decimal("999999999999999.999999999999")}
    ] * 2


def test_row_broken_in_the_editor_is_told_by_file_and_line(ledger: Ledger, tmp_path: Path) -> None:
    ingest(ledger, write_csv(tmp_path / "bill.csv", [*ROWS, row(EffectiveCost=BROKEN)]))
    (file,) = ledger.quarantine.files()
    file.write_text(file.read_text() + "{oops\n")
    with pytest.raises(InputError, match=rf"{file.name} in quarantine: line 2 is not JSON"):
        retry(ledger)


# Once, and not less than once


def test_mended_row_that_equals_another_of_its_file_is_a_second_charge(ledger: Ledger, tmp_path: Path) -> None:
    ingest(ledger, write_csv(tmp_path / "bill.csv", [ROWS[0], row(**ROWS[0] | {"EffectiveCost": BROKEN})]))
    mend(ledger, BROKEN, ROWS[0]["EffectiveCost"])
    assert retry(ledger).accepted == 1
    assert costs(ledger) == 2 * Decimal(ROWS[0]["EffectiveCost"])
    assert ingest(ledger, write_csv(tmp_path / "good.csv", [ROWS[0], ROWS[0]]), at=NOW).unchanged == 2


def test_equal_rows_that_are_mended_one_after_the_other_are_all_charges(ledger: Ledger, tmp_path: Path) -> None:
    rows = [ROWS[0], *[row(**ROWS[0] | {"EffectiveCost": f"broken {number}"}) for number in range(3)]]
    ingest(ledger, write_csv(tmp_path / "bill.csv", rows))
    for number in range(3):
        mend(ledger, f"broken {number}", ROWS[0]["EffectiveCost"])
        assert retry(ledger).accepted == 1
    assert costs(ledger) == 4 * Decimal(ROWS[0]["EffectiveCost"])


def test_mended_row_that_another_delivery_brought_by_now_counts_once(ledger: Ledger, tmp_path: Path) -> None:
    ingest(ledger, write_csv(tmp_path / "a" / "bill.csv", [ROWS[0], row(**ROWS[1] | {"EffectiveCost": BROKEN})]))
    ingest(ledger, write_csv(tmp_path / "b" / "bill.csv", ROWS[:2]), at=THEN)
    mend(ledger, BROKEN, ROWS[1]["EffectiveCost"])
    report = retry(ledger)
    assert (report.accepted, report.unchanged, report.complete) == (0, 1, True)
    assert costs(ledger) == cost_sum(ROWS[:2])


def test_the_same_bad_row_of_two_deliveries_counts_once(ledger: Ledger, tmp_path: Path) -> None:
    for name, rows, at in [("a", ROWS[:1], FIRST), ("b", ROWS[:2], THEN)]:
        ingest(ledger, write_csv(tmp_path / name / "bill.csv", [*rows, row(EffectiveCost=BROKEN)]), at=at)
    mend(ledger, BROKEN, "9")
    assert retry(ledger).complete
    assert costs(ledger) == cost_sum(ROWS[:2]) + 9


@pytest.mark.parametrize("mended", [("1", "2"), (ROWS[0]["EffectiveCost"],) * 2], ids=["other rows", "rows of the file"])
@pytest.mark.parametrize("mode", ["append", "merge", "replace"])
def test_retry_that_is_killed_before_the_file_is_written_doubles_nothing(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, mended: tuple[str, str]
) -> None:
    bad = [row(**ROWS[0] | {"EffectiveCost": f"broken {number}", "x_Id": f"b{number}" if mode == "merge" else None}) for number in range(2)]
    good = [values | {"x_Id": values["ResourceId"] if mode == "merge" else None} for values in ROWS]
    ways: dict[str, dict[str, Any]] = {"append": {}, "merge": {"key": "x_Id"}, "replace": {"replace": True}}
    options = ways[mode]
    ingest(ledger, write_csv(tmp_path / "bill.csv", [*good, *bad]), **options)
    mend(ledger, "broken 0", mended[0])

    class Killed(BaseException):
        pass

    def killed(self: object, path: Path, entries: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("forecast.adapters.quarantine.Quarantine.replace", killed)
        with pytest.raises(Killed):
            retry(ledger)
    assert costs(ledger) == cost_sum(ROWS) + Decimal(mended[0])
    mend(ledger, "broken 1", mended[1])
    assert retry(ledger).complete
    assert costs(ledger) == cost_sum(ROWS) + Decimal(mended[0]) + Decimal(mended[1])
    assert retry(ledger).rows == 0


def test_retry_that_is_killed_before_the_ledger_is_written_loses_nothing(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(ledger, write_csv(tmp_path / "bill.csv", [*ROWS, row(EffectiveCost=BROKEN)]))
    mend(ledger, BROKEN, "5")
    before = waiting(ledger)
    with monkeypatch.context() as patched:
        patched.setattr(ledger_ingest, "commit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            retry(ledger)
    assert waiting(ledger) == before
    assert retry(ledger).complete
    assert costs(ledger) == cost_sum(ROWS) + 5


def test_delivery_that_comes_again_does_not_undo_what_was_mended_meanwhile(ledger: Ledger, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [*ROWS, row(EffectiveCost=BROKEN), row(EffectiveCost="worse")])
    ingest(ledger, path, replace=True)
    mend(ledger, BROKEN, "5")
    ingest(ledger, path, at=THEN, replace=True)
    assert [entry["row"]["EffectiveCost"] for entry in waiting(ledger)] == ["5", "worse"]


# As a part of its delivery


def test_mended_row_of_an_export_withdraws_nothing(ledger: Ledger, tmp_path: Path) -> None:
    ingest(ledger, write_csv(tmp_path / "bill.csv", [*ROWS, row(EffectiveCost=BROKEN)]), replace=True)
    mend(ledger, BROKEN, "5")
    report = retry(ledger)
    assert [each.withdrawn for each in report.reports] == [0]
    assert costs(ledger) == cost_sum(ROWS) + 5


def test_equal_rows_in_two_files_of_an_export_are_both_charges(ledger: Ledger, tmp_path: Path) -> None:
    write_csv(tmp_path / "in" / "1.csv", ROWS[:2])
    write_csv(tmp_path / "in" / "2.csv", [ROWS[2], row(**ROWS[0] | {"EffectiveCost": BROKEN})])
    ingest(ledger, tmp_path / "in", replace=True)
    mend(ledger, BROKEN, ROWS[0]["EffectiveCost"])
    assert retry(ledger).accepted == 1
    assert costs(ledger) == cost_sum([ROWS[0], *ROWS[:3]])


def test_export_that_came_later_stands_over_a_mended_row(ledger: Ledger, tmp_path: Path) -> None:
    ingest(ledger, write_csv(tmp_path / "a.csv", [*ROWS, row(ResourceId="r9", EffectiveCost=BROKEN)]), replace=True)
    later = [*ROWS, row(ResourceId="r9", EffectiveCost="6")]
    ingest(ledger, write_csv(tmp_path / "b.csv", later), at=LATER, replace=True)
    mend(ledger, BROKEN, "5")
    assert retry(ledger).complete
    assert costs(ledger) == cost_sum(later)
    assert costs(ledger, as_of=THEN) == cost_sum(ROWS) + 5


def test_charge_that_was_restated_since_stays_as_restated(ledger: Ledger, tmp_path: Path) -> None:
    ingest(ledger, write_csv(tmp_path / "a.csv", [row(x_Id="1"), row(x_Id="2", EffectiveCost=BROKEN)]), key="x_Id")
    ingest(ledger, write_csv(tmp_path / "b.csv", [row(x_Id="2", EffectiveCost="6")]), at=LATER, key="x_Id")
    mend(ledger, BROKEN, "5")
    assert retry(ledger).complete
    assert costs(ledger) == Decimal("16.25")
    assert costs(ledger, as_of=THEN) == Decimal("15.25")


def test_mended_row_restates_what_its_delivery_would_have_restated(ledger: Ledger, tmp_path: Path) -> None:
    ingest(ledger, write_csv(tmp_path / "a.csv", [row(x_Id="1"), row(x_Id="2", EffectiveCost="6")]), key="x_Id")
    ingest(ledger, write_csv(tmp_path / "b.csv", [row(x_Id="1"), row(x_Id="2", EffectiveCost=BROKEN)]), at=LATER, key="x_Id")
    mend(ledger, BROKEN, "5")
    assert retry(ledger).reports[0].superseded == 1
    assert costs(ledger) == Decimal("15.25")


# Whole files


def test_bad_file_is_read_again_from_its_place(ledger: Ledger, tmp_path: Path) -> None:
    write_csv(tmp_path / "in" / "1.csv", ROWS[:2])
    bad = tmp_path / "in" / "2.csv"
    bad.write_text("nothing,of,interest\n1,2,3\n")
    assert len(ingest(ledger, tmp_path / "in").bad_files) == 1
    report = retry(ledger)
    assert (report.bad_files, report.accepted, report.complete) == (1, 0, False)
    assert "is not a bill that is known" in waiting(ledger)[0]["reason"]
    write_csv(bad, ROWS)
    report = retry(ledger)
    assert (report.bad_files, report.accepted, report.unchanged, report.complete) == (0, 2, 2, True)
    assert costs(ledger) == cost_sum(ROWS)
    assert ledger.quarantine.files() == []


def test_bad_file_that_went_away_says_so(ledger: Ledger, tmp_path: Path) -> None:
    write_csv(tmp_path / "in" / "1.csv", ROWS[:2])
    (tmp_path / "in" / "2.csv").write_text("nothing\n")
    ingest(ledger, tmp_path / "in")
    (tmp_path / "in" / "2.csv").unlink()
    assert retry(ledger).bad_files == 1
    assert "is no longer at" in waiting(ledger)[0]["reason"]


def test_bad_rows_of_a_bad_file_go_to_quarantine_as_its_own(ledger: Ledger, tmp_path: Path) -> None:
    write_csv(tmp_path / "in" / "1.csv", ROWS[:2])
    bad = tmp_path / "in" / "2.csv"
    bad.write_text("nothing\n")
    ingest(ledger, tmp_path / "in")
    write_csv(bad, [ROWS[3], row(EffectiveCost=BROKEN)])
    report = retry(ledger)
    assert (report.bad_files, report.accepted, report.complete) == (0, 1, False)
    (entry,) = waiting(ledger)
    assert (entry["file"], entry["line"]) == ("in/2.csv", 3)


# Every format


def lines_of(path: Path, *documents: object) -> Path:
    path.write_text("\n".join(json.dumps(document) for document in documents) + "\n", encoding="utf-8")
    return path


Written = Callable[[Path, Any], Path]

FORMATS: dict[str, Written] = {
    "focus CSV": lambda d, v: write_csv(d / "a.csv", [*ROWS, row(EffectiveCost=v, x_Note="n", **{"": "e"})]),
    "focus NDJSON": lambda d, v: write_ndjson(d / "a.ndjson", [*ROWS, row(EffectiveCost=v, x_Deep={"a": [1, "x"]}, Tags={"team": "ads"})]),
    "focus Parquet": lambda d, v: write_parquet(
        d / "a.parquet", pa.Table.from_pylist([*ROWS, row(EffectiveCost=v, x_Deep={"a": 1.5}, x_Number=2.5)])
    ),
    "aws CSV": lambda d, v: write_table(d / "a.csv", [test_aws_cur.line(), test_aws_cur.line(cost=v, identity__LineItemId="line-2")]),
    "aws Parquet": lambda d, v: write_typed(d / "a.parquet", [test_aws_cur.line(), test_aws_cur.line(cost=v, identity__LineItemId="line-2")]),
    "azure": lambda d, v: write_table(d / "a.csv", [test_azure_export.line(), test_azure_export.line(cost=v, ResourceId="other")]),
    "google JSON": lambda d, v: lines_of(
        d / "a.json",
        *(
            json.loads(test_google_billing.as_bigquery_json(test_google_billing.line(cost=cost, currency="EUR")))
            for cost in (2.5, v if isinstance(v, float) else 77.0)
        ),
    ),
    "oracle": lambda d, v: write_table(d / "a.csv", [test_oracle_cost.line(), test_oracle_cost.line(2, cost=v)]),
    "openai costs": lambda d, v: lines_of(
        d / "a.json",
        test_openai_costs.page(test_openai_costs.bucket(0, test_openai_costs.result(1), test_openai_costs.result(v), test_openai_costs.result(1))),
    ),
    "anthropic cost": lambda d, v: lines_of(
        d / "a.json", test_anthropic_cost.page(test_anthropic_cost.bucket(1, test_anthropic_cost.result(), test_anthropic_cost.result(v)))
    ),
    "litellm JSON": lambda d, v: lines_of(d / "a.json", test_litellm.request(1), test_litellm.request(2, spend=v)),
    "litellm CSV": lambda d, v: write_table(
        d / "a.csv",
        [
            {
                name: json.dumps(value) if isinstance(value, list | dict) else value
                for name, value in test_litellm.request(number, spend=spend).items()
            }
            for number, spend in ((1, "0.5"), (2, v))
        ],
    ),
    "litellm activity": lambda d, v: lines_of(
        d / "a.json", test_litellm.activity(("2026-01-01", 1, {"models": {"gpt-4o": test_litellm.entry(1)}}), ("2026-01-02", v, {}))
    ),
    "opencost": lambda d, v: lines_of(
        d / "a.json", test_opencost.answer({"a": test_opencost.allocation(), "b": test_opencost.allocation(v, properties={"cluster": "two"})})
    ),
    "opencost clouds": lambda d, v: lines_of(
        d / "a.json",
        {"code": 200, "data": {"sets": [{"cloudCosts": {"a": test_opencost.cloud_cost(), "b": test_opencost.cloud_cost(v)}}]}},
    ),
    "gpu hours": lambda d, v: write_table(
        d / "a.csv",
        [{"start": "2026-01-05", "gpu_type": "H100", "gpu_hours": hours, "namespace": "ml", "pod": "p", "price": "2"} for hours in ("3", v, "3")],
    ),
    "mapped CSV": lambda d, v: write_table(d / "a.csv", [{"Betrag": cost, "Was": "x", "Tag": "2026-01-05"} for cost in ("1.000,5", v)]),
    "mapped NDJSON": lambda d, v: write_ndjson(d / "a.ndjson", [{"Betrag": cost, "Was": "x", "Tag": "2026-01-05", "n": 1.5} for cost in (1000.5, v)]),
}
GOOD: dict[str, Any] = {"mapped CSV": "2.000,25", "mapped NDJSON": "2.000,25"}
SPLIT = ("opencost", "litellm activity")
"""Formats that split a total into lines: what was refused is one line with the whole total, and mended it stays one."""
MAPPING = """
[columns]
BilledCost = "Betrag"
ServiceName = "Was"
[constants]
ProviderName = "Acme"
BillingCurrency = "EUR"
[amounts]
decimal = ","
thousands = "."
[period]
column = "Tag"
length = "day"
"""


@pytest.mark.parametrize("name", FORMATS)
def test_mended_row_of_every_format_is_the_row_that_would_have_come(ledger: Ledger, tmp_path: Path, name: str) -> None:
    good = GOOD.get(name, "12.5")
    formats = shipped_formats(mapping=parse_mapping(MAPPING, "ours.toml") if "mapped" in name else None)
    path = FORMATS[name](tmp_path, BROKEN)
    if "google" in name:
        path.write_text(path.read_text().replace("77.0", json.dumps(BROKEN)))
    report = ingest(ledger, path, formats=formats)
    assert report.quarantined >= 1
    assert report.accepted >= 1
    assert retry(ledger, formats).accepted == 0
    mend(ledger, BROKEN, str(good))
    mend(ledger, '"spend": null', "", spend=good)
    assert retry(ledger, formats).complete
    other = Ledger(tmp_path / "other" / "ledger")
    path = FORMATS[name](tmp_path, good)
    if "google" in name:
        path.write_text(path.read_text().replace("77.0", json.dumps(good)))
    assert ingest(other, path, formats=formats).quarantined == 0
    if name in SPLIT:
        assert costs(ledger) == costs(other)
        return
    assert said(ledger) == said(other)
    # And the mended file itself, should it come, says nothing new but what another mode of reading takes from the rest of it.
    before = costs(ledger)
    ingest(ledger, path, at=moment("2026-07-02"), formats=formats)
    assert costs(ledger) == before


def test_row_without_a_price_is_taken_once_the_price_table_has_one(ledger: Ledger, tmp_path: Path) -> None:
    table = "provider,model,meter,tier,context,unit,price,currency,valid_from\nKubernetes,*,H100,,,GPU-hour,2,USD,2025-01-01\n"
    gpus = [{"start": "2026-01-05", "gpu_type": card, "gpu_hours": "3", "pod": card} for card in ("H100", "Ours")]
    formats = shipped_formats(read_prices(table, "tariff"))
    assert ingest(ledger, write_table(tmp_path / "a.csv", gpus), formats=formats).quarantined == 1
    assert retry(ledger, formats).quarantined == 1
    formats = shipped_formats(read_prices(table + "Kubernetes,*,Ours,,,GPU-hour,0.5,USD,2025-01-01\n", "tariff"))
    assert retry(ledger, formats).complete
    assert costs(ledger) == Decimal("7.5")


PRICE = "provider,model,meter,tier,context,unit,price,currency,valid_from\n"


@pytest.mark.parametrize(
    ("page", "known", "missing", "cost"),
    [
        (
            test_openai_costs.page(test_openai_costs.bucket(0, test_openai_usage.completions(input_tokens=10**6, output_tokens=10**6))),
            "OpenAI,gpt-4o-2024-08-06,input,,,1M Tokens,2,USD,2024-01-01\n",
            "OpenAI,gpt-4o-2024-08-06,output,,,1M Tokens,8,USD,2024-01-01\n",
            "10",
        ),
        (
            test_anthropic_cost.page(
                test_anthropic_cost.bucket(
                    1, test_anthropic_usage.messages(cache_creation=None, cache_read_input_tokens=0, server_tool_use=None, output_tokens=10**6)
                )
            ),
            "Anthropic,claude-sonnet-4-20250514,input,,,1M Tokens,2,USD,2024-01-01\n",
            "Anthropic,claude-sonnet-4-20250514,output,,,1M Tokens,8,USD,2024-01-01\n",
            "8.003",
        ),
    ],
    ids=["OpenAI", "Anthropic"],
)
def test_usage_pages_without_a_price_are_taken_once_the_price_table_has_one(
    ledger: Ledger, tmp_path: Path, page: dict[str, Any], known: str, missing: str, cost: str
) -> None:
    formats = shipped_formats(read_prices(PRICE + known, "tariff"))
    assert ingest(ledger, lines_of(tmp_path / "a.json", page), formats=formats).quarantined == 1
    assert retry(ledger, formats).quarantined == 1
    formats = shipped_formats(read_prices(PRICE + known + missing, "tariff"))
    assert retry(ledger, formats).complete
    assert costs(ledger) == Decimal(cost)


def test_format_that_is_not_known_any_more_says_what_is(ledger: Ledger, tmp_path: Path) -> None:
    formats = shipped_formats(mapping=parse_mapping(MAPPING, "ours.toml"))
    ingest(ledger, FORMATS["mapped CSV"](tmp_path, BROKEN), formats=formats)
    assert retry(ledger).quarantined == 1
    assert "format 'mapped' is not known" in waiting(ledger)[0]["reason"]
