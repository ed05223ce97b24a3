"""`forecast demo`: from nothing to a service that answers, on a generated company."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.console import JsonOption, emit, line, money, note, origin, table, working
from forecast.commands.home import Home
from forecast.errors import InputError, ModelError

if TYPE_CHECKING:
    from forecast.commands.processes import ServiceProcess
    from forecast.company.generate import Company

SPIKE = 10.0
"""The demo asks about a day that cost this many times the forecast."""


@dataclass
class Timings:
    """Seconds of each step, in order; each is told as soon as it is over."""

    steps: dict[str, float]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.steps[name] = round(time.monotonic() - began, 2)
        note(f"  {name:<9} {self.steps[name]:6.1f} s")


def register(app: typer.Typer) -> None:
    app.command("demo", epilog="Example: forecast demo --once")(demo)


def demo(
    once: Annotated[bool, typer.Option("--once", help="Ask one question of each kind, stop the service and exit.")] = False,
    port: Annotated[int, typer.Option(help="Port of the service.")] = 3000,
    seed: Annotated[int, typer.Option(help="Another seed is another company.")] = 7,
    days: Annotated[int, typer.Option(help="Days of spend.")] = 548,
    teams: Annotated[int, typer.Option(help="Teams of the company.")] = 8,
    home: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Home folder; default FORECAST_HOME, else .forecast.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Generate a company's AI spend, ingest it, train, serve, and ask the first questions."""
    from forecast.commands.processes import ServiceProcess, check_address, stoppable

    check_address("127.0.0.1", port)
    place = Home(home)
    check_home(place, {"seed": seed, "days": days, "teams": teams})
    note(f"Demo in {place.folder}")
    timings = Timings({})
    prepare(place, timings, seed, days, teams)
    service = ServiceProcess(place.settings, port=port, log=place.folder / "service.log")
    with stoppable():
        try:
            with timings.step("serve"):
                service.start()
                service.wait_until("/readyz")
            note(f"Ready after {sum(timings.steps.values()):.1f} s")
            answers = ask_first_questions(service, timings)
            document = {"address": service.address, "home": str(place.folder), "seconds": timings.steps, "answers": answers}
            emit(document, as_json, lambda: show_demo(document))
            if not once:
                note(f"Serving until Ctrl-C; the API is at {service.address}/docs.json, elsewhere: FORECAST_HOME={place.folder} forecast quarter")
                if service.wait():
                    raise ModelError(f"The service ended by itself; see {place.folder / 'service.log'}")
        except KeyboardInterrupt:
            note("forecast: stopping")
        finally:
            service.stop()


def check_home(home: Home, company: Mapping[str, int]) -> None:
    """InputError where the home holds other spend than this demo's: two companies in one ledger would be neither."""
    mark = _mark(home)
    if mark.exists():
        before = json.loads(mark.read_text(encoding="utf-8"))
        if before != dict(company):
            told = ", ".join(f"--{name} {value}" for name, value in before.items())
            raise InputError(
                f"{home.folder} holds the demo of {told}; give the same, or another --home", field="home", got=dict(company), allowed=told
            )
    elif home.has_ledger and not home.ledger.is_empty:
        raise InputError(
            f"{home.folder} holds spend that is not the demo's; give another folder with --home",
            field="home",
            got=str(home.folder),
            allowed="an empty home, or the demo's own",
        )


def _mark(home: Home) -> Path:
    return home.folder / "demo" / "company.json"


def prepare(home: Home, timings: Timings, seed: int, days: int, teams: int) -> None:
    """Generate, ingest, budgets, train; the steps that come before the service."""
    from datetime import UTC, datetime

    from forecast.commands.company import write_company
    from forecast.commands.ingest import ingest_into
    from forecast.commands.models import train_home
    from forecast.company.generate import generate

    with timings.step("generate"), working("Demo") as progress:
        progress("generating a company", None)
        company = generate(seed, days, teams)
        home.make()
        rows = write_company(company, home.folder / "demo")
        _mark(home).write_text(json.dumps({"seed": seed, "days": days, "teams": teams}), encoding="utf-8")
    with timings.step("ingest"), working("Demo") as progress:
        ingest_into(home, [rows], received_at=datetime.now(UTC), progress=progress)
        put_budgets(home, company)
    with timings.step("train"):
        train_home(home)


def put_budgets(home: Home, company: Company) -> None:
    from datetime import UTC, datetime

    from forecast.budgets.budget import Budget
    from forecast.spend.scope import Scope

    now = datetime.now(UTC)
    budgets = []
    for row in company.budgets.to_dict("records"):
        name, scope, days = str(row["id"]), Scope.parse(str(row["scope"])), (row["start"].date(), row["end"].date())
        parent = None if scope.is_company else name.removesuffix(f"-{scope.clauses[0].values[0]}") + "-company"
        budgets.append(Budget(name, scope, *days, float(row["amount"]), str(row["currency"]), parent=parent))
    home.records.put_budgets(budgets, now=now)


