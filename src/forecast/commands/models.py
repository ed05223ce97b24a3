"""The life of a model: `forecast train`, `backtest`, `models list|show|promote`, `accuracy`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.console import CostOption, JsonOption, ScopeOption, SnapshotOption, emit, line, origin, percent, table, working
from forecast.commands.home import Home
from forecast.errors import InputError

if TYPE_CHECKING:
    from forecast.adapters.records import ModelRecord

models = typer.Typer(help="Forecasters that were trained, and the one that serves.", no_args_is_help=True)

CutoffOption = Annotated[str | None, typer.Option(metavar="DATE", help="Last day that the forecaster sees; default the last complete one.")]
SpecOption = Annotated[str | None, typer.Option(metavar="NAME", help="A spec of models/; default the champion's.")]


def register(app: typer.Typer) -> None:
    app.command("train", epilog="Example: forecast train --cutoff 2026-10-31")(train)
    app.command("backtest", epilog="Example: forecast backtest --cutoffs 6 --json")(backtest)
    app.command("accuracy", epilog="Example: forecast accuracy --scope team=search")(accuracy)
    app.add_typer(models, name="models")


def train(
    cutoff: CutoffOption = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="From what was known then: kept for questions about that day, serves nothing; ISO 8601."),
    ] = None,
    spec: SpecOption = None,
    cost: CostOption = "effective",
    as_json: JsonOption = False,
) -> None:
    """Backtest, fit, calibrate, track, promote, and write the snapshot that answers from now on."""
    from forecast.commands.ingest import read_moment

    home = Home()
    home.filled_ledger()
    report = train_home(home, cutoff=cutoff, as_of=None if as_of is None else read_moment(as_of, "--as-of"), spec=spec, cost=cost)
    emit(report, as_json, lambda: show_training(report))


def train_home(
    home: Home, *, cutoff: str | None = None, as_of: datetime | None = None, spec: str | None = None, cost: str = "effective"
) -> dict[str, Any]:
    """Train on the home's ledger, with progress; what the run did, as plain data."""
    with working("Training") as progress:
        from training.train import train as train_now

        report = train_now(
            home.settings, home.ledger, home.records, home.snapshots, cutoff=cutoff, as_of=as_of, cost=cost, spec=spec, progress=progress
        )
        return report.describe()


def show_training(report: Mapping[str, Any]) -> None:
    rows = [
        ["champion", f"{report['name']}/{report['version']} (MLflow run {report['run_id']})"],
        ["learned from", f"{report['days']:,} days from {report['first_day']} to {report['cutoff']}, {report['leaves']:,} series"],
        [
            "sees until",
            f"{report['horizon_end']} (exclusive), {report['n_paths']:,} paths of {report['leaves']:,} series and {report['nodes']:,} nodes",
        ],
        ["size", f"{report['size_bytes'] / 1024**2:,.0f} MiB"],
        ["seconds", ", ".join(f"{name} {seconds:.1f}" for name, seconds in report["seconds"].items())],
    ]
    table("Trained", ["", ""], rows, left=2)
    company = (report["backtest"].get("nodes") or {}).get("company", {})
    origin({**report, "backtest": company, "warnings": report["notes"]})


def backtest(
    cutoff: CutoffOption = None,
    cutoffs: Annotated[int, typer.Option(help="Days in the past to forecast from.")] = 6,
    spec: SpecOption = None,
    cost: CostOption = "effective",
    as_json: JsonOption = False,
) -> None:
    """Judge a forecaster on the past: fit anew at several cutoffs, compare with what came. Changes nothing."""
    if not 1 <= cutoffs <= 100:
        raise InputError(f"cutoffs is out of range: got {cutoffs}, allowed are 1 to 100", field="cutoffs", got=cutoffs, allowed="1 to 100")
    home = Home()
    ledger, records = home.filled_ledger(), home.records if home.has_records else None
    with working("Backtest") as progress:
        from training.backtest import run_backtest

        report = run_backtest(home.settings, ledger, cutoff=cutoff, cost=cost, spec=spec, cutoffs=cutoffs, records=records, progress=progress)
    document = {
        "cutoff": report.cutoff,
        "currency": report.currency,
        "cost": report.cost,
        "spec": report.spec,
        "record": report.record,
        "summary": report.summary.to_dict("records"),
        "warnings": list(report.notes),
    }
    emit(document, as_json, lambda: _show_backtest(document))


def _show_backtest(document: Mapping[str, Any]) -> None:
    record = document["record"]
    line(f"{document['spec']['name']} up to {document['cutoff']}, {document['cost']} cost in {document['currency']}; {record['method']}")
    rows = [
        [str(row["level"]), str(row["days"]), str(row["series"]), *(percent(row[name]) for name in ("wape", "bias", "coverage_80", "skill"))]
        for row in document["summary"]
    ]
    table("", ["level", "days", "series", "WAPE", "bias", "80 % held", "skill"], rows)
    line("Skill: share of the seasonal naive forecast's error that is gone.")
    for text in document["warnings"]:
        line(f"Note: {text}")


def accuracy(scope: ScopeOption = "", cost: CostOption = "effective", snapshot_id: SnapshotOption = None, as_json: JsonOption = False) -> None:
    """The backtest record behind the current forecast: of a scope, and of every node that was scored."""
    from forecast.spend.scope import Scope
    from forecast.workflows.records import backtest_record

    filtered = Scope.parse(scope)
    snapshot = Home().snapshot(cost, snapshot_id)
    snapshot.hierarchy.leaf_mask(filtered)  # an unknown value is an error here too
    document = {
        "snapshot_id": snapshot.id,
        "cutoff": snapshot.cutoff,
        "currency": snapshot.currency,
        "cost": snapshot.cost,
        "scope": str(filtered),
        "backtest": backtest_record(snapshot, filtered),
        "record": snapshot.backtest,
    }
    emit(document, as_json, lambda: _show_accuracy(document))


