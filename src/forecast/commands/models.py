"""The life of a model: `forecast train`, `backtest`, `models list|show|promote`, `accuracy`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from forecast.commands.console import (
    CostOption,
    JsonOption,
    ScopeOption,
    SnapshotOption,
    backtest_line,
    emit,
    line,
    money,
    percent,
    plain,
    table,
    working,
)
from forecast.commands.home import Home
from forecast.errors import InputError

models = typer.Typer(help="Forecasters that were trained, and the one that serves.", no_args_is_help=True)

CutoffOption = Annotated[str | None, typer.Option(metavar="DATE", help="Last day that the forecaster sees; default the last complete day.")]


def register(app: typer.Typer) -> None:
    app.command("train", epilog="Example: forecast train --cutoff 2026-10-31")(train)
    app.command("backtest", epilog="Example: forecast backtest --json")(backtest)
    app.command("accuracy", epilog="Example: forecast accuracy --scope team=search")(accuracy)
    app.add_typer(models, name="models")


def train(): ...
def backtest(): ...
def accuracy(): ...
