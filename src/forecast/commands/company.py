"""`forecast generate`: a made-up company in a folder, its possible futures, its bills as they came in, or a heap of rows for load tests."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.console import JsonOption, Progress, emit, line, working
from forecast.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from forecast.company.futures import Futures
    from forecast.company.generate import Company


def generate(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write to; an earlier company's files there are replaced.")],
    seed: Annotated[int, typer.Option(help="Another seed is another company.")] = 7,
    days: Annotated[int, typer.Option(help="Days of spend.")] = 548,
    teams: Annotated[int, typer.Option(help="Teams.")] = 8,
    hourly: Annotated[bool, typer.Option("--hourly", help="Charge periods of an hour; up to 24 times as many rows.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="focus.csv.gz in place of focus.parquet.")] = False,
    futures: Annotated[int | None, typer.Option(metavar="N", help="Also N alternative futures, in futures.parquet.")] = None,
    horizon: Annotated[int | None, typer.Option(metavar="DAYS", help="Length of the futures; default 120.")] = None,
    deliveries: Annotated[bool, typer.Option("--deliveries", help="Also the bills as they came in, late and restated: a file a day.")] = False,
    cutoff: Annotated[str | None, typer.Option(metavar="DATE", help="Last day before the futures; last day of the first delivery.")] = None,
    lines: Annotated[int | None, typer.Option(metavar="N", help="For load tests: N rows and nothing else, into a new folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a generated company: FOCUS 1.2 rows, its budgets, planned events, its products' requests and the truth about its incidents."""
    others = {"--futures": futures, "--deliveries": deliveries, "--cutoff": cutoff, "--horizon": horizon, "--hourly": hourly, "--csv": csv}
    given = [name for name, value in others.items() if value is not None and value is not False]
    if lines is not None:
        _refuse(given, "--lines", "--lines writes rows only, by the day; it goes with --seed, --days and --teams")
        document = _generate_bulk(out, seed, lines, days, teams)
        emit(document, as_json, lambda: line(f"{lines:,} rows from {document['start']} to {document['end']} (exclusive) in {out}"))
        return
    if not futures:
        _refuse([name for name in given if name == "--horizon"], "--futures", "--horizon is the length of the futures; say with --futures how many")
        if not deliveries:
            _refuse(
                [name for name in given if name == "--cutoff"],
                "--futures",
                "--cutoff is about --futures and --deliveries; the rows do not depend on it",
            )
    if deliveries:
        check_new(out / "deliveries")
    document = _generate_company(out, seed, days, teams, hourly, csv, futures or 0, 120 if horizon is None else horizon, deliveries, cutoff)
    emit(document, as_json, lambda: line(f"{document['rows']:,} rows from {document['start']} to {document['end']} (exclusive) in {out}"))


def _refuse(given: list[str], field: str, why: str) -> None:
    if given:
        raise InputError(f"{given[0]} is given and cannot be used here: {why}", field=field.lstrip("-"), got=given[0], allowed=why)


def _generate_company(
    out: Path, seed: int, days: int, teams: int, hourly: bool, csv: bool, futures: int, horizon: int, deliveries: bool, cutoff: str | None
) -> dict[str, Any]:
    from forecast.company.generate import generate as generate_company

    with working("Generating") as progress:
        company = generate_company(seed, days, teams, "h" if hourly else "D", cutoff=cutoff, futures=futures, horizon=horizon)
        progress("files", None)
        files = [write_company(company, out, as_csv=csv), *(out / f"{name}.csv" for name in ("budgets", "events", "incidents"))]
        files.append(write_requests(out, seed, days, teams))
        if company.futures is not None:
            files.append(write_futures(company.futures, out))
        if deliveries:
            opening = None if cutoff is None else datetime.combine(date.fromisoformat(cutoff) + timedelta(days=1), datetime.min.time(), UTC)
            files.append(write_deliveries(company, out, opening, progress))
    return _document(len(company.rows), files, company.start, company.end, company.currency, seed)


def _generate_bulk(out: Path, seed: int, lines: int, days: int, teams: int) -> dict[str, Any]:
    from forecast.company.bulk import END
    from forecast.company.generate import CURRENCY

    check_new(out)
    with working("Generating") as progress:
        files = write_bulk(out, seed, lines, days, teams, progress)
    return _document(lines, files, END - timedelta(days=days), END, CURRENCY, seed)


def _document(rows: int, files: list[Path], start: date, end: date, currency: str, seed: int) -> dict[str, Any]:
    return {"rows": rows, "files": [str(file) for file in files], "start": start, "end": end, "currency": currency, "seed": seed}


