"""What spend follows: `forecast drivers import`, `list`, `remove`."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.console import JsonOption, emit, line, table
from forecast.commands.files import read_text
from forecast.commands.home import Home
from forecast.errors import InputError, SchemaError

if TYPE_CHECKING:
    import pandas as pd

drivers = typer.Typer(help="Drivers: requests, users, GPUs or prices that spend follows, as they were and as they are planned.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(drivers, name="drivers")


@drivers.command("import", epilog="Example: forecast drivers import requests.csv --name 'search requests' --scope team=search --unit requests")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV: ds, value (+ name, low, high, known_from, period, scope, unit, kind).")],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of the driver, where the file has no column name.")] = None,
    scope: Annotated[str | None, typer.Option(metavar="SCOPE", help="Whose spend follows it, such as team=search; default the company.")] = None,
    unit: Annotated[str | None, typer.Option(metavar="WORD", help="For people: requests, users, USD per million tokens.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="WORD", help="volume, users, requests, tokens_per_request, gpus, price or other.")] = None,
    known_on: Annotated[str | None, typer.Option(metavar="DATE", help="When the plan in the file was made; default today, for backtests.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take in history and plan of drivers; what was given before stays known, and the next `forecast train` uses it."""
    import pandas as pd

    from forecast.spend.drivers import describe, read_drivers
    from forecast.spend.periods import parse_day

    now, home = datetime.now(UTC), Home()
    day = now.date() if known_on is None else parse_day(known_on, "known_on")
    try:
        found = read_drivers(read_frame(file), known_on=pd.Timestamp(day), name=name, scope=scope, unit=unit, kind=kind)
    except InputError as error:
        raise type(error)(f"{file}: {error}", field=error.field, got=error.got, allowed=error.allowed) from None
    home.make()
    stamp = datetime(day.year, day.month, day.day, tzinfo=UTC)
    written = [home.records.put_driver(driver, now=stamp if known_on is not None else now) for driver in found]
    warnings = [text for driver in found if (text := _scope_problem(home, driver.scope)) is not None]
    document = {
        "added": sum(new for _, new in written),
        "extended": sum(not new for _, new in written),
        "drivers": [describe(driver) for driver, _ in written],
        "warnings": warnings,
    }

    def show() -> None:
        for driver, new in written:
            line(f"Driver {driver.name}: {'new' if new else 'extended'}, {driver.first_day:%Y-%m-%d} to {driver.last_day:%Y-%m-%d}")
        for text in warnings:
            line(f"Note: {text}")

    emit(document, as_json, show)


@drivers.command("list", epilog="Example: forecast drivers list --json")
def show_all(as_json: JsonOption = False) -> None:
    """List all drivers, and what the current forecast makes of them."""
    from forecast.spend.drivers import describe

    home = Home()
    stored = home.records.drivers() if home.has_records else []
    used = _in_forecast(home)

    def show() -> None:
        if not stored:
            line("No drivers yet: forecast drivers import requests.csv --name requests --scope team=…")
            return
        rows = []
        for driver in stored:
            one = used.get(driver.name)
            elasticity = "–" if one is None or one["value"] is None else f"{one['value']:.2f} ({one['low']:.2f} to {one['high']:.2f})"
            saved = ["–" if one is None or not one[key] else f"{100 * one[key]:.0f} %" for key in ("gain", "gain_if_known")]
            days = [f"{day:%Y-%m-%d}" for day in (driver.first_day, driver.last_day)]
            rows.append([driver.name, str(driver.scope) or "company", driver.unit, driver.kind, *days, elasticity, *saved])
        table("Drivers", ["name", "scope", "unit", "kind", "from", "to", "elasticity", "error saved", "were it known"], rows, left=4)
        notes: dict[str, list[str]] = {}
        for driver in stored:
            if text := used.get(driver.name, {}).get("note"):
                notes.setdefault(text, []).append(driver.name)
        for text, names in notes.items():
            line(f"Note: {text}: {', '.join(names)}")

    emit({"drivers": [{**describe(driver), "forecast": used.get(driver.name)} for driver in stored]}, as_json, show)


@drivers.command("remove", epilog="Example: forecast drivers remove 'search requests'")
def remove(name: Annotated[str, typer.Argument(metavar="NAME")], as_json: JsonOption = False) -> None:
    """Remove a driver with all its values."""
    home = Home()
    if not home.has_records:
        raise InputError(
            f"No driver is called {name!r}: there are none in {home.folder}", field="name", got=name, allowed="a name of the list of drivers"
        )
    home.records.delete_driver(name)
    emit({"removed": name}, as_json, lambda: line(f"Driver {name} is removed; the next forecast train leaves it out"))


def read_frame(path: Path) -> pd.DataFrame:
    """The file's rows as text; columns in lower case."""
    import pandas as pd

    reader = csv.reader(io.StringIO(read_text(path, "file")), skipinitialspace=True, strict=True)
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise SchemaError(f"{path}, line {reader.line_num}: not CSV: {error}", field="file", got=str(path), allowed="CSV") from None
    header = [name.strip().lower() for name in rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise SchemaError(
                f"{path}, line {number}: it has {len(row)} fields and the header {len(header)}; a scope with a comma stands in quotes",
                field="file",
                got=number,
                allowed=f"{len(header)} fields",
            )
    frame = pd.DataFrame([[cell.strip() for cell in row] for row in rows[1:]], columns=header, dtype=object)
    return frame.mask(frame == "", None)


def _in_forecast(home: Home) -> dict[str, dict[str, Any]]:
    """What the current snapshot says of its drivers, by name; nothing where there is none."""
    record = home.records.latest_snapshot() if home.has_records else None
    if record is None:
        return {}
    return {str(one["driver"]): dict(one) for one in home.snapshots.open(record.id).meta.get("drivers", [])}


def _scope_problem(home: Home, scope: Any) -> str | None:
    """Why a driver's scope will not be used, where the current snapshot tells; a scope may also come to be later."""
    record = home.records.latest_snapshot() if home.has_records else None
    if record is None:
        return None
    hierarchy = home.snapshots.open(record.id).hierarchy
    if not hierarchy.covers(scope):
        return f"scope {scope} is finer than the leaves ({', '.join(hierarchy.dimensions)}); the driver is kept and not used"
    try:
        hierarchy.leaf_mask(scope)
    except InputError as error:
        return f"{error}; the driver is kept and used once there is"
    return None
