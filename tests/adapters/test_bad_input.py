"""Files as they come from people and systems: read where one can, told line by line where not, refused where they are cut off."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters.formats.mapping import parse_mapping
from forecast.adapters.formats.registry import shipped_formats
from forecast.adapters.ingest_report import IngestReport
from forecast.adapters.ledger import Ledger
from forecast.errors import DeliveryError, InputError
from tests.adapters.ledger_rows import Row, cost_sum, moment, row, write_csv, write_ndjson

NOW = moment("2026-06-01")
ROWS = [row(ResourceId=f"r{number}", EffectiveCost=f"{number}.25") for number in range(1, 8)]
NAMES = list(ROWS[0])


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "home" / "ledger")


def ingest(ledger: Ledger, *paths: Path, **options: Any) -> IngestReport:
    report = ledger.ingest(paths, received_at=NOW, **options)
    assert report.rows_read == report.accepted + report.unchanged + report.quarantined + report.repeated
    return report


def waiting(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(text) for file in ledger.quarantine.files() for text in file.read_text(encoding="utf-8").splitlines()]


def resources(ledger: Ledger) -> list[str]:
    return sorted(ledger.charges(columns=["resource"]).column("resource").to_pylist())


def csv_text(rows: Sequence[Row] = ROWS, names: Sequence[str] = NAMES, **dialect: Any) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, **{"lineterminator": "\n"} | dialect)
    writer.writerow(names)
    writer.writerows([values.get(name) for name in names] for values in rows)
    return text.getvalue()


def line(values: Row = ROWS[0]) -> str:
    return csv_text([values]).splitlines()[1]


def written(path: Path, text: str | bytes) -> Path:
    content = text.encode() if isinstance(text, str) else text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


# Written otherwise, and read


@pytest.mark.parametrize(("mark", "words"), [(";", "semicolons"), ("\t", "tabs"), ("|", "strokes")])
@pytest.mark.parametrize("name", ["bill.csv", "bill.csv.gz"])
def test_other_separators_are_recognised_from_the_header_and_noted(ledger: Ledger, tmp_path: Path, mark: str, words: str, name: str) -> None:
    rows = [*ROWS, row(ResourceId="a,b;c|d", ChargeDescription="x,y;z")]
    report = ingest(ledger, written(tmp_path / name, csv_text(rows, [*NAMES, "ChargeDescription"], delimiter=mark)))
    assert (report.accepted, report.effective_cost) == (8, cost_sum(rows))
    assert f"{name}: its columns are separated by {words}" in report.notes
    assert "a,b;c|d" in resources(ledger)


def test_marks_inside_of_quoted_names_do_not_count_as_separators(ledger: Ledger, tmp_path: Path) -> None:
    rows = [{**values, "x_a;b;c;d;e;f;g;h;i;j;k;l;m;n": "1"} for values in ROWS]
    assert ingest(ledger, written(tmp_path / "a.csv", csv_text(rows, list(rows[0]), quoting=csv.QUOTE_ALL))).accepted == 7


@pytest.mark.parametrize("top", ["sep=;\n", "\n\n", "sep=;\r\n\r\n"], ids=repr)
def test_lines_before_the_header_are_passed_over_and_counted(ledger: Ledger, tmp_path: Path, top: str) -> None:
    text = csv_text([*ROWS, row(BilledCost="much")], delimiter=";" if "sep" in top else ",", lineterminator="\r\n" if "\r" in top else "\n")
    report = ingest(ledger, written(tmp_path / "a.csv", top + text))
    assert (report.accepted, report.quarantined) == (7, 1)
    assert report.reasons[0].line == 9 + top.count("\n")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("name", ["bill.csv", "bill.csv.gz"])
def test_byte_order_marks_say_the_encoding(ledger: Ledger, tmp_path: Path, encoding: str, name: str) -> None:
    mark = "\ufeff" if encoding[-2:] in ("be", "le") else ""
    rows = [row(ResourceId="größe 漢字"), *ROWS]
    report = ingest(ledger, written(tmp_path / name, (mark + csv_text(rows)).encode(encoding)))
    assert (report.accepted, report.quarantined) == (8, 0)
    assert "größe 漢字" in resources(ledger)


@pytest.mark.parametrize(
    "text",
    [
        csv_text(lineterminator="\r\n"),
        csv_text(lineterminator="\r"),
        csv_text().replace("r3\n", "r3\r\n").replace("r5\n", "r5\r\n"),
        csv_text().replace("\n", "\r\n").replace("r3\r\n", "r3\n"),
        csv_text().replace("r3\n", "r3\r").replace("r5\n", "r5\r\n"),
        csv_text().replace("r3\n", "r3\n\n\n") + "\n\n",
        csv_text().replace("r3\n", "r3\n  \n"),
        csv_text(quoting=csv.QUOTE_ALL).replace('"Chat"', "Chat"),
    ],
    ids=["CRLF", "CR", "some CRLF", "some LF", "all three", "blank lines", "lines of blanks", "quotes here and there"],
)
def test_line_ends_and_quotes_of_several_kinds_are_read(ledger: Ledger, tmp_path: Path, text: str) -> None:
    report = ingest(ledger, written(tmp_path / "a.csv", text))
    assert (report.accepted, report.quarantined, report.effective_cost) == (7, 0, cost_sum(ROWS))


def test_headers_of_files_that_were_put_together_are_read_once_and_noted(ledger: Ledger, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", csv_text(ROWS[:3]) + "\ufeff" + csv_text(ROWS[3:5]) + csv_text([*ROWS[5:], row(BilledCost="much")]))
    report = ingest(ledger, path)
    assert (report.rows_read, report.accepted, report.quarantined) == (8, 7, 1)
    assert report.reasons[0].line == 11
    assert "a.csv: the header stands there 3 times and was read once" in report.notes


def test_header_with_other_columns_in_the_middle_is_refused_because_amounts_would_change_places(ledger: Ledger, tmp_path: Path) -> None:
    turned = [NAMES[1], NAMES[0], *NAMES[2:]]
    for name, second in [("order.csv", turned), ("more.csv", [*NAMES, "x_More"])]:
        with pytest.raises(DeliveryError, match="line 9 is a header with other columns than the first one"):
            ingest(ledger, written(tmp_path / name, csv_text() + csv_text(ROWS[:1], second)))
    assert ledger.is_empty


def test_column_that_is_there_twice_is_read_where_both_say_the_same_or_one_says_nothing(ledger: Ledger, tmp_path: Path) -> None:
    first, second, third, fourth = (line(values) for values in ROWS[:4])
    text = csv_text([]).strip() + f",billedcost,ResourceId\n{first},10.5,r1\n{second},,\n{third},10.50,r3\n{fourth},10.5,r5\n"
    report = ingest(ledger, written(tmp_path / "a.csv", text))
    assert (report.accepted, report.quarantined) == (2, 2)
    assert [(each.line, each.column, each.value) for each in report.reasons] == [
        (4, "BilledCost", "10.5 | 10.50"),
        (5, "ResourceId", "r4 | r5"),
    ]
    assert "is said twice in the line, and differently" in report.reasons[0].reason
    assert "a.csv: has BilledCost, ResourceId more than once; rows in which all say the same, or one alone says something, were read" in report.notes
    assert ledger.charges(columns=["extra"]).column("extra").to_pylist() == [None, None]


# Lines that cannot be read


def test_lines_with_too_few_or_too_many_fields_are_told_and_the_others_are_in(ledger: Ledger, tmp_path: Path) -> None:
    lines = csv_text().splitlines()
    lines[3] += ",one more"
    lines.insert(5, "10.5,10.25")
    report = ingest(ledger, written(tmp_path / "a.csv", "\n".join(lines) + "\n"))
    assert (report.rows_read, report.accepted, report.quarantined) == (8, 6, 2)
    assert report.effective_cost == cost_sum([*ROWS[:2], *ROWS[3:]])
    first, second = waiting(ledger)
    assert (first["file"], first["line"], first["column"], first["row"]) == ("a.csv", 4, "line", lines[3])
    assert "has 13 fields and the header has 12" in first["reason"]
    assert (second["line"], second["value"], second["row"]) == (6, "10.5,10.25", "10.5,10.25")
    assert "'10.5,10.25' has 2 fields and the header has 12" in second["reason"]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_lines_that_are_not_utf_8_are_told_with_their_column_and_bytes(ledger: Ledger, tmp_path: Path, name: str) -> None:
    content = csv_text([*ROWS, row(ResourceId="größe"), row(ResourceId="maß")]).encode()
    content = content.replace("größe".encode(), "größe".encode("latin-1"))
    report = ingest(ledger, written(tmp_path / name, content))
    assert (report.accepted, report.quarantined) == (8, 1)
    (entry,) = waiting(ledger)
    assert (entry["line"], entry["column"], entry["value"]) == (9, "ResourceId", "gr\\xf6\\xdfe")
    assert "is not UTF-8 text" in entry["reason"]
    assert entry["row"]["ResourceId"] == "gr\\xf6\\xdfe"
    assert "maß" in resources(ledger)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ('"never closed', "opens a quote that is never closed"),
        ('"5" pipe"', "opens a quote that is never closed"),
        ('"a "b" c"', "has a quote that does not match"),
        ('"a \\"b\\" c"', "has a quote that does not match"),
    ],
)
def test_quote_that_does_not_match_costs_its_own_line_only(ledger: Ledger, tmp_path: Path, broken: str, words: str) -> None:
    text = csv_text([*ROWS[:3], row(ResourceId="broken"), *ROWS[3:], row(ResourceId="two\nlines"), row(ResourceId='5" pipe')]).replace(
        "broken", broken
    )
    report = ingest(ledger, written(tmp_path / "a.csv", text))
    assert (report.accepted, report.quarantined) == (9, 1)
    assert (report.reasons[0].line, report.reasons[0].column) == (5, "line")
    assert words in report.reasons[0].reason
    assert {"two\nlines", '5" pipe'} < set(resources(ledger))


def test_bad_lines_and_bad_rows_of_a_file_are_told_in_the_order_of_the_file(ledger: Ledger, tmp_path: Path) -> None:
    lines = csv_text([*ROWS, row(BilledCost="NaN"), row(BilledCost="1e308")]).splitlines()
    lines.insert(2, "1,2")
    lines.insert(9, "1,2,3")
    report = ingest(ledger, written(tmp_path / "a.csv", "\n".join(lines) + "\n"))
    assert (report.accepted, report.quarantined) == (7, 4)
    assert [(each.line, each.column) for each in report.reasons] == [(3, "line"), (10, "line"), (11, "BilledCost"), (12, "BilledCost")]
    assert sum(report.reason_counts.values()) == 4


def test_file_of_nothing_but_bad_lines_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="line 2 has 2 fields and the header has 12, and no other line can be read"):
        ingest(ledger, written(tmp_path / "a.csv", csv_text([]) + "1,2\n3,4\n"))


def test_many_files_with_bad_lines_keep_their_own_lines(ledger: Ledger, tmp_path: Path) -> None:
    for number, values in enumerate(ROWS):
        written(tmp_path / "in" / f"{number}.csv", csv_text([values]) + ("1,2\n" if number % 2 else ""))
    report = ingest(ledger, tmp_path / "in")
    assert (report.accepted, report.quarantined, report.bad_files) == (7, 3, ())
    assert [(each.file, each.line) for each in report.reasons] == [(f"in/{number}.csv", 3) for number in (1, 3, 5)]


CUT: dict[str, Callable[[bytes], bytes]] = {
    "in a line": lambda content: content[: int(len(content) * 0.9)],
    "in a quote": lambda content: content.rsplit(b'""', 1)[0],
    "behind a bad line": lambda content: content.replace(b"\n", b"\n1,2\n", 1)[:-40],
    "in Latin-1": lambda content: content.replace(b"Chat", b"Ch\xe4t", 1)[:-40],
}


@pytest.mark.parametrize("cut", CUT)
def test_file_that_ends_in_the_middle_of_a_line_is_refused_whole(ledger: Ledger, tmp_path: Path, cut: str) -> None:
    with pytest.raises(DeliveryError, match="it is cut off"):
        ingest(ledger, written(tmp_path / "a.csv", CUT[cut](csv_text().encode())))
    assert ledger.is_empty
    assert not ledger.quarantine.files()


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_gzip_that_is_cut_off_is_refused_also_where_a_line_before_is_bad(ledger: Ledger, tmp_path: Path, share: float) -> None:
    generous = [row(ResourceId=os.urandom(16).hex()) for _ in range(5000)]
    path = written(tmp_path / "a.csv.gz", csv_text(generous).replace("\n", "\n1,2\n", 1))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DeliveryError, match="the gzip stream ends early"):
        ingest(ledger, path)
    assert ledger.is_empty


def test_line_of_ndjson_that_is_malformed_costs_that_line_only(ledger: Ledger, tmp_path: Path) -> None:
    path = write_ndjson(tmp_path / "a.ndjson", [*ROWS[:3], row(BilledCost="much"), *ROWS[3:]])
    lines = path.read_text().splitlines()
    lines.insert(1, lines[0][:-20])
    report = ingest(ledger, written(path, "\n".join(lines) + "\n"))
    assert (report.rows_read, report.accepted, report.quarantined) == (9, 7, 2)
    assert [(each.line, each.column) for each in report.reasons] == [(2, "line"), (5, "BilledCost")]
    assert "is malformed JSON" in report.reasons[0].reason
    assert waiting(ledger)[0]["row"] == lines[1]


def test_ndjson_that_ends_in_the_middle_of_a_line_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    path = write_ndjson(tmp_path / "a.ndjson", ROWS)
    with pytest.raises(DeliveryError, match="cut off"):
        ingest(ledger, written(path, path.read_text()[:-30]))
    assert ledger.is_empty


# Values


@pytest.mark.parametrize("write", [write_csv, write_ndjson], ids=["CSV", "NDJSON"])
def test_ten_megabytes_of_tags_are_read_and_reports_stay_short(ledger: Ledger, tmp_path: Path, write: Any) -> None:
    large = json.dumps({"team": "search", "blob": "ä" * 5_000_000})
    rows = [row(Tags=large), row(Tags=large, BilledCost="x" * 1_000_000), *ROWS]
    report = ingest(ledger, write(tmp_path / f"a.{'csv' if write is write_csv else 'ndjson'}", rows))
    assert (report.accepted, report.quarantined) == (8, 1)
    assert len(json.dumps(report.as_dict())) < 20_000
    (entry,) = waiting(ledger)
    assert entry["row"]["BilledCost"] == "x" * 1_000_000
    assert json.loads(entry["row"]["Tags"])["blob"] == "ä" * 5_000_000


def test_thousands_separators_say_one_thing_or_go_to_quarantine(ledger: Ledger, tmp_path: Path) -> None:
    read = {"$1,234.50": "1234.50", "1,234,567": "1234567", "(12.50)": "-12.50", " 7 ": "7"}
    unread = ["1,234", "1.234,50", "1_000", "1e308", "-1e308", "NaN", "Infinity", "12 apples", "1e16"]
    rows = [row(EffectiveCost=text, BilledCost="1") for text in (*read, *unread)]
    report = ingest(ledger, write_csv(tmp_path / "a.csv", rows))
    assert report.effective_cost == sum(Decimal(text) for text in read.values())
    assert [each.value for each in report.reasons] == unread
    assert {each.column for each in report.reasons} == {"EffectiveCost"}


@pytest.mark.parametrize("decided", [True, False], ids=["decided", "ambiguous"])
def test_dates_in_three_forms_in_one_column_are_read_where_they_say_one_thing(ledger: Ledger, tmp_path: Path, decided: bool) -> None:
    day = "1/17/2026" if decided else "1/1/2026"
    starts = ["2026-01-05T00:00:00Z", day, "1/5/2026", "1767571200"]
    rows = [row(ChargePeriodStart=start, ChargePeriodEnd="2026-02-01", ResourceId=f"r{number}") for number, start in enumerate(starts)]
    report = ingest(ledger, write_csv(tmp_path / "a.csv", rows))
    refused = {each.value: each.reason for each in report.reasons}
    assert set(refused) == ({"1767571200"} if decided else {"1/5/2026", "1767571200"})
    assert "is not an ISO 8601 time" in refused["1767571200"]
    if not decided:
        assert "may begin with the month or with the day" in refused["1/5/2026"]
    assert report.accepted == 4 - len(refused)


LONG = ["123456789012345.123456789012", "0.123456789012", "-999999999999999.999999999999", "12345678.123456789", "1e-7"]


@pytest.mark.parametrize("layout", ["lines", "list"])
def test_amounts_in_json_keep_their_digits(ledger: Ledger, tmp_path: Path, layout: str) -> None:
    texts = [
        json.dumps(row(EffectiveCost=0, Tags={"team": "search", "n": 0.5})).replace('"EffectiveCost": 0', f'"EffectiveCost": {text}') for text in LONG
    ]
    path = written(tmp_path / "a.json", "\n".join(texts) if layout == "lines" else f"[{','.join(texts)}]")
    report = ingest(ledger, path)
    assert report.effective_cost == sum(Decimal(text) for text in LONG)
    assert ledger.values("team") == ["search"]


def test_numbers_in_texts_and_deep_in_objects_of_json_stay_as_they_are(ledger: Ledger, tmp_path: Path) -> None:
    note = 'say "x": 123456789012345.123456789012, \\ {"a": 1234567890123456.5}'
    values = row(x_Note=note, x_Deep={"amount": "#"}, EffectiveCost="#")
    ingest(ledger, written(tmp_path / "a.ndjson", json.dumps(values).replace('"#"', "123456789012345.123456789012") + "\n"))
    (text,) = ledger.charges(columns=["extra"]).column("extra").to_pylist()
    assert json.loads(text)["x_Note"] == note
    assert "123456789012345.123456789012" in json.loads(text)["x_Deep"]


def test_json_numbers_that_are_none_go_to_quarantine(ledger: Ledger, tmp_path: Path) -> None:
    texts = [json.dumps(row(EffectiveCost="#")).replace('"#"', text) for text in ("1.5", "NaN", "-Infinity", "1e308", "1e400", "true", "null", "{}")]
    report = ingest(ledger, written(tmp_path / "a.ndjson", "\n".join(texts) + "\n"))
    assert (report.accepted, report.quarantined) == (1, 7)
    assert {each.column for each in report.reasons} == {"EffectiveCost"}


# Files


def test_one_bad_file_among_a_hundred_is_told_and_the_others_are_in(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for number in range(100):
        write_csv(folder / f"{number:03}.csv", [row(ResourceId=f"r{number}", EffectiveCost=f"{number}.5")])
    bad = written(folder / "050.csv", b"PAR1 this is not what it says")
    report = ingest(ledger, folder)
    assert report.accepted == 99
    (words,) = report.bad_files
    assert words.startswith("in/050.csv: ")
    (entry,) = waiting(ledger)
    assert (entry["path"], entry["file"]) == (str(bad), "in/050.csv")
    assert entry["reason"] in words


@pytest.mark.parametrize("change", ["grows", "goes", "is replaced"])
def test_file_that_changes_while_it_is_read_is_refused_by_its_name(ledger: Ledger, tmp_path: Path, change: str) -> None:
    first, second = (write_csv(tmp_path / name, ROWS) for name in ("a.csv", "b.csv"))

    def changed(done: int, of: int, what: str) -> None:
        if not what.startswith("reading"):
            return
        if change == "grows":
            with second.open("a") as stream:
                stream.write(line() + "\n")
        elif change == "goes":
            second.unlink()
        else:
            second.write_text(csv_text([*ROWS, *ROWS]))

    with pytest.raises(InputError, match=r"b\.csv"):
        ingest(ledger, first, second, progress=changed)
    assert ledger.is_empty


def test_files_of_one_name_in_two_folders_are_two_files(ledger: Ledger, tmp_path: Path) -> None:
    paths = [write_csv(tmp_path / name / "bill.csv", rows) for name, rows in [("a", ROWS[:4]), ("b", [*ROWS[3:], row(BilledCost="much")])]]
    report = ingest(ledger, *paths)
    assert report.files == tuple(str(path) for path in paths)
    assert (report.rows_read, report.accepted, report.unchanged, report.quarantined) == (9, 7, 1, 1)
    assert (report.reasons[0].file, report.reasons[0].line) == (str(paths[1]), 6)


# A table of one's own


def mapped(text: str) -> tuple[Any, ...]:
    return shipped_formats(mapping=parse_mapping(text, "ours.toml"))


MAPPING = """
[columns]
BilledCost = "Betrag"
ServiceName = "Größe"
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


