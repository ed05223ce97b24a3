"""Running it: `forecast serve` and `forecast doctor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from forecast.commands.console import JsonOption, emit, line, money, note, table
from forecast.commands.home import Home
from forecast.errors import ForecastError, InputError

PACKAGES = ("bentoml", "mlflow", "lightgbm", "statsmodels", "scikit-learn", "pandas", "numpy", "duckdb", "deltalake", "sqlalchemy")


def register(app: typer.Typer) -> None:
    app.command("serve", epilog="Example: forecast serve --port 3000 --workers 2")(serve)
    app.command("doctor", epilog="Example: forecast doctor --json")(doctor)


def serve(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="IP address to listen on; 0.0.0.0 is every interface. There is no login yet.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(help="Worker processes.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Serve the answers over HTTP until Ctrl-C; a snapshot that is trained meanwhile is taken up without a restart."""
    from forecast.commands.processes import ServiceProcess, check_address, stoppable

    home = Home()
    if not 1 <= workers <= 64:
        raise InputError(f"workers is out of range: got {workers}, allowed are 1 to 64", field="workers", got=workers, allowed="1 to 64")
    host = "127.0.0.1" if host == "localhost" else host
    check_address(host, port)
    home.make()
    trained = bool(home.records.snapshots())  # an address that cannot be used is told here, not by workers that start over and over
    service = ServiceProcess(home.settings, host=host, port=port, workers=workers)
    with stoppable():
        try:
            service.start()
            seconds = service.wait_until("/livez")
            document = {"address": service.address, "home": str(home.folder), "workers": workers, "seconds": round(seconds, 2)}
            emit(document, as_json, lambda: line(f"Listening on {service.address} (home {home.folder}); Ctrl-C stops"))
            if not trained:
                note("forecast: there is no snapshot yet, so questions are answered with 503 until `forecast train` has run")
            code = service.wait()
        except KeyboardInterrupt:
            note("forecast: stopping")
            code = 0
        finally:
            service.stop()
    raise typer.Exit(1 if code else 0)


def doctor(as_json: JsonOption = False) -> None:
    """Look at the installation and the home folder: versions, ledger, records, champion, snapshot, disk."""
    from datetime import UTC, datetime

    document = examine(Home(), datetime.now(UTC).date())
    emit(document, as_json, lambda: _show(document))
    if any(finding["level"] == "error" for finding in document["findings"]):
        raise typer.Exit(1)


def examine(home: Home, today: Any) -> dict[str, Any]:
    """What doctor reports. Nothing is made or changed; what cannot be opened is a finding, not an exception."""
    from platform import platform

    from forecast.config import unheard_variables

    findings: list[dict[str, str]] = []

    def find(level: str, text: str) -> None:
        findings.append({"level": level, "message": " ".join(text.split())})

    document: dict[str, Any] = {
        "versions": {"forecast": _version("ai-spend-forecast"), "python": sys.version.split()[0], **{name: _version(name) for name in PACKAGES}},
        "platform": platform(),
        "home": str(home.folder),
        "settings": home.settings.describe(),
        "ledger": None,
        "records": None,
        "champion": None,
        "snapshot": None,
        "disk": _disk(home.folder),
        "findings": findings,
    }
    for sentence in unheard_variables(os.environ):
        find("warning", sentence)
    for name, version in document["versions"].items():
        if version is None:
            find("error", f"package {name} is not installed")
    try:
        if not home.has_ledger or home.ledger.is_empty:
            find("note", "there is no spend yet: run `forecast ingest PATH`, or `forecast demo`")
        else:
            document["ledger"] = home.ledger.summary()
    except (ForecastError, OSError) as error:
        find("error", f"the ledger cannot be read: {error}")
    if home.has_records:
        try:
            document.update(_from_records(home, today, find))
        except (ForecastError, OSError) as error:
            find("error", f"the records cannot be read: {error}")
    else:
        find("note", "nothing has been trained yet: run `forecast train`")
    if document["disk"]["free_bytes"] < 2 * 1024**3:
        find("warning", "less than 2 GiB of disk is free")
    return document


def _from_records(home: Home, today: Any, find: Any) -> dict[str, Any]:
    records = home.records
    snapshots = records.snapshots()
    found: dict[str, Any] = {
        "records": {
            "budgets": len(records.budgets()),
            "deliveries": len(records.ingestions()),
            "models": len(records.models()),
            "snapshots": len(snapshots),
        }
    }
    for model in records.models():
        if model.is_champion:
            found["champion"] = {"name": model.name, "version": model.version, "promoted_at": model.promoted_at}
    current = next((snapshot for snapshot in snapshots if snapshot.is_current), None)
    if current is None:
        find("note", "there is no snapshot yet: run `forecast train`")
        return found
    age = (today - current.cutoff).days
    found["snapshot"] = {
        "id": current.id,
        "cutoff": current.cutoff,
        "age_days": age,
        "cost": current.cost,
        "currency": current.currency,
        "n_paths": current.n_paths,
        "size_bytes": current.size_bytes,
    }
    if age > 7:
        find("note", f"the snapshot's cutoff is {age} days ago: ingest newer spend and run `forecast train`")
    try:
        home.snapshots.open(current.id)
    except (ForecastError, OSError) as error:
        find("error", f"snapshot {current.id[:12]} cannot be opened: {error}")
    return found


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _disk(folder: Path) -> dict[str, int]:
    """Bytes that the home takes, and that are free where it lies."""
    import shutil

    used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) if folder.exists() else 0
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    return {"used_bytes": used, "free_bytes": shutil.disk_usage(existing).free}


def _show(document: dict[str, Any]) -> None:
    versions = document["versions"]
    rows = [
        ["versions", ", ".join(f"{name} {version}" for name, version in versions.items())],
        ["home", f"{document['home']} ({_bytes(document['disk']['used_bytes'])}; {_bytes(document['disk']['free_bytes'])} free)"],
        ["ledger", "empty" if document["ledger"] is None else _ledger(document["ledger"])],
        ["records", "none" if document["records"] is None else ", ".join(f"{count:,} {name}" for name, count in document["records"].items())],
        ["champion", "none" if document["champion"] is None else _champion(document["champion"])],
        ["snapshot", "none" if document["snapshot"] is None else _snapshot(document["snapshot"])],
    ]
    table("forecast doctor", ["", ""], rows, left=2)
    for finding in document["findings"]:
        line(f"{finding['level']}: {finding['message']}")
    if not document["findings"]:
        line("All is well.")


def _ledger(found: Mapping[str, Any]) -> str:
    number = found["deliveries"]
    total = f"{money(float(found['effective_cost']))} {found['currency']} effective, {money(float(found['billed_cost']))} billed"
    return f"{found['rows']:,} charge lines, {found['first_day']} to {found['last_day']}, {total}, {number} deliver{'y' if number == 1 else 'ies'}"


def _champion(found: Mapping[str, Any]) -> str:
    return f"{found['name']} version {found['version']}, promoted {found['promoted_at']:%Y-%m-%d %H:%M} UTC"


def _snapshot(found: Mapping[str, Any]) -> str:
    size = f"{found['n_paths']:,} futures, {_bytes(found['size_bytes'])}"
    return f"{found['id'][:12]}, cutoff {found['cutoff']} ({found['age_days']} days ago), {found['cost']} cost in {found['currency']}, {size}"


def _bytes(count: int) -> str:
    return f"{money(count / 1024**2)} MiB"
