"""Spend out: `forecast panel`, and `generate`, which is in `company`. Bills in are in `ingest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forecast.commands.company import generate
from forecast.commands.console import CostOption, JsonOption, ScopeOption, emit, line, note
from forecast.commands.home import Home
from forecast.commands.ingest import read_moment
from forecast.errors import InputError


def register(app: typer.Typer) -> None:
    app.command("panel", epilog="Example: forecast panel --scope team=search --by service --freq W --out search.csv")(panel)
    app.command("generate", epilog="Example: forecast generate --seed 7 --days 548 --out company/")(generate)


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
    rates = frame.attrs.get("rates", [])
    head = {"currency": ledger.currency, "cost": cost, "scope": str(filtered), "by": list(names), "freq": freq, "rates": rates}
    if not as_json:
        for rate in rates:
            note(f"forecast: in {head['currency']}: {rate['sentence']}")
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
