"""Bills in: `forecast ingest` and what belongs to it; `forecast compact` keeps the ledger's files in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.console import JsonOption, Progress, counted, emit, line, money, percent, table, working
from forecast.commands.home import Home
from forecast.errors import InputError

if TYPE_CHECKING:
    from forecast.adapters.formats.base import BillFormat
    from forecast.adapters.ingest_report import IngestReport

SET_ASIDE = 3
"""Exit code of an ingestion that took in what it could and put the rest into quarantine."""


def register(app: typer.Typer) -> None:
    app.command("ingest", epilog="Example: forecast ingest bills/2026-10.csv.gz exports/ --source finance-bucket")(ingest)
    app.command("compact", epilog="Example: forecast compact --keep-hours 24")(compact)


def ingest(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH…", help="Files or folders of CSV, JSON, NDJSON (or .gz), Parquet.")] = None,
    format: Annotated[str, typer.Option(metavar="NAME", help="focus, aws-cur, azure, openai-costs, …; auto looks at the content.")] = "auto",
    key: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column that names a row: a later row with its value replaces it.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="The delivery stands for all that its source said before about its periods.")] = False,
    covers: Annotated[str, typer.Option(metavar="WHAT", help="What --replace stands for: period, days, or auto: what its days say.")] = "auto",
    as_received: Annotated[str | None, typer.Option(metavar="TIME", help="When the bill arrived, ISO 8601; default now.")] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Whose word the bills are; equal rows of two sources both count.")] = None,
    also: Annotated[bool, typer.Option("--also", help="Take in a new source whose rows another one has said already; both count.")] = False,
    map: Annotated[Path | None, typer.Option(metavar="FILE", help="Mapping (TOML) of a table of your own.")] = None,
    prices: Annotated[Path | None, typer.Option(metavar="FILE", help="Price table (CSV) in place of the shipped list prices.")] = None,
    retry_quarantine: Annotated[bool, typer.Option("--retry-quarantine", help="Take in what was set aside and has been mended since.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and take in whatever comes into the folder PATH.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read bills into the ledger; the same file a second time changes nothing. Exit code 3: some rows or files are in quarantine."""
    if retry_quarantine:
        retry(paths, prices, map, as_json)
        return
    if not paths:
        raise InputError("Nothing to ingest: no path was given", field="path", got=None, allowed="at least one file or folder")
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist", field="path", got=str(path), allowed="a file or folder that exists")
    received = read_moment(as_received, "--as-received")
    home = Home()
    formats = known_formats(home, prices, map)
    home.make()
    named = "mapped" if map is not None and format == "auto" else format
    if watch:
        if len(paths) != 1 or not paths[0].is_dir() or key is not None or replace or also or as_received is not None:
            raise InputError(
                "--watch takes one folder, whose files say themselves how they are read",
                field="watch",
                got=[str(path) for path in paths],
                allowed="one folder without --key, --replace, --also and --as-received",
            )
        from forecast.commands.sources import watch_folder

        watch_folder(home, paths[0], format=named, source=source, formats=formats)
        return
    with working("Ingesting") as progress:
        report = ingest_into(
            home,
            paths,
            received_at=received,
            format=named,
            key=key,
            replace=replace,
            covers=covers,
            source=source,
            allow_overlap=also,
            formats=formats,
            progress=progress,
        )
    emit(report, as_json, lambda: show_report(report, home.ledger.quarantine.folder))
    if report["quarantined"] or report["bad_files"]:
        raise typer.Exit(SET_ASIDE)


def known_formats(home: Home, prices: Path | None, mapping: Path | None) -> Sequence[BillFormat]:
    """All formats, with the tables that the command line or the settings put in place of the shipped ones."""
    from forecast.adapters.formats.mapping import load_mapping
    from forecast.adapters.formats.pricing import load_prices
    from forecast.adapters.formats.registry import shipped_formats

    table_of_prices = prices or home.settings.prices
    return shipped_formats(None if table_of_prices is None else load_prices(table_of_prices), None if mapping is None else load_mapping(mapping))


def retry(paths: Sequence[Path] | None, prices: Path | None, mapping: Path | None, as_json: bool) -> None:
    """Take in the mended rows of quarantine, and the files that can be read now."""
    if paths:
        raise InputError(
            "--retry-quarantine takes no PATH: it reads the quarantine of the home",
            field="path",
            got=[str(path) for path in paths],
            allowed="no PATH",
        )
    home = Home()
    ledger = home.filled_ledger()
    with working("Ingesting") as progress:
        report = ledger.retry_quarantine(received_at=datetime.now(UTC), formats=known_formats(home, prices, mapping), progress=counted(progress))
    for taken in report.reports:
        log_delivery(home, taken)

    def show() -> None:
        left = report.quarantined + report.bad_files
        line(f"{report.accepted:,} mended rows were taken in, {report.unchanged:,} were in the ledger already, {left:,} rows and files still wait")
        if left:
            line(f"They are in {ledger.quarantine.folder}, each with its reason")

    emit(report.as_dict(), as_json, show)
    if not report.complete:
        raise typer.Exit(SET_ASIDE)