def write_company(company: Company, folder: Path, *, as_csv: bool = False) -> Path:
    """focus.parquet (or focus.csv.gz), budgets.csv, events.csv and incidents.csv; returns the file of rows."""
    from forecast.adapters.focus_writer import write_rows
    from forecast.adapters.reports import atomically

    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        rows = folder / ("focus.csv.gz" if as_csv else "focus.parquet")
        with atomically(rows) as temporary:
            if as_csv:
                company.rows.to_csv(temporary, index=False, compression={"method": "gzip", "mtime": 0})
            else:
                write_rows(company.rows, temporary)
        tables: Mapping[str, pd.DataFrame] = {"budgets": company.budgets, "events": company.events, "incidents": company.incidents}
        for name, frame in tables.items():
            with atomically(folder / f"{name}.csv") as temporary:
                frame.to_csv(temporary, index=False)
    return rows


def write_requests(folder: Path, seed: int, days: int, teams: int) -> Path:
    """requests.csv: what the company's products were asked a day, as `forecast drivers import` takes it."""
    from forecast.adapters.reports import atomically
    from forecast.company.requests import requests_of

    with told(folder), atomically(folder / "requests.csv") as temporary:
        requests_of(seed, days, teams).assign(unit="requests", kind="requests").to_csv(temporary, index=False)
    return folder / "requests.csv"


def write_futures(futures: Futures, folder: Path) -> Path:
    """futures.parquet: one row a series and day, dimensions, `day`, and a column of USD for each future, incidents included."""
    import numpy as np
    import pandas as pd

    from forecast.adapters.focus_writer import write_rows
    from forecast.adapters.reports import atomically

    cost, extra = futures.cost.copy(), futures.incident_cost
    np.add.at(cost, tuple(extra[name].to_numpy(dtype=np.int64) for name in ("series", "day", "future")), extra["cost"].to_numpy(dtype=np.float32))
    series, horizon, worlds = cost.shape
    frame = pd.DataFrame(cost.reshape(series * horizon, worlds), columns=[f"future_{number:04}" for number in range(worlds)], copy=False)
    keys = futures.keys.astype("category").iloc[np.repeat(np.arange(series), horizon)].reset_index(drop=True)
    days = np.datetime64(futures.start, "us") + np.arange(horizon) * np.timedelta64(1, "D")
    path = folder / "futures.parquet"
    with atomically(path) as temporary:
        write_rows(pd.concat([keys.assign(day=np.tile(days, series)), frame], axis=1), temporary)
    return path


def write_deliveries(company: Company, folder: Path, opening: datetime | None, progress: Progress) -> Path:
    """deliveries/<time of receipt>.parquet, one a day, and deliveries.json that lists them; the first has all that was known at `opening`."""
    from forecast.adapters.focus_writer import write_rows
    from forecast.adapters.reports import atomically
    from forecast.company.deliveries import CHARGE_ID, Delivery, deliveries, known_at

    length = (company.end - company.start).days
    listed: list[dict[str, Any]] = []
    with told(folder), whole_folder(folder / "deliveries") as place:
        first = [] if opening is None else [Delivery(opening, known_at(company, opening))]
        for delivery in chain(first, deliveries(company, since=opening)):
            # The basic form of ISO 8601, for a colon cannot be in a file's name everywhere.
            name = f"{delivery.received_at:%Y%m%dT%H%M%SZ}.parquet"
            write_rows(delivery.rows, place / name)
            listed.append({"file": f"deliveries/{name}", "received_at": f"{delivery.received_at:%Y-%m-%dT%H:%M:%SZ}", "rows": len(delivery.rows)})
            progress("deliveries", min((delivery.received_at.date() - company.start).days / length, 1.0))
    manifest = folder / "deliveries.json"
    with atomically(manifest) as temporary:
        temporary.write_text(json.dumps({"key": CHARGE_ID, "deliveries": listed}, indent=1) + "\n", encoding="utf-8")
    return manifest


def write_bulk(folder: Path, seed: int, lines: int, days: int, teams: int, progress: Progress) -> list[Path]:
    """focus-0001.parquet and so on, in a folder that is new or empty; all of them or, where something fails, none."""
    from forecast.adapters.focus_writer import write_rows
    from forecast.company.bulk import CHUNK, bulk_rows

    names, done = [], 0
    digits = max(4, len(str(-(-lines // CHUNK))))
    frames = bulk_rows(seed, lines, days=days, teams=teams)
    with told(folder), whole_folder(folder) as place:
        for number, rows in enumerate(frames, start=1):
            names.append(f"focus-{number:0{digits}}.parquet")
            write_rows(rows, place / names[-1])
            done += len(rows)
            progress(f"rows, {10 * (10 * done // lines)} %", done / lines)
    return [folder / name for name in names]


def check_new(folder: Path) -> None:
    """InputError where a folder could not be made as a whole: it has something in it, or is a file."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} {'is not empty' if folder.is_dir() else 'is a file'}; allowed is a folder that is new or empty",
            field="out",
            got=str(folder),
            allowed="a folder that is new or empty",
        )


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place at the end, or is removed where the block fails."""
    import shutil
    import tempfile

    check_new(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)  # mkdtemp makes a folder for its owner alone
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """What the system refuses becomes an InputError about the folder."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror or error}", field="out", got=str(folder), allowed="a folder that can be written"
        ) from None