def ask_first_questions(service: ServiceProcess, timings: Timings) -> dict[str, Any]:
    """One question of each kind over HTTP, each built on the answer before."""
    from datetime import timedelta

    from forecast.spend.periods import next_quarter, parse_day

    asked = Questions(service)
    snapshots = asked.get("/v1/snapshots")["snapshots"]
    cutoff = parse_day(next(item["cutoff"] for item in snapshots if item["is_current"]), "cutoff")
    label, quarter = next_quarter(cutoff, service.settings.calendar)
    answers: dict[str, Any] = {}
    with timings.step("questions"):
        answers["forecast"] = asked.post("/v1/forecast", {"period": label, "granularity": "quarter", "group_by": ["team"]})
        largest = max(answers["forecast"]["rows"], key=lambda row: float(row["mean"]))
        team = {"team": largest["group"]["team"]}
        budgets = [item for item in asked.get("/v1/budgets")["budgets"] if item["start"] == str(quarter.start)] or asked.get("/v1/budgets")["budgets"]
        answers["overrun"] = asked.post("/v1/overrun", {"budget_id": max(budgets, key=lambda item: float(item["amount"]))["id"]})
        spike = SPIKE * float(largest["mean"]) / quarter.days
        row = {"scope": team, "timestamp": str(cutoff + timedelta(days=1)), "cost": round(spike, 2)}
        answers["anomalies"] = asked.post("/v1/anomalies", {"rows": [row]})
        lever = {"type": "scale_usage", "scope": f"team={_quoted(largest['group']['team'])}", "factor": 2.0}
        lever |= {"from": str(quarter.start), "until": str(quarter.end)}
        answers["whatif"] = asked.post("/v1/whatif", {"period": label, "levers": [lever]})
    return {"answers": answers, "milliseconds": asked.milliseconds, "questions": {"team": team["team"], "quarter": label, "spike": row}}


def _quoted(value: str) -> str:
    return "".join("\\" + character if character in "\\,|=" else character for character in value)


class Questions:
    """Questions to the service; an answer that is a problem is a ModelError, for the demo asks nothing that is wrong."""

    def __init__(self, service: ServiceProcess) -> None:
        self.address = service.address
        self.milliseconds: dict[str, float] = {}

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        from forecast.commands.processes import ask

        began = time.monotonic()
        try:
            status, answer = ask(self.address, method, path, body)
        except OSError as error:
            raise ModelError(f"The service did not answer {method} {path}: {error}") from error
        if body is not None:
            self.milliseconds[path.removeprefix("/v1/")] = round(1000 * (time.monotonic() - began), 1)
        if status != 200:
            detail = answer.get("detail") if isinstance(answer, dict) else str(answer)[:200]
            raise ModelError(f"The service answered {method} {path} with {status}: {detail}")
        return answer


def show_demo(document: Mapping[str, Any]) -> None:
    """The four answers in a table each, with the time that they took."""
    from forecast.commands.budget_answers import show_overrun
    from forecast.commands.forecasts import show_forecast, show_whatif

    asked = document["answers"]
    answers, took, about = asked["answers"], asked["milliseconds"], asked["questions"]
    line(f"\nWhat will we spend in {about['quarter']}? ({took['forecast']} ms)")
    show_forecast(answers["forecast"])
    line(f"\nWill we overrun the budget {answers['overrun']['budget_id']}? ({took['overrun']} ms)")
    show_overrun(answers["overrun"])
    line(f"\nTeam {about['team']} cost {money(about['spike']['cost'])} on {about['spike']['timestamp']}: is that strange? ({took['anomalies']} ms)")
    show_anomalies(answers["anomalies"])
    line(f"\nWhat if the traffic of {about['team']} doubles in {about['quarter']}? ({took['whatif']} ms)")
    show_whatif(answers["whatif"])
    line(f"\nThe service answers at {document['address']}; state is in {document['home']}")


def show_anomalies(answer: Mapping[str, Any]) -> None:
    rows = [
        [
            str(row.get("scope") or row.get("series") or "the company"),
            str(row["timestamp"])[:10],
            money(row["cost"]),
            money(row["expected"]),
            f"{money(row['lower'])} to {money(row['upper'])}",
            "–" if row["p_value"] is None else f"{row['p_value']:.1e}",
            "yes" if row["is_anomaly"] else "no",
        ]
        for row in answer["rows"]
    ]
    table("", ["scope", "day", "cost", "expected", "usually", "p-value", "strange"], rows, left=2)
    for incident in answer.get("incidents") or ():
        line(incident["sentence"])
    origin(answer)
