"""What is read, what is refused as a whole, and what goes to quarantine."""

from __future__ import annotations

import gzip
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from forecast.adapters.ingest_report import IngestReport
from forecast.adapters.ledger import Ledger
from forecast.errors import DeliveryError, InputError, SchemaError, SpendDataError
from forecast.spend import focus
from tests.adapters.ledger_rows import cost_sum, focus_table, moment, row, write_csv, write_ndjson, write_parquet

NOW = moment("2026-06-01")
ROWS = [row(ResourceId=f"r{number}", EffectiveCost=f"{number}.25", ListCost="3.5") for number in range(1, 8)]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "home" / "ledger")


def ingest(ledger: Ledger, *paths: Path, **options: Any) -> IngestReport:
    return ledger.ingest(paths, received_at=NOW, **options)


def nothing_was_written(ledger: Ledger) -> bool:
    return ledger.is_empty and not ledger.quarantine.folder.exists()


def as_csv(folder: Path) -> Path:
    return write_csv(folder / "bill.csv", ROWS)


def as_csv_gz(folder: Path) -> Path:
    path = folder / "bill.csv.gz"
    path.write_bytes(gzip.compress(as_csv(folder).read_bytes()))
    return path


def as_ndjson(folder: Path) -> Path:
    return write_ndjson(folder / "bill.ndjson", ROWS)


def as_json(folder: Path) -> Path:
    path = folder / "bill.json"
    path.write_text(json.dumps(ROWS, indent=2))
    return path


def as_text_parquet(folder: Path) -> Path:
    return write_parquet(folder / "bill.parquet", pa.Table.from_pylist(ROWS))


def as_typed_parquet(folder: Path) -> Path:
    table = pa.Table.from_pylist(ROWS)
    tags = pa.array([list(json.loads(values["Tags"]).items()) for values in ROWS], pa.map_(pa.string(), pa.string()))
    for name, kind in [("BilledCost", pa.float64()), ("EffectiveCost", pa.decimal128(20, 6)), ("ListCost", pa.float64())]:
        place = table.schema.get_field_index(name)
        column = table.column(name)
        table = table.set_column(place, name, column.cast(kind) if kind != pa.float64() else pa.compute.cast(column, kind))
    for name in ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd"):
        place = table.schema.get_field_index(name)
        times = pa.array([moment(text.removesuffix("Z")) for text in table.column(name).to_pylist()], pa.timestamp("ns", "UTC"))
        table = table.set_column(place, name, times)
    return write_parquet(folder / "typed.parquet", table.set_column(table.schema.get_field_index("Tags"), "Tags", tags))


FORMATS = [as_csv, as_csv_gz, as_ndjson, as_json, as_text_parquet, as_typed_parquet]


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
def test_every_format_gives_the_same_charges(ledger: Ledger, tmp_path: Path, write: Any) -> None:
    report = ingest(ledger, write(tmp_path))
    assert (report.rows_read, report.accepted, report.quarantined) == (7, 7, 0)
    assert report.effective_cost == cost_sum(ROWS)
    assert report.billed_cost == cost_sum(ROWS, "BilledCost")
    charges = ledger.charges(columns=["team", "stage", "resource", "Tags", "ChargePeriodStart"]).to_pylist()
    assert {charge["resource"] for charge in charges} == {f"r{number}" for number in range(1, 8)}
    assert {(charge["team"], charge["stage"], charge["Tags"]) for charge in charges} == {("search", "prod", '{"env":"prod","team":"search"}')}
    assert {charge["ChargePeriodStart"] for charge in charges} == {moment("2026-01-05").replace(tzinfo=None)}


def test_same_rows_in_another_format_are_the_same_rows(ledger: Ledger, tmp_path: Path) -> None:
    for write in FORMATS:
        ingest(ledger, write(tmp_path))
    assert ledger.summary()["rows"] == 7


