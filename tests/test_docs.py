"""The pages point at things that exist: links and their anchors, commands and their options, settings; and Python examples run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from forecast.config import OUTSIDE_SETTINGS, Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").rglob("*.md")])
MISSPELT_ON_PURPOSE = {"FORECAST_FISCAL_STRAT"}
LONGEST_PAGE = 120
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page: lower case, only words and dashes, a dash for each space."""
    plain = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", plain, re.MULTILINE)}


def mentioned_commands(text: str) -> Iterator[list[str]]:
    """The words after `forecast` in lines of code and in code inside sentences, up to the shell's next operator or a comment."""
    lines = re.findall(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*forecast ((?!:).+)$", text, re.MULTILINE)
    lines += re.findall(r"`(?:[A-Z_]+=\S+ )*forecast ([^`]+)`", text.replace("\n", " "))
    for line in lines:
        for part in re.split(r"&& forecast|\s{2,}\$ forecast", line):
            yield re.split(r"\s#|[|;>]|&&", re.sub(r"\"[^\"]*\"|'[^']*'", "…", part))[0].split()


@cache
def command_line() -> Any:
    from typer.main import get_command

    from forecast.cli import app

    return get_command(app)


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    plain = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", plain):
        place, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@each_page
def test_commands_and_their_options_exist(page: Path) -> None:
    for words in mentioned_commands(page.read_text(encoding="utf-8")):
        command, rest = command_line(), list(words)
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        if words and words[0] not in {"…", "--help", "--version"}:
            assert command is not command_line(), f"forecast {' '.join(words)}"
        known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
        for option in (word.split("=")[0].rstrip(",.") for word in rest if word.startswith("--")):
            assert option in known, f"forecast {' '.join(words)}"


def test_every_setting_is_documented_and_no_other() -> None:
    known = {f"FORECAST_{name.upper()}" for name in Settings.model_fields}
    page = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(FORECAST_[A-Z_]+)` \| (.*?) \|", page, re.MULTILINE))
    assert set(rows) == known
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float):
            assert float(rows[f"FORECAST_{name.upper()}"]) == field.default, name
    for other in PAGES:
        named = set(re.findall(r"FORECAST_[A-Z]+(?:_[A-Z]+)*", other.read_text(encoding="utf-8")))
        assert named <= known | {*OUTSIDE_SETTINGS} | MISSPELT_ON_PURPOSE, other


def test_every_route_is_documented() -> None:
    from forecast.serving.app import create_app

    page = (ROOT / "docs/reference/http.md").read_text(encoding="utf-8")
    paths = {re.sub(r"\{\w+\}", "{id}", getattr(route, "path", "")) for route in create_app().routes}
    assert not [path for path in paths if f"`{path}`" not in page]


def test_every_lever_is_documented_as_it_is() -> None:
    """Write the tables anew: `"\\n".join(lever_sections(...))` beneath each page's first paragraph."""
    from forecast.scenarios.kinds_page import lever_sections
    from forecast.scenarios.levers import COMMON

    how_to = (ROOT / "docs/how-to/what-if.md").read_text(encoding="utf-8")
    assert not [name for name in COMMON if f"`{name}`" not in how_to]
    for page, families in (("levers", ("usage", "tokens", "gpus")), ("levers-purchases", ("commitments", "newcomers", "money"))):
        text = (ROOT / f"docs/reference/{page}.md").read_text(encoding="utf-8")
        assert text.endswith("\n".join(lever_sections(families)).rstrip() + "\n")


def test_every_field_of_a_what_if_answer_is_documented() -> None:
    from forecast.serving.answers import LeverAnswer, ScenarioRow, UnitCost, Waterfall, WaterfallPart, WhatIfAnswer
    from forecast.workflows.whatif_budgets import FIGURES

    page = (ROOT / "docs/reference/what-if-answer.md").read_text(encoding="utf-8")
    names = {name for model in (LeverAnswer, ScenarioRow, UnitCost, Waterfall, WaterfallPart, WhatIfAnswer) for name in model.model_fields} | set(
        FIGURES
    )
    assert not [name for name in sorted(names) if f"`{name}`" not in page]


def test_every_field_of_the_ingestion_report_is_documented() -> None:
    from dataclasses import fields

    from forecast.adapters.ingest_report import IngestReport

    page = (ROOT / "docs/how-to/ingest-bills.md").read_text(encoding="utf-8")
    assert not [field.name for field in fields(IngestReport) if f"`{field.name}`" not in page]


def test_every_field_of_an_overrun_answer_is_documented() -> None:
    from forecast.serving.answers import Conversion, KnownMoney, OverrunAnswer, OverrunPhase, ThresholdStanding
    from forecast.workflows.known_costs import KINDS

    page = (ROOT / "docs/how-to/overrun-answers.md").read_text(encoding="utf-8")
    models = (Conversion, KnownMoney, OverrunAnswer, OverrunPhase, ThresholdStanding)
    names = {field.alias or name for model in models for name, field in model.model_fields.items()} | set(KINDS)
    assert not [name for name in sorted(names) if f"`{name}`" not in page and f"`{name}: " not in page]


def test_plan_on_the_what_if_page_is_a_plan() -> None:
    from forecast.scenarios.plan import parse_plan

    text = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/how-to/what-if.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    assert [lever.type for lever in parse_plan(text).levers] == ["scale_usage", "move_share", "change_price"]


def test_rules_on_the_rules_page_are_rules() -> None:
    from forecast.adapters.rules import shipped_text
    from forecast.spend.rules import parse_rules

    page = (ROOT / "docs/how-to/rules.md").read_text(encoding="utf-8")
    rules = parse_rules(shipped_text(), re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0])
    assert [rule.name for rule in rules.ai.rules[:4]] == ["training-nodes", "embedding-index", "rented-racks", "our-vendors"]
    shipped = {rule.name for rule in parse_rules(shipped_text()).ai.rules}
    assert set(re.findall(r"`((?:aws|azure|llm|ai|gpu|tagged|media|vector|databricks|snowflake)-[a-z-]+)`", page)) <= shipped


def test_formats_of_the_readme_are_those_that_ship() -> None:
    from forecast.adapters.formats.registry import shipped_formats

    assert len(shipped_formats()) == 15
    assert "Fifteen formats" in (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "docs/reference/formats.md").read_text(encoding="utf-8")
    assert not [format.name for format in shipped_formats() if f"`{format.name}`" not in page]


def test_python_page_runs_as_it_stands() -> None:
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/how-to/python.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec("\n".join(code), names)  # the page is ours
    assert names["paths"].values.shape == (4, 92, 1000)
    assert names["november"].shape == (4, 1000)


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name in {"how-to", "reference"}], ids=lambda page: page.stem)
def test_page_is_short(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").splitlines()) <= LONGEST_PAGE


@each_page
def test_no_page_names_a_place_on_somebodys_machine(page: Path) -> None:
    assert not re.findall(r"(?<![\w.])/(?:home|root|tmp|work|Users)/\S*", page.read_text(encoding="utf-8"))
