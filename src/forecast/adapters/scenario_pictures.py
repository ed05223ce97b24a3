"""What-if answers as pictures (SVG or PNG): the fan of baseline and scenario, the waterfall by lever, scenarios side by side, the curve of a goal."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forecast.adapters.reports import atomically, check_suffix
from forecast.scenarios.saved import BASE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURES = (".svg", ".png")
BEFORE, AFTER, UP, DOWN, INK = "#6b7785", "#1f6feb", "#c2410c", "#15803d", "#1f2933"
MOST_BARS = 24
"""Levers with a bar of their own; the smallest of more are added up in one."""
LONGEST_LABEL, LONGEST_TITLE = 28, 70


def write_whatif_picture(answer: Mapping[str, Any], periods: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Left the fan over time, right the waterfall. periods : the answer's rows of the whole scope by day, week or month."""
    with _drawn(path, 12.0, 5.2) as figure:
        fan, waterfall = figure.subplots(1, 2, width_ratios=(3, 2))
        _fan(fan, answer, periods)
        _waterfall(waterfall, answer)
        figure.suptitle(_title(answer), x=0.01, ha="left", fontsize=13)
        figure.text(0.01, 0.005, _origin(answer), fontsize=8, color=BEFORE)


def write_comparison_picture(answer: Mapping[str, Any], path: Path) -> None:
    """One line a scenario: mean, P10 to P90, and the baseline's beside them."""
    rows = [("forecast as it is", answer["baseline"], BEFORE)]
    rows += [(_short(one["name"] or one["id"]), one["scenario"], AFTER) for one in answer["scenarios"] if one["id"] != BASE or one["version"]]
    with _drawn(path, 9.0, 1.6 + 0.45 * len(rows)) as figure:
        axes = figure.subplots()
        for number, (_, told, colour) in enumerate(rows):
            axes.plot([told["p10"], told["p90"]], [number, number], color=colour, linewidth=7, alpha=0.35, solid_capstyle="butt")
            axes.plot(told["p50"], number, marker="|", color=colour, markersize=14, markeredgewidth=2)
            axes.plot(told["mean"], number, marker="o", color=colour, markersize=5)
        axes.axvline(answer["baseline"]["mean"], color=BEFORE, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
        axes.invert_yaxis()
        _money_axis(axes.xaxis)
        axes.set_xlabel(f"{answer['currency']}: P10 to P90, median (bar), mean (dot)")
        _plain_frame(axes, "x")
        axes.set_title(f"{answer['start']} to {answer['end']} (exclusive), {answer.get('scope') or 'the company'}", loc="left", fontsize=11)


def write_goal_picture(answer: Mapping[str, Any], path: Path) -> None:
    """The curve of a goal, its limit, and the value that was found."""
    goal, curve = answer["goal"], answer["curve"]
    is_share = goal["figure"] in {"overrun_probability", "probability_cheaper"}
    with _drawn(path, 8.0, 4.6) as figure:
        axes = figure.subplots()
        axes.plot([point["value"] for point in curve], [point["figure"] for point in curve], color=AFTER, marker="o", markersize=4)
        if goal["limit"] is not None:
            axes.axhline(goal["limit"], color=UP, linewidth=1, linestyle="--")
        if answer["value"] is not None:
            axes.axvline(answer["value"], color=DOWN, linewidth=1, linestyle="--")
        axes.set_xlabel(goal["field"])
        of_budget = f" of {goal['budget']}" if goal["budget"] else ""
        axes.set_ylabel(f"{goal['figure'].replace('_', ' ')}{of_budget}")
        if is_share:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        else:
            _money_axis(axes.yaxis)
        _plain_frame(axes, "y")
        axes.set_title(answer["sentence"], loc="left", fontsize=9, wrap=True)


@contextmanager
def _drawn(path: Path, width: float, height: float) -> Iterator[Figure]:
    """An empty figure that is written in place of `path` at the end. The same answer gives the same bytes."""
    suffix = check_suffix(path, PICTURES)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "text.parse_math": False,  # a team called $x$ is a name
        "svg.fonttype": "none",
        "svg.hashsalt": "forecast",
        "font.family": "sans-serif",
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with mpl.rc_context(style), warnings.catch_warnings(), atomically(path) as temporary:
        warnings.simplefilter("ignore")  # letters that the font does not have are boxes, and no reason to stop
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        made: dict[str, Any] = {"Date": None} if suffix == ".svg" else {"Software": None}
        figure.savefig(temporary, format=suffix[1:], dpi=150, metadata=made)


def _fan(axes: Axes, answer: Mapping[str, Any], periods: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    edges = np.array([*(row["start"] for row in periods), *(row["end"] for row in periods[-1:])], dtype="datetime64[D]")
    days = np.diff(edges).astype(np.float64)
    for name, colour, label in (("baseline", BEFORE, "forecast as it is"), ("scenario", AFTER, "with the plan")):
        # Money a day, so that a week cut off by the end of the plan does not look like a saving.
        low, middle, high = (np.array([row[name][figure] for row in periods]) / days for figure in ("p10", "p50", "p90"))
        axes.fill_between(edges, _held(low), _held(high), step="post", color=colour, alpha=0.22, linewidth=0)
        axes.step(edges, _held(middle), where="post", color=colour, linewidth=1.6, label=label)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    _money_axis(axes.yaxis)
    axes.set_ylabel(f"{answer['currency']} a day: median, P10 to P90")
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    _plain_frame(axes, "y")


def _held(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The last value once more: what a step needs at its end."""
    return np.append(values, values[-1:])


def _waterfall(axes: Axes, answer: Mapping[str, Any]) -> None:
    steps = waterfall_steps(answer)
    at = answer["baseline"]["mean"]
    axes.bar(0, at, color=BEFORE, width=0.7)
    for number, (_, change) in enumerate(steps, start=1):
        axes.bar(number, change, bottom=at, color=UP if change > 0 else DOWN, width=0.7)
        axes.plot([number - 0.65, number + 0.35], [at, at], color=INK, linewidth=0.6)
        at += change
        axes.annotate(_signed(change), (number, at), ha="center", va="bottom" if change >= 0 else "top", fontsize=8)
    last = len(steps) + 1
    axes.bar(last, answer["scenario"]["mean"], color=AFTER, width=0.7)
    labels = ["forecast", *(_short(name) for name, _ in steps), "scenario"]
    axes.set_xticks(range(last + 1), labels, rotation=40 if len(labels) > 3 else 0, ha="right" if len(labels) > 3 else "center", fontsize=8)
    if steps:
        # Bars that begin at zero would hide the levers: the axis begins where something happens.
        heights = list(itertools.accumulate([answer["baseline"]["mean"], *(change for _, change in steps)]))
        low, high = min(heights), max(heights)
        room = max(high - low, 0.02 * max(abs(high), 1e-12))
        axes.set_ylim(low - 0.6 * room, high + 0.25 * room)
    _money_axis(axes.yaxis)
    axes.set_ylabel(f"mean, {answer['currency']} (axis does not begin at 0)" if steps else f"mean, {answer['currency']}")
    _plain_frame(axes, "y")


def waterfall_steps(answer: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(name, mean) of each lever, in their order: its Shapley share where the answer has one, else what it adds in its turn.

    They add up to the delta's mean; of more than MOST_BARS the smallest are one step.
    """
    parts = (answer.get("waterfall") or {}).get("parts")
    if parts:
        steps = [(str(part.get("name") or part.get("lever")), float(part["mean"])) for part in parts]
    else:
        steps = [(str(lever.get("name") or lever["type"]), float(lever["delta"]["mean"])) for lever in answer["levers"]]
    if len(steps) <= MOST_BARS:
        return steps
    largest = sorted(range(len(steps)), key=lambda number: -abs(steps[number][1]))[: MOST_BARS - 1]
    rest = sum(change for number, (_, change) in enumerate(steps) if number not in largest)
    return [*(steps[number] for number in sorted(largest)), (f"{len(steps) - len(largest)} others", rest)]


def _money_axis(axis: Any) -> None:
    axis.set_major_formatter(lambda value, _: _money(value))


def _money(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.3g}"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{_money(value)}"


def _plain_frame(axes: Axes, along: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x" if along == "x" else "y", color="#d8dee6", linewidth=0.6)
    axes.set_axisbelow(True)


def _short(text: str, longest: int = LONGEST_LABEL) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _title(answer: Mapping[str, Any]) -> str:
    change = answer["delta"]
    name = f"{_short(str(answer['name']), LONGEST_TITLE)}: " if answer.get("name") else ""
    where = answer.get("scope") or "the company"
    return f"{name}{_signed(change['mean'])} {answer['currency']} (P10 {_signed(change['p10'])}, P90 {_signed(change['p90'])}), {where}"


def _origin(answer: Mapping[str, Any]) -> str:
    return (
        f"{answer['start']} to {answer['end']} (exclusive) · snapshot {answer['snapshot_id'][:12]}, cutoff {answer['cutoff']} · {answer['cost']} cost"
    )