def test_folder_is_read_to_the_bottom_and_logs_and_manifests_are_passed_over(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    write_csv(folder / "BILLING_PERIOD=2026-01" / "part-0.csv", ROWS[:3])
    write_csv(folder / "BILLING_PERIOD=2026-01" / "part-1.csv", ROWS[3:])
    for name in ("_SUCCESS", ".hidden.csv", "Manifest.json", "readme.txt", "_delta_log/0.json"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    report = ingest(ledger, folder)
    assert report.files == ("exports/BILLING_PERIOD=2026-01/part-0.csv", "exports/BILLING_PERIOD=2026-01/part-1.csv")
    assert report.accepted == 7


def test_columns_may_come_in_any_order_and_case_and_unknown_ones_are_kept(ledger: Ledger, tmp_path: Path) -> None:
    rows = [{name.lower() if name == "BilledCost" else name: value for name, value in row(x_Order='say "hi"', Id="7").items()}]
    ingest(ledger, write_csv(tmp_path / "a.csv", rows, columns=sorted(rows[0], reverse=True)))
    assert ledger.charges(columns=["extra"]).to_pylist() == [{"extra": '{"Id":"7","x_Order":"say \\"hi\\""}'}]


def test_column_order_does_not_make_another_row(ledger: Ledger, tmp_path: Path) -> None:
    names = list(ROWS[0])
    ingest(ledger, write_csv(tmp_path / "a.csv", ROWS, columns=names))
    report = ingest(ledger, write_csv(tmp_path / "b.csv", ROWS, columns=names[::-1]))
    assert (report.accepted, report.unchanged) == (0, 7)


def test_optional_value_that_cannot_be_read_is_kept_as_text_and_noted(ledger: Ledger, tmp_path: Path) -> None:
    report = ingest(ledger, write_csv(tmp_path / "a.csv", [row(ListCost="about 5", Tags="who knows"), row(ListCost="5")]))
    assert report.accepted == 2
    assert [note for note in report.notes if "kept as text" in note] == [
        "1 values of ListCost cannot be read as decimal and are kept as text in extra",
        "1 values of Tags cannot be read as json and are kept as text in extra",
    ]
    assert set(ledger.charges(columns=["extra"]).column("extra").to_pylist()) == {'{"ListCost":"about 5","Tags":"who knows"}', None}


def test_mandatory_columns_that_no_row_needs_are_a_note(ledger: Ledger, tmp_path: Path) -> None:
    report = ingest(ledger, as_csv(tmp_path))
    assert "PricingQuantity" in report.columns_missing
    assert "BilledCost" not in report.columns_missing
    assert any("FOCUS 1.0 demands" in note for note in report.notes)


@pytest.mark.parametrize(
    ("tags", "team"),
    [
        ('{"team": "search"}', "search"),
        ('{"Team": "search"}', "search"),
        ("{'TEAM': 'search', 'other': None, 'flag': True}", "search"),
        ('"team": "search","env": "prod"', "search"),
        ('{"team": ""}', "(none)"),
        ('{"team": null, "*": "x", "a/b": "y", "": "z"}', "(none)"),
        ("{}", "(none)"),
        ("NULL", "(none)"),
        (None, "(none)"),
        ('["team"]', "(none)"),
    ],
)
def test_team_is_read_from_tags_in_any_spelling(ledger: Ledger, tmp_path: Path, tags: str | None, team: str) -> None:
    ingest(ledger, write_csv(tmp_path / "a.csv", [row(Tags=tags)]))
    assert ledger.values("team") == [team]


def test_tags_as_struct_are_those_of_a_map_without_the_missing_keys(ledger: Ledger, tmp_path: Path) -> None:
    rows = [row(Tags={"team": "search", "env": None, "cost center": "a/b~c"})]
    ingest(ledger, write_parquet(tmp_path / "a.parquet", pa.Table.from_pylist(rows)))
    assert ledger.charges(columns=["Tags"]).to_pylist() == [{"Tags": '{"cost center":"a/b~c","team":"search"}'}]


def test_many_distinct_tags_are_read_as_few_are(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(Tags=json.dumps({"team": f"t{number % 3}", "n": number}), ResourceId=str(number)) for number in range(50)]
    path = write_csv(tmp_path / "a.csv", rows)
    ingest(ledger, path)
    monkeypatch.setattr("forecast.adapters.focus_objects.MOST_DISTINCT", 10)
    other = Ledger(tmp_path / "other" / "ledger")
    ingest(other, path)
    columns = ["team", "Tags", "identity"]
    assert ledger.charges(columns=columns).sort_by("identity") == other.charges(columns=columns).sort_by("identity")
    assert other.values("team") == ["t0", "t1", "t2"]


@pytest.mark.parametrize(
    ("changes", "dimension", "value"),
    [
        ({"Tags": None, "SubAccountName": "ads account"}, "team", "ads account"),
        ({"Tags": '{"environment": "Production"}'}, "stage", "prod"),
        ({"Tags": '{"stage": "QA"}'}, "stage", "test"),
        ({"Tags": '{"env": "Canary"}'}, "stage", "canary"),
        ({"RegionName": "Ireland"}, "region", "Ireland"),
        ({"RegionId": "eu-west-1", "RegionName": "Ireland"}, "region", "eu-west-1"),
        ({"SkuPriceDetails": '{"ModelId": "gpt-9"}'}, "ai_model", "gpt-9"),
        ({"x_ModelId": "claude-9"}, "ai_model", "claude-9"),
        ({"Tags": '{"model": "llama"}'}, "ai_model", "llama"),
        ({"SkuPriceId": "p1"}, "sku", "p1"),
        ({"ResourceName": "gpu box"}, "resource", "gpu box"),
        ({"SkuMeter": "input tokens"}, "meter", "input tokens"),
        ({"ChargeCategory": "usage"}, "charge_category", "Usage"),
        ({"Tags": '{"Workload": "chat"}'}, "workload", "chat"),
    ],
)
def test_dimensions_come_from_columns_and_tags(ledger: Ledger, tmp_path: Path, changes: dict[str, Any], dimension: str, value: str) -> None:
    ingest(ledger, write_csv(tmp_path / "a.csv", [row(**changes)]))
    assert ledger.values(dimension) == [value]


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-01-05", 0),
        ("2026-01-05 06:00:00", 6),
        ("2026-01-05T06:00:00Z", 6),
        ("2026-01-05T06:00:00+02:00", 4),
        ("2026-01-05T06:00:00.123456-0530", 11),
        ("2026-01-05 06:00:00 UTC", 6),
    ],
)
def test_times_with_and_without_zone_become_utc(ledger: Ledger, tmp_path: Path, text: str, hour: int) -> None:
    ingest(ledger, write_csv(tmp_path / "a.csv", [row(ChargePeriodStart=text, ChargePeriodEnd="2026-01-06T12:00:00Z")]))
    assert ledger.panel(freq="h")["ds"].tolist() == [moment(f"2026-01-05T{hour:02}:00:00").replace(tzinfo=None)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_parquet_times_of_any_unit_and_zone_become_utc(ledger: Ledger, tmp_path: Path, unit: str, zone: str | None) -> None:
    table = pa.Table.from_pylist([row()])
    for name, text in [("ChargePeriodStart", "2026-01-05T06:00"), ("ChargePeriodEnd", "2026-01-05T07:00")]:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array([moment(text).replace(tzinfo=None)]).cast(pa.timestamp(unit)).cast(pa.timestamp(unit, zone)))
    ingest(ledger, write_parquet(tmp_path / "a.parquet", table))
    assert ledger.panel(freq="h")["ds"].tolist() == [moment("2026-01-05T06:00").replace(tzinfo=None)]


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("1e-7", "0.0000001"),
        ("8.5E2", "850"),
        ("+3", "3"),
        (" 4.5 ", "4.5"),
        ("-2.000000000001", "-2.000000000001"),
        ("123456789012.123456789012", "123456789012.123456789012"),
    ],
)
def test_numbers_are_read_exactly(ledger: Ledger, tmp_path: Path, text: str, cost: str) -> None:
    assert ingest(ledger, write_csv(tmp_path / "a.csv", [row(EffectiveCost=text)])).effective_cost == Decimal(cost)