@pytest.mark.parametrize("mark", [";", "\\t", "|"])
@pytest.mark.parametrize("encoding", ["windows-1252", "utf-16", "utf-8"])
def test_mapping_says_separator_and_encoding(ledger: Ledger, tmp_path: Path, mark: str, encoding: str) -> None:
    text = "Betrag;Größe;Tag\n1.234,50;müde, alt;2026-01-05\n1,5;|;2026-01-06\n".replace("|", "x").replace(";", mark.replace("\\t", "\t"))
    path = written(tmp_path / "a.csv", text.encode(encoding))
    formats = mapped(MAPPING + f'[file]\ndelimiter = "{mark}"\nencoding = "{encoding}"\n')
    report = ingest(ledger, path, formats=formats)
    assert (report.accepted, report.billed_cost) == (2, Decimal("1236.00"))
    assert ledger.values("service") == ["müde, alt", "x"]


def test_header_that_is_not_utf_8_needs_a_mapping_that_says_what_it_is(ledger: Ledger, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "Betrag;Größe;Tag\n1,5;a;2026-01-05\n".encode("windows-1252"))
    with pytest.raises(DeliveryError, match="header that is not UTF-8") as refused:
        ingest(ledger, path, formats=mapped(MAPPING))
    assert "mapping file" in str(refused.value.allowed)


@pytest.mark.parametrize("section", ['delimiter = ";;"', 'encoding = "klingon"', 'separator = ";"'])
def test_mapping_with_an_unknown_separator_or_encoding_is_refused(section: str) -> None:
    with pytest.raises(InputError, match=r"ours\.toml, line \d+: \[file\]"):
        mapped(MAPPING + f"[file]\n{section}\n")


def test_long_numbers_of_json_have_a_point_whatever_the_mapping_says_of_text(ledger: Ledger, tmp_path: Path) -> None:
    text = '{"Betrag": 12345678901234.123456789012, "Größe": "a", "Tag": "2026-01-05"}\n{"Betrag": "1.234,5", "Größe": "b", "Tag": "2026-01-05"}\n'
    report = ingest(ledger, written(tmp_path / "a.ndjson", text), formats=mapped(MAPPING))
    assert report.billed_cost == Decimal("12345678901234.123456789012") + Decimal("1234.5")
