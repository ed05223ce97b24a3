"""Spend in and out: `forecast ingest`, `panel`; `generate` is in `company`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from forecast.commands.company import generate
from forecast.commands.console import CostOption, JsonOption, Progress, ScopeOption, counted, emit, line, money, table, working
from forecast.commands.home import Home
from forecast.errors import InputError


def register(app: typer.Typer) -> None:
    app.command("ingest", epilog="Example: forecast ingest bills/2026-10.csv.gz exports/ --source finance-bucket")(ingest)
    app.command("panel", epilog="Example: forecast panel --scope team=search --by service --freq W --out search.csv")(panel)
    app.command("generate", epilog="Example: forecast generate --seed 7 --days 548 --out company/")(generate)


def ingest(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="FOCUS 1.0 to 1.2 as CSV, CSV.gz or Parquet; files or folders.")],
    key: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column that names a row: a later row with its value replaces it.")] = None,
    as_received: Annotated[str | None, typer.Option(metavar="TIME", help="When the bill arrived, ISO 8601; default now.")] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Where the bills come from, for the log.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read bills into the ledger; the same file a second time changes nothing."""
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist", field="path", got=str(path), allowed="a file or folder that exists")
    received = read_moment(as_received, "--as-received")
    home = Home()
    home.make()
    with working("Ingesting") as progress:
        report = ingest_into(home, paths, key=key, received_at=received, source=source, progress=progress)
    emit(report, as_json, lambda: show_report(report, home.ledger.quarantine))


def ingest_into(
    home: Home, paths: Sequence[Path], *, key: str | None, received_at: datetime, source: str | None, progress: Progress
) -> dict[str, Any]:
    """Take in one delivery and enter it in the log of the records; gives back the report."""
    from forecast.adapters.records import IngestionRecord

    progress("reading", None)
    taken = home.ledger.ingest(paths, key=key, received_at=received_at, source=source, progress=counted(progress))
    report = taken.as_dict()
    counts = {name: report[name] for name in ("accepted", "unchanged", "superseded", "quarantined")}
    home.records.log_ingestion(
        IngestionRecord(
            delivery_id=taken.delivery_id, received_at=taken.received_at.replace(tzinfo=UTC), source=taken.source, report=report, **counts
        )
    )
    return report


def show_report(report: Mapping[str, Any], quarantine: Path | None) -> None:
    """Counts, the money that came in, and why rows were set aside."""
    counts = [[name, f"{report[name]:,}"] for name in ("rows_read", "accepted", "unchanged", "superseded", "quarantined")]
    table("Ingested" if report["accepted"] else "Nothing new", ["", "rows"], [[name.replace("_", " "), count] for name, count in counts])
    if report["accepted"]:
        days = f"{report['period_start'][:10]} to {report['period_end'][:10]}"
        line(f"{money(float(report['effective_cost']))} {report['currency']} effective, {money(float(report['billed_cost']))} billed, {days}")
    for reason, count in report["reason_counts"].items():
        line(f"quarantined {count:,}: {reason}")
    if report["quarantined"]:
        first = report["reasons"][0]
        line(f"first: {first['file']}, line {first['line']}, column {first['column']}, value {first['value']!r}; all are kept in {quarantine}")
    for text in report["notes"]:
        line(f"Note: {text}")
    line(f"Delivery {report['delivery_id']}")


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


def panel(
    scope: ScopeOption = "",
    by: Annotated[str, typer.Option(metavar="DIMENSIONS", help="One series for each of these, such as team,service.")] = "",
    freq: Annotated[str, typer.Option(metavar="FREQ", help="h, D, W or MS.")] = "D",
    cost: CostOption = "effective",
    as_of: Annotated[str | None, typer.Option(metavar="TIME", help="What was known then, ISO 8601.")] = None,
    start: Annotated[str | None, typer.Option(metavar="DATE", help="First day.")] = None,
    end: Annotated[str | None, typer.Option(metavar="DATE", help="First day that does not count.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write .csv or .parquet in place of standard output.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Spend as series: unique_id, ds, y. Without --out it is CSV on standard output."""
    from forecast.adapters.reports import PANEL_FILES, check_suffix, write_panel
    from forecast.spend.dimensions import parse_dimensions
    from forecast.spend.periods import parse_day
    from forecast.spend.scope import Scope

    home = Home()
    filtered, names = Scope.parse(scope), parse_dimensions(by)
    moment = None if as_of is None else read_moment(as_of, "--as-of")
    first = None if start is None else parse_day(start, "start")
    last = None if end is None else parse_day(end, "end")
    if first is not None and last is not None and last <= first:
        raise InputError(f"The period is reversed or empty: start {first}, end {last}", field="end", got=str(last), allowed=f"a day after {first}")
    if out is not None:
        check_suffix(out, PANEL_FILES)
    ledger = home.filled_ledger()
    frame = ledger.panel(filtered, names, freq, cost, moment, start=first, end=last)
    head = {"currency": ledger.currency, "cost": cost, "scope": str(filtered), "by": list(names), "freq": freq}
    if out is not None:
        write_panel(frame, out)
        document = {**head, "out": str(out), "rows": len(frame), "series": int(frame["unique_id"].nunique())}
        emit(document, as_json, lambda: line(f"{len(frame):,} rows of {document['series']:,} series written to {out}"))
        return
    if as_json:
        rows = frame.assign(ds=frame["ds"].dt.strftime("%Y-%m-%dT%H:%M:%S" if freq == "h" else "%Y-%m-%d")).to_dict("records")
        emit({**head, "rows": rows}, True, lambda: None)
    else:
        line(frame.to_csv(index=False, lineterminator="\n").rstrip("\n"))