def test_floats_mean_the_number_that_they_show(ledger: Ledger, tmp_path: Path) -> None:
    values = [0.1, 58077093.318645, 190.12800000000001, 1e-7]
    table = pa.Table.from_pylist([row(EffectiveCost=value, BilledCost=value) for value in values])
    report = ingest(ledger, write_parquet(tmp_path / "a.parquet", table))
    assert report.effective_cost == sum(round(Decimal(str(value)), 12) for value in values)


BAD_ROWS = [
    ({"EffectiveCost": "abc"}, "EffectiveCost", "abc", "is not a finite number"),
    ({"EffectiveCost": "NaN"}, "EffectiveCost", "NaN", "is not a finite number"),
    ({"BilledCost": "-Infinity"}, "BilledCost", "-Infinity", "is not a finite number"),
    ({"BilledCost": "1e308"}, "BilledCost", "1e308", "is not a finite number"),
    ({"BilledCost": "1e16"}, "BilledCost", "1e16", "is too large"),
    ({"BilledCost": "1_000"}, "BilledCost", "1_000", "is not a finite number"),
    ({"BilledCost": "1,000"}, "BilledCost", "1,000", "may mean thousands or a decimal comma"),
    ({"BilledCost": None}, "BilledCost", None, "is missing"),
    ({"ServiceName": "   "}, "ServiceName", "   ", "is missing"),
    ({"ProviderName": "NULL"}, "ProviderName", None, "is missing"),
    ({"ChargePeriodEnd": "2026-01-05T00:00:00Z"}, "ChargePeriodEnd", "2026-01-05T00:00:00Z", "is not after ChargePeriodStart"),
    ({"ChargePeriodEnd": "2026-01-04T00:00:00Z"}, "ChargePeriodEnd", "2026-01-04T00:00:00Z", "is not after ChargePeriodStart"),
    (
        {"ChargePeriodStart": "5/1/25"},
        "ChargePeriodStart",
        "5/1/25",
        "may begin with the month or with the day, and the dates of the file do not decide which",
    ),
    ({"ChargePeriodStart": "infinity"}, "ChargePeriodStart", "infinity", "is not an ISO 8601 time"),
    ({"BillingPeriodStart": "soon"}, "BillingPeriodStart", "soon", "is not an ISO 8601 time"),
    ({"ChargeCategory": "Gift"}, "ChargeCategory", "Gift", "is not a charge category"),
    ({"BillingCurrency": "Dollars"}, "BillingCurrency", "Dollars", "is not a currency code"),
]


