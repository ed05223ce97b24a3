"""Model cards: what a forecaster is, what it learned from, and how good it was, written from facts and never by hand.

`python -m training.cards` runs the benchmark of `models/spend` on generated companies and rewrites card.md and metrics.json.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.adapters.folders import canonical
from forecast.adapters.ledger import Ledger
from forecast.config import Settings, load_settings
from forecast.evaluation.reliability import coverage_table
from training.backtest import judge, load_history
from training.specs import MODELS, Spec, load_spec

SEEDS = (7, 8, 9)
SCENARIO = "company_548d_v2"
"""Permanent: the generated company of `seed` with 548 days and planted incidents. Another workload gets another name."""
_METRICS = ("wape", "bias", "coverage_50", "coverage_80", "coverage_95", "scaled_crps", "brier", "wape_run_rate", "wape_seasonal_naive", "skill")
_WHAT = (
    "Joint sample paths of daily AI spend for every leaf of the hierarchy; all answers are reductions of them. "
    "Means add up over rows, quantiles do not."
)
_HOW = (
    "Rolling origin, fitted anew at each cutoff, judged on totals of the next days. WAPE is the share of the money that was misplaced, "
    "bias is positive where the forecast is too high, skill is 1 − WAPE / WAPE of repeating the last week."
)
_LEVELS = ("company", "team", "provider", "leaf")


def model_card(
    spec: Mapping[str, Any], facts: Mapping[str, Any], summary: pd.DataFrame, coverage: pd.DataFrame, learned: Mapping[str, Any], notes: Sequence[str]
) -> str:
    """Markdown. facts : what it was trained on, name → value. learned : the forecaster's own facts (`card_`).

    summary : see `Backtest.summary`. coverage : see `coverage_table`.
    """
    params = ", ".join(f"{name} = {_text(value)}" for name, value in spec["params"].items())
    parts = [
        f"# {spec['name']}: {spec['forecaster']}",
        _WHAT,
        "## Trained on",
        "\n".join(f"- {name}: {_text(value)}" for name, value in facts.items()),
        f"Parameters: {params or 'defaults'}.",
        "## Accuracy",
        _HOW,
        accuracy_table(summary),
        "## Interval coverage",
        "Share of actual totals inside the interval, with a 90 % bootstrap interval over cutoffs and series.",
        coverage_markdown(coverage),
        "![interval coverage of totals, said against seen](coverage.png)",
        "## Overrun probabilities",
        (
            "Budgets at 90 to 125 % of the run rate: the probability said before the period against the share that overran, with Wilson intervals "
            "that take rows for independent (they are not, so the true intervals are wider). On the diagonal is right."
        ),
        "![overrun probabilities said against overruns seen](reliability.png)",
        "Where the actual totals fell in their predictive distributions; flat is right, a hump too wide, a bowl too narrow, a slope biased.",
        "![histograms of the probability integral transform](pit.png)",
    ]
    if learned:
        parts += ["## Learned", "\n".join(f"- {name}: {_text(value)}" for name, value in learned.items())]
    parts += [
        "## Limits",
        "\n".join(
            f"- {line}"
            for line in (
                *notes,
                "What is planned and was not entered as an event is not foreseen.",
                "New workloads that begin after the cutoff are not foreseen; the sums above them carry the error.",
            )
        ),
    ]
    return "\n\n".join(parts) + "\n"


def accuracy_table(summary: pd.DataFrame) -> str:
    """Markdown of the summary's main levels."""
    lines = [
        "| level | days | series | cutoffs | WAPE | bias | last week's WAPE | run rate's WAPE | skill |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in _chosen(summary).to_dict("records"):
        numbers = [_percent(row[name]) for name in ("wape", "bias", "wape_seasonal_naive", "wape_run_rate")]
        lines.append(f"| {row['level']} | {row['days']} | {row['series']} | {row['cutoffs']} | {' | '.join(numbers)} | {_number(row['skill'])} |")
    return "\n".join(lines)


def coverage_markdown(coverage: pd.DataFrame) -> str:
    lines = ["| level | days | nominal | empirical | 90 % interval | rows |", "|---|---|---|---|---|---|"]
    for row in _chosen(coverage).to_dict("records"):
        between = f"{_percent(row['lower'])} to {_percent(row['upper'])}"
        lines.append(f"| {row['level']} | {row['days']} | {_percent(row['nominal'])} | {_percent(row['empirical'])} | {between} | {row['n']} |")
    return "\n".join(lines)


def _chosen(table: pd.DataFrame) -> pd.DataFrame:
    place = {level: number for number, level in enumerate(_LEVELS)}
    kept = table[table["level"].isin(list(place))]
    return kept.assign(place=kept["level"].map(place)).sort_values(["place", "days"], kind="stable")


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return "; ".join(_text(item) for item in value) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if math.isfinite(value) else "–"


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


# The benchmark behind models/<name>


def judge_company(seed: int, spec: Spec, settings: Settings, days: int = 548, teams: int = 8) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows of a backtest on the generated company of `seed` (read through a real ledger), and how large it is."""
    from forecast.company.generate import generate

    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.parquet"
        generate(seed=seed, days=days, teams=teams).rows.to_parquet(rows)
        ledger = Ledger(Path(folder) / "ledger")
        ledger.ingest([rows], received_at=datetime(2027, 1, 1, tzinfo=UTC))
        history = load_history(settings, ledger, cutoff=None, cost="effective")
        result, _ = judge(history, spec, settings)
    return result.rows.assign(seed=seed), {"leaves": history.matrix.n_series, "days": history.matrix.n_periods, "cutoffs": len(result.cutoffs)}


def metrics_of(summary: pd.DataFrame, scenario: str) -> dict[str, dict[str, Any]]:
    """Scenario id → {n, metric: value} with six digits, no time and no host."""
    found: dict[str, dict[str, Any]] = {}
    for row in _chosen(summary).to_dict("records"):
        numbers = {name: round(float(row[name]), 6) for name in _METRICS if math.isfinite(row[name])}
        found[f"{scenario}/{row['level']}/{row['days']}d"] = {"n": int(row["n"]), **numbers}
    return found


def write_cards(name: str | None = None, models: Path = MODELS, seeds: Sequence[int] = SEEDS, days: int = 548, teams: int = 8) -> dict[str, Any]:
    """Run the benchmark and write models/<name>/{card.md, metrics.json} and the card's pictures; returns the metrics."""
    from forecast.evaluation.summary import summarise
    from training.plots import backtest_pictures

    spec = load_spec(name, models)
    metrics: dict[str, Any] = {}
    frames, sizes = [], {}
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home=Path(home))
        for seed in seeds:
            rows, sizes[seed] = judge_company(seed, spec, settings, days, teams)
            metrics.update(metrics_of(summarise(rows), f"{SCENARIO}/seed{seed}"))
            # Cutoffs and series of different companies are different things; the bootstrap must not take them for the same.
            frames.append(rows.assign(unique_id=f"{seed}/" + rows["unique_id"].astype(str), cutoff=f"{seed}/" + rows["cutoff"].astype(str)))
    pooled = pd.concat(frames, ignore_index=True)
    summary, coverage = summarise(pooled), coverage_table(pooled)
    metrics.update(metrics_of(summary, f"{SCENARIO}/pooled"))
    facts = {
        "scenario": f"`{SCENARIO}`, generated companies of seeds {', '.join(map(str, seeds))}",
        **{f"seed {seed}": size for seed, size in sizes.items()},
    }
    notes = ["The figures are of generated companies; how far these are from real ones stands in docs/reference/company.md."]
    folder = models / spec.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.md").write_text(model_card(spec.describe(), facts, summary, coverage, {}, notes), encoding="utf-8")
    for file, picture in backtest_pictures(pooled, coverage).items():
        (folder / file).write_bytes(picture)
    (folder / "metrics.json").write_bytes(canonical(dict(sorted(metrics.items()))))
    return metrics


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark a spec on generated companies and rewrite its card and metrics.")
    parser.add_argument("name", nargs="?", help="folder under models/; default the champion's")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    arguments = parser.parse_args()
    metrics = write_cards(arguments.name, seeds=arguments.seeds)
    print(json.dumps({name: values for name, values in metrics.items() if "/pooled/" in name}, indent=1))


if __name__ == "__main__":
    main()