def ingest_into(
    home: Home,
    paths: Sequence[Path],
    *,
    received_at: datetime,
    progress: Progress,
    format: str = "auto",
    key: str | None = None,
    replace: bool = False,
    covers: str = "auto",
    source: str | None = None,
    allow_overlap: bool = False,
    formats: Sequence[BillFormat] | None = None,
) -> dict[str, Any]:
    """Take in one delivery and enter it in the log of the records; gives back the report."""
    progress("reading", None)
    taken = home.ledger.ingest(
        paths,
        received_at=received_at,
        format=format,
        key=key,
        replace=replace,
        covers=covers,
        source=source,
        allow_overlap=allow_overlap,
        formats=formats,
        progress=counted(progress),
    )
    return log_delivery(home, taken)


def log_delivery(home: Home, taken: IngestReport) -> dict[str, Any]:
    """Enter a delivery in the log; gives back its report as plain data."""
    from forecast.adapters.records import IngestionRecord

    report = taken.as_dict()
    counts = {name: report[name] for name in ("accepted", "unchanged", "superseded", "quarantined")}
    home.records.log_ingestion(
        IngestionRecord(
            delivery_id=taken.delivery_id, received_at=taken.received_at.replace(tzinfo=UTC), source=taken.source, report=report, **counts
        )
    )
    return report


def show_report(report: Mapping[str, Any], quarantine: Path | None) -> None:
    """Counts, the money that came in, what was taken as AI spend, and why rows were set aside."""
    for told in report["formats"]:
        line(f"Recognised {told}")
    names = ["rows_read", "accepted", "unchanged", "superseded", *(["withdrawn"] if report["withdrawn"] else []), "quarantined"]
    changed = report["accepted"] or report["withdrawn"]
    table("Ingested" if changed else "Nothing new", ["", "rows"], [[name.replace("_", " "), f"{report[name]:,}"] for name in names])
    if report["accepted"]:
        days = f"{report['period_start'][:10]} to {report['period_end'][:10]}"
        line(f"{money(float(report['effective_cost']))} {report['currency']} effective, {money(float(report['billed_cost']))} billed, {days}")
        _show_ai(report)
    for text in report["bad_files"]:
        line(f"not taken: {text}")
    for reason, count in report["reason_counts"].items():
        line(f"quarantined {count:,}: {reason}")
    if report["reasons"]:
        first = report["reasons"][0]
        line(f"first: {first['file']}, line {first['line']}, column {first['column']}, value {first['value']!r}; all are kept in {quarantine}")
    for text in report["notes"]:
        line(f"Note: {text}")
    line(f"Delivery {report['delivery_id']}")


def _show_ai(report: Mapping[str, Any]) -> None:
    ai, coverage = report["ai"], report["coverage"]
    if ai.get("effective_share") is not None:
        line(f"AI spend: {percent(ai['effective_share'])} of the bill, {ai['ai_rows']:,} of {ai['rows']:,} lines; ask for it with --scope ai=yes")
    if ai.get("left_out"):
        rows = [
            [item["provider"], item["service"], item["description"] or item["sku"], f"{item['rows']:,}", money(item["effective_cost"])]
            for item in ai["left_out"]
        ]
        table("Largest lines not taken as AI", ["provider", "service", "what", "rows", str(report["currency"])], rows, left=3)
    if coverage:
        line(f"Tagged: {', '.join(f'{name} {percent(part)}' for name, part in coverage.items())} of the money")


def compact(
    keep_hours: Annotated[float, typer.Option(min=0, metavar="HOURS", help="Files that nobody needs stay so long, for readers at work.")] = 24.0,
    as_json: JsonOption = False,
) -> None:
    """Make few large files of many small ones and remove what no state needs. What was known at any moment stays known."""
    home = Home()
    ledger = home.filled_ledger()
    with working("Compacting") as progress:
        progress("rewriting small files", None)
        document = ledger.compact(keep_hours=keep_hours)
    before, after, removed = (f"{document[name]:,}" for name in ("files_before", "files_after", "removed"))
    emit(document, as_json, lambda: line(f"{before} files are now {after}; {removed} were removed"))


def read_moment(text: str | None, option: str) -> datetime:
    """A moment in UTC; without text it is now, without a zone it is UTC."""
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        allowed = "ISO 8601 such as 2026-11-01 or 2026-11-01T06:00:00Z"
        raise InputError(f"{option} is not a time: got {text!r}, allowed is {allowed}", field=option.lstrip("-"), got=text, allowed=allowed) from None