@pytest.mark.parametrize(("changes", "column", "value", "reason"), BAD_ROWS, ids=lambda value: str(value)[:30])
def test_row_that_cannot_be_counted_is_quarantined_and_the_others_are_in(
    ledger: Ledger, tmp_path: Path, changes: dict[str, Any], column: str, value: str | None, reason: str
) -> None:
    report = ingest(ledger, write_csv(tmp_path / "bill.csv", [ROWS[0], row(**changes), ROWS[1]]))
    assert (report.rows_read, report.accepted, report.quarantined) == (3, 2, 1)
    (rejected,) = report.reasons
    assert (rejected.file, rejected.line, rejected.column, rejected.value) == ("bill.csv", 3, column, value)
    assert reason in rejected.reason
    assert report.reason_counts == {f"{column} {reason}": 1}
    assert report.effective_cost == cost_sum(ROWS[:2])


def test_quarantined_rows_are_kept_whole_and_once(ledger: Ledger, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [*ROWS, row(BilledCost="abc", x_Note="näh")])
    ingest(ledger, path)
    again = ingest(ledger, path)
    assert (again.unchanged, again.quarantined) == (7, 1)
    (file,) = ledger.quarantine.folder.iterdir()
    (entry,) = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
    assert (entry["file"], entry["line"], entry["column"], entry["value"]) == ("bill.csv", 9, "BilledCost", "abc")
    assert entry["row"]["x_Note"] == "näh"


def test_report_names_a_hundred_rejected_rows_and_counts_all(ledger: Ledger, tmp_path: Path) -> None:
    report = ingest(ledger, write_csv(tmp_path / "bill.csv", [*ROWS, *[row(BilledCost=f"x{number}") for number in range(150)]]))
    assert (report.quarantined, len(report.reasons)) == (150, 100)
    assert report.reason_counts == {"BilledCost is not a finite number": 150}
    assert len(next(ledger.quarantine.folder.iterdir()).read_text().splitlines()) == 150