def _show_accuracy(document: Mapping[str, Any]) -> None:
    levels = document["record"].get("levels") or {}
    rows = [
        [level, str(facts.get("series", "")), *(percent(facts.get(name)) for name in ("wape", "bias", "coverage_80")), str(facts.get("grade") or "–")]
        for level, facts in levels.items()
    ]
    if rows:
        table(f"Totals of {document['record'].get('horizon_days')} days", ["level", "series", "WAPE", "bias", "80 % held", "grade"], rows)
    _show_overruns(document["record"].get("overruns") or {})
    origin(document)


def _show_overruns(levels: Mapping[str, Mapping[str, Any]]) -> None:
    """How often budgets were overrun of which it had been said with so much probability."""
    shares = sorted({(one["from"], one["to"]) for facts in levels.values() for one in facts["bins"]})
    if not shares:
        return
    rows = []
    for level, facts in levels.items():
        seen = {one["from"]: f"{percent(one['seen'])} of {one['n']:,}" for one in facts["bins"]}
        rows.append([level, *(seen.get(begin, "–") for begin, _ in shares), percent(facts["calibration_error"]), percent(facts["skill"])])
    heads = [f"said {100 * begin:.0f}–{100 * end:.0f} %" for begin, end in shares]
    table("Budgets overrun, of those of which it was said", ["level", *heads, "apart", "skill"], rows)


@models.command("list", epilog="Example: forecast models list --json")
def show_all(as_json: JsonOption = False) -> None:
    """List all registered versions, the youngest first."""
    home = Home()
    found = home.records.models() if home.has_records else []

    def show() -> None:
        if not found:
            line("No model has been trained yet: forecast train")
            return
        rows = [
            [item.name, item.version, f"{item.registered_at:%Y-%m-%d %H:%M}", "champion" if item.is_champion else "", item.run_id or ""]
            for item in found
        ]
        table("Models", ["name", "version", "registered", "", "run"], rows, left=5)

    emit({"models": [describe(item) for item in found]}, as_json, show)


@models.command("show", epilog="Example: forecast models show spend/3")
def show_one(
    model: Annotated[str | None, typer.Argument(metavar="[NAME/VERSION]", help="Default: the champion.")] = None, as_json: JsonOption = False
) -> None:
    """Show a registered version, by default the champion and who served before."""
    home = Home()
    if not home.has_records:
        home.snapshot()
    item = home.records.champion() if model is None else home.records.model(*read_model(model))
    history = [
        {"name": entry.name, "version": entry.version, "promoted_at": entry.promoted_at, "reason": entry.reason}
        for entry in home.records.promotions()
    ]
    document = {**describe(item), "history": history}

    def show() -> None:
        line(
            f"{item.name}/{item.version}{', champion' if item.is_champion else ''}; registered {item.registered_at:%Y-%m-%d %H:%M}, run {item.run_id}"
        )
        rows = [[f"{entry['name']}/{entry['version']}", f"{entry['promoted_at']:%Y-%m-%d %H:%M}", str(entry["reason"])] for entry in history]
        table("Promotions", ["version", "when", "reason"], rows, left=3)

    emit(document, as_json, show)


@models.command("promote", epilog="Example: forecast models promote spend/2 --reason 'the new one over-forecasts search'")
def promote(
    model: Annotated[str, typer.Argument(metavar="NAME/VERSION", help="A version of `forecast models list`.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a registered version the champion; the snapshot that it made answers from now on."""
    name, version = read_model(model)
    home = Home()
    if not home.has_records:
        home.snapshot()
    with working("Promoting") as progress:
        from training.promote import promote as promote_now

        progress(model, None)
        report = promote_now(home.settings, home.records, home.snapshots, version, name=name, reason=reason)
    _show_promotion(report, as_json)


@models.command("rollback", epilog="Example: forecast models rollback --reason 'alarms after the last training'")
def rollback(reason: Annotated[str, typer.Option(help="Why, for the record.")] = "", as_json: JsonOption = False) -> None:
    """Go back to the champion before this one."""
    home = Home()
    if not home.has_records:
        home.snapshot()
    with working("Rolling back") as progress:
        from training.promote import rollback as roll_back_now

        progress("to the champion before", None)
        report = roll_back_now(home.settings, home.records, home.snapshots, reason=reason)
    _show_promotion(report, as_json)


def _show_promotion(report: Any, as_json: bool) -> None:
    document = {"name": report.name, "version": report.version, "previous": report.previous, "snapshot_ids": list(report.snapshot_ids)}
    snapshots = ", ".join(found[:12] for found in report.snapshot_ids) or "none"
    emit(document, as_json, lambda: line(f"{report.name}/{report.version} serves; before: {report.previous or 'none'}; snapshots: {snapshots}"))


def read_model(text: str) -> tuple[str, str]:
    """(name, version) from `spend/3`."""
    name, separator, version = text.rpartition("/")
    if not (name and separator and version):
        raise InputError(f"model is not NAME/VERSION: got {text!r}", field="model", got=text, allowed="NAME/VERSION such as spend/3")
    return name, version


def describe(item: ModelRecord) -> dict[str, Any]:
    """A model version as over HTTP."""
    return {
        "name": item.name,
        "version": item.version,
        "run_id": item.run_id,
        "registered_at": item.registered_at,
        "promoted_at": item.promoted_at,
        "is_champion": item.is_champion,
    }
