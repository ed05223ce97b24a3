"""What a command shows: one JSON document or neat tables on standard output; progress and notes on standard error."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
ScopeOption = Annotated[str, typer.Option(metavar="SCOPE", help="Filter such as team=ads|search,stage!=dev; empty is the whole company.")]
CostOption = Annotated[str, typer.Option(metavar="COST", help="effective (amortised) or billed.")]
SnapshotOption = Annotated[str | None, typer.Option("--snapshot", metavar="ID", help="Answer from this snapshot, not from the current one.")]

Progress = Callable[[str, float | None], None]
"""Called with what is being done, and the share of it that is done (0 to 1) where that is known."""


def counted(progress: Progress) -> Callable[[int, int, str], None]:
    """The same as (done, of, what), which is how the ledger and training tell it."""
    return lambda done, of, what: progress(what, done / of if of else None)


def emit(document: Mapping[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    """The document as JSON, or the human form that `show` prints."""
    if as_json:
        print(json.dumps(plain(document), ensure_ascii=False, allow_nan=False, indent=2))
    else:
        show()
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """JSON data: what is not a finite number becomes null, days, times and paths text, numbers of NumPy numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value


def note(text: str) -> None:
    """A line for people, on standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def working(title: str) -> Iterator[Progress]:
    """Long work: progress on standard error, and whatever a library prints goes there too.

    A terminal sees a bar; a log sees one line for each thing that is being done.
    """
    with redirect_stdout(sys.stderr):
        if not sys.stderr.isatty():
            yield _lines(title)
            return
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=None)

            def update(doing: str, share: float | None = None) -> None:
                bar.update(task, description=f"{title}: {doing}", total=None if share is None else 1.0, completed=share or 0.0)

            yield update


def _lines(title: str) -> Progress:
    began, last = time.monotonic(), [""]

    def update(doing: str, share: float | None = None) -> None:
        if doing != last[0]:
            last[0] = doing
            note(f"{title}: {doing} ({time.monotonic() - began:.1f} s)")

    return update


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """A table on standard output; the first `left` columns are text, the others numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if title:  # not the table's own title, which breaks into lines where the table is narrow
        _print(Text(title, style="bold"), in_lines=False)
    built = Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        show_header=any(columns),
        pad_edge=False,
    )
    for number, name in enumerate(columns):
        built.add_column(name, justify="left" if number < left else "right", no_wrap=number >= left)
    for row in rows:
        built.add_row(*(_escaped(cell) for cell in row))
    _print(built)


def line(text: str = "") -> None:
    """A line on standard output."""
    print(text)


def _print(built: Table | Text, *, in_lines: bool = True) -> None:
    from rich.console import Console

    # A pipe has no width of its own; a table that wraps is of no use to whatever reads it.
    Console(width=None if sys.stdout.isatty() else 240, highlight=False).print(built, soft_wrap=not in_lines)


def _escaped(cell: str) -> str:
    from rich.markup import escape

    return escape(cell)


def money(value: float | None) -> str:
    """`1,234,568`, with cents where it is less than a hundred; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return "–"
    # Adding zero makes of the minus zero that rounding leaves a plain one.
    cents = round(value, 2) + 0.0
    return f"{cents:,.0f}" if abs(cents) >= 100 or cents == 0 else f"{cents:,.2f}"


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{round(100 * value, digits) + 0.0:.{digits}f} %"


def signed_percent(value: float | None, digits: int = 1) -> str:
    """`+8.2 %` of the share 0.082; a change that rounds to nothing has no sign."""
    if value is None or not math.isfinite(value):
        return "–"
    # Adding zero makes of the minus zero that rounding leaves a plain one.
    rounded = round(100.0 * value, digits) + 0.0
    return f"{rounded:+,.{digits}f} %" if rounded else f"{0.0:.{digits}f} %"


def amounts(distribution: Mapping[str, Any]) -> list[str]:
    """Mean, P10, P50 and P90 as money."""
    return [money(distribution[name]) for name in ("mean", "p10", "p50", "p90")]


def minute(at: str) -> str:
    """`2026-11-22 01:43` of an instant in an answer, in UTC as it stands there; nobody reads microseconds."""
    return at[:16].replace("T", " ")


def group_name(group: Mapping[str, str]) -> str:
    return " · ".join(group.values()) if group else "total"


def origin(answer: Mapping[str, Any]) -> None:
    """Beneath every answer: its snapshot, cutoff, cost and currency, the backtest record, and what to know about it."""
    line(f"Snapshot {answer['snapshot_id'][:12]} · cutoff {answer['cutoff']} · {answer['cost']} cost in {answer['currency']}")
    if record := answer.get("backtest"):
        line(backtest_line(record))
    for text in answer.get("warnings") or ():
        line(f"Note: {text}")


def backtest_line(record: Mapping[str, Any]) -> str:
    """The accuracy record in a sentence."""
    if not record.get("cutoffs"):
        return "Backtest: no record for this scope yet"
    cutoffs = record["cutoffs"] if isinstance(record["cutoffs"], int) else len(record["cutoffs"])
    scope, wape, bias = record.get("scope") or "the company", percent(record.get("wape")), percent(record.get("bias"))
    held = percent(record.get("coverage_80"), 0)
    return f"Backtest of {scope}: {cutoffs} cutoffs, WAPE {wape}, bias {bias}, 80 % intervals held {held}, grade {record.get('grade') or '–'}"