def test_nan_in_parquet_is_quarantined(ledger: Ledger, tmp_path: Path) -> None:
    rows = [row(EffectiveCost=value, BilledCost=1.0) for value in (1.5, float("nan"), float("inf"))]
    report = ingest(ledger, write_parquet(tmp_path / "a.parquet", pa.Table.from_pylist(rows)))
    assert (report.accepted, report.quarantined) == (1, 2)
    assert [rejected.value for rejected in report.reasons] == ["nan", "inf"]


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def text_file(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


HEADER = ",".join(focus.REQUIRED)
REFUSED: dict[str, tuple[Any, type[InputError], str]] = {
    "empty CSV": (lambda d: text_file(d / "a.csv", ""), DeliveryError, "a.csv is empty: it has 0 bytes"),
    "blank CSV": (lambda d: text_file(d / "a.csv", "\n\n"), DeliveryError, "a.csv is empty"),
    "header only": (lambda d: text_file(d / "a.csv", HEADER + "\n"), DeliveryError, "a header and no rows"),
    "empty gzip": (lambda d: text_file(d / "a.csv.gz", gzip.compress(b"")), DeliveryError, "is empty"),
    "empty list": (lambda d: text_file(d / "a.json", "[ ]"), DeliveryError, "is empty"),
    "empty Parquet": (lambda d: write_parquet(d / "a.parquet", focus_table(0)), DeliveryError, "is empty"),
    "column missing": (
        lambda d: write_csv(d / "a.csv", [{k: v for k, v in ROWS[0].items() if k != "BilledCost"}]),
        SchemaError,
        "a.csv lacks the column BilledCost",
    ),
    "column twice": (lambda d: text_file(d / "a.csv", HEADER + ",billedcost\n" + ",".join("123456789x") + "\n"), DeliveryError, "twice in the line"),
    "wrong type": (
        lambda d: write_csv(d / "a.csv", [row(BilledCost="ten"), row(BilledCost="two")]),
        SchemaError,
        "none of its 2 rows can be counted; line 2: BilledCost 'ten'",
    ),
    "only NaN": (lambda d: write_csv(d / "a.csv", [row(BilledCost="NaN")]), SpendDataError, "BilledCost 'NaN' is not a finite number"),
    "only reversed": (lambda d: write_csv(d / "a.csv", [row(ChargePeriodEnd="2025-01-01")]), SpendDataError, "is not after ChargePeriodStart"),
    "CSV cut in a line": (lambda d: cut(as_csv(d), 0.9), DeliveryError, "line 8 has"),
    "CSV cut in a quote": (lambda d: text_file(d / "a.csv", as_csv(d).read_text().rsplit('""', 1)[0]), DeliveryError, "quote"),
    "gzip cut": (lambda d: cut(as_csv_gz(d), 0.8), DeliveryError, "gzip stream ends early"),
    "gzip cut at the end": (lambda d: cut(as_csv_gz(d), 0.99), DeliveryError, "gzip stream ends early"),
    "Parquet cut": (lambda d: cut(as_text_parquet(d), 0.8), DeliveryError, "is cut off"),
    "JSON cut": (lambda d: cut(as_json(d), 0.8), DeliveryError, "malformed JSON"),
    "NDJSON cut": (lambda d: cut(as_ndjson(d), 0.95), DeliveryError, "malformed JSON"),
    "Parquet named CSV": (lambda d: as_text_parquet(d).rename(d / "a.csv"), DeliveryError, "a.csv is not text"),
    "CSV named Parquet": (lambda d: as_csv(d).rename(d / "a.parquet"), DeliveryError, "a.parquet is not Parquet"),
    "CSV named gzip": (lambda d: as_csv(d).rename(d / "a.csv.gz"), DeliveryError, "is not gzip"),
    "gzip named CSV": (lambda d: as_csv_gz(d).rename(d / "a.csv"), DeliveryError, "is not text"),
    "JSON named CSV": (lambda d: as_json(d).rename(d / "a.csv"), DeliveryError, "is not CSV"),
    "CSV named JSON": (lambda d: as_csv(d).rename(d / "a.json"), DeliveryError, "is not JSON"),
    "JSON of numbers": (lambda d: text_file(d / "a.json", "[1, 2]"), DeliveryError, "not objects"),
    "semicolons and no rows": (lambda d: text_file(d / "a.csv", HEADER.replace(",", ";") + "\n"), DeliveryError, "a header and no rows"),
    "Latin-1": (lambda d: text_file(d / "a.csv", as_csv(d).read_bytes().replace(b"Chat", b"Ch\xe4t")), DeliveryError, "UTF-8"),
    "UTF-16 without a mark": (lambda d: text_file(d / "a.csv", as_csv(d).read_text().encode("utf-16-le")), DeliveryError, "is not CSV"),
    "other ending": (lambda d: text_file(d / "a.xlsx", "x"), DeliveryError, "allowed are CSV"),
    "no such file": (lambda d: d / "nothing.csv", DeliveryError, "No such file or folder"),
    "folder without bills": (lambda d: d, DeliveryError, "holds no file"),
    "two currencies": (
        lambda d: write_csv(d / "a.csv", [ROWS[0], row(BillingCurrency="EUR")]),
        SpendDataError,
        "USD (a.csv, line 2), EUR (a.csv, line 3)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_delivery_is_refused_whole_with_the_place_and_what_is_allowed(ledger: Ledger, tmp_path: Path, name: str) -> None:
    make, kind, words = REFUSED[name]
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(kind) as refused:
        ingest(ledger, make(folder))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.allowed
    assert nothing_was_written(ledger)


def folder_with_a_bad_file(tmp_path: Path) -> Path:
    for number, values in enumerate(ROWS):
        write_csv(tmp_path / "in" / f"{number}.csv", [values])
    (tmp_path / "in" / "9.csv").write_text(HEADER + "\n1,2\n")
    (tmp_path / "in" / "notes.json").write_text('{"nothing": "here"}')
    return tmp_path / "in"


def test_bad_files_of_a_folder_are_named_and_kept_and_the_others_are_in(ledger: Ledger, tmp_path: Path) -> None:
    report = ingest(ledger, folder_with_a_bad_file(tmp_path))
    assert report.accepted == len(ROWS)
    first, second = report.bad_files
    assert first.startswith("in/notes.json: in/notes.json is not a bill that is known: got nothing")
    assert second.startswith("in/9.csv: in/9.csv cannot be read: line 2 has 2 fields")
    kept = [json.loads(line) for file in ledger.quarantine.folder.iterdir() for line in file.read_text().splitlines()]
    assert [Path(entry["path"]).name for entry in kept] == ["notes.json", "9.csv"]


def test_delivery_that_replaces_must_be_whole(ledger: Ledger, tmp_path: Path) -> None:
    folder = folder_with_a_bad_file(tmp_path)
    with pytest.raises(DeliveryError, match=r"2 of \d+ files cannot be read, and a delivery that replaces must be whole"):
        ledger.ingest([folder], received_at=moment("2026-06-01"), replace=True)
    assert nothing_was_written(ledger)


def test_delivery_in_another_currency_than_the_ledger_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    ingest(ledger, as_csv(tmp_path))
    before = ledger.digest()
    with pytest.raises(SpendDataError, match=r"got EUR \(b\.csv, line 2\), allowed is USD"):
        ingest(ledger, write_csv(tmp_path / "b.csv", [row(BillingCurrency="EUR")]))
    assert ledger.digest() == before


def test_last_line_without_line_end_is_noted(ledger: Ledger, tmp_path: Path) -> None:
    path = as_csv(tmp_path)
    path.write_text(path.read_text().rstrip("\n"))
    assert any("no line end" in note for note in ingest(ledger, path).notes)


def test_line_feeds_byte_order_mark_and_long_values_are_read(ledger: Ledger, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [row(ChargeDescription="two\nlines"), row(Tags=json.dumps({"team": "search", "blob": "x" * 3_000_000}))])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    report = ingest(ledger, path)
    assert report.accepted == 2
    assert ledger.values("team") == ["search"]


def test_file_names_with_quotes_and_wildcards_are_only_names(ledger: Ledger, tmp_path: Path) -> None:
    for name in ("it's [a] bill*.csv", "drop'; --.ndjson"):
        path = tmp_path / name
        write_csv(path, ROWS) if path.suffix == ".csv" else write_ndjson(path, ROWS)
        assert ingest(ledger, path).rows_read == 7


def test_column_names_with_quotes_are_only_names(ledger: Ledger, tmp_path: Path) -> None:
    name = "x_\"'; DROP TABLE staged; --"
    for path in (write_csv(tmp_path / "a.csv", [row(**{name: "v"})]), write_ndjson(tmp_path / "a.ndjson", [row(**{name: "v"})])):
        ingest(ledger, path)
    assert [json.loads(text) for text in ledger.charges(columns=["extra"]).column("extra").to_pylist()] == [{name: "v"}]


def test_nothing_is_left_in_the_staging_folder(ledger: Ledger, tmp_path: Path) -> None:
    ingest(ledger, as_csv(tmp_path))
    assert sorted(os.listdir(tmp_path / "home")) == [".ledger.lock", "ledger"]
