"""`forecast`: one command line for finance, planners and the engineers who run it.

The commands live in `forecast.commands`, one module per noun. Exit code 0 is success, 2 bad input, 1 a failure of ours;
an error is one line on standard error.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from forecast.commands import (
    budget_files,
    budget_gate,
    budget_history,
    budget_risk,
    budget_tree,
    budgets,
    demo,
    detect,
    drivers,
    events,
    explain,
    forecasts,
    incidents,
    ingest,
    models,
    scenarios,
    service,
    sources,
    spend,
)
from forecast.errors import ConfigError, ForecastWarning, InputError, ModelError

TRACEBACK = "FORECAST_TRACEBACK"

app = typer.Typer(
    name="forecast",
    help="Forecasts, overrun probabilities, spike scores and what-if answers for AI spend.",
    epilog="All state lives in one folder: FORECAST_HOME, default .forecast here. Start with: forecast demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    demo,
    ingest,
    sources,
    spend,
    models,
    forecasts,
    explain,
    budgets,
    budget_risk,
    budget_files,
    budget_gate,
    budget_history,
    budget_tree,
    events,
    drivers,
    detect,
    incidents,
    scenarios,
    service,
):
    module.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"forecast {version('ai-spend-forecast')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and stop.")] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    if not sys.warnoptions:
        # What libraries warn their own developers about is no news for the person who asked for a forecast.
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ForecastWarning)
        warnings.showwarning = _show_warning
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give back its exit code; every error becomes one line on standard error."""
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="forecast", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except InputError as error:
        told = str(error)
        return _failed(error, 2, told if not error.allowed or error.allowed in told or "nearest" in told else f"{told} (allowed: {error.allowed})")
    except ConfigError as error:
        return _failed(error, 2)
    except ModelError as error:
        return _failed(error, 1)
    except (KeyboardInterrupt, typer.Abort):
        print("forecast: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # typer's own: a wrong option or argument
            return _misused(error)
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        hint = "" if os.environ.get(TRACEBACK) else f" (unexpected; {TRACEBACK}=1 shows where)"
        return _failed(error, 1, f"{text}{hint}")


def _failed(error: BaseException, code: int, message: str | None = None) -> int:
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    print(f"forecast: error: {_one_line(message or str(error) or type(error).__name__)}", file=sys.stderr)
    return code


def _misused(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return 2  # the help has been shown
    path = context.command_path if context is not None else "forecast"
    print(f"forecast: error: {_one_line(error.format_message())} (see `{path} --help`)", file=sys.stderr)  # type: ignore[attr-defined]
    return int(error.exit_code)  # type: ignore[attr-defined]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if issubclass(category, ForecastWarning):
        print(f"forecast: warning: {_one_line(str(message))}", file=sys.stderr)


if __name__ == "__main__":
    main()
