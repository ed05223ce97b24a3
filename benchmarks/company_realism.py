"""How far is the generated company from real AI spend? Writes benchmarks/company_realism.json and the table in docs/reference/company.md.

Scenario `company_realism_v1`: companies of seeds 31 to 36 (8 teams, 548 days, no incidents), cut into windows as long as the real sets are;
the same statistics, computed by the same functions, on the real sets where their folder is given. Medians over series and windows.

    .venv/bin/python benchmarks/company_realism.py [--seeds 31,32,33,34,35,36] [--data FOLDER]

The folder is one that holds `ai_spend/*.parquet`; it is not part of the project. Without it the figures published for those sets stand.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.company.generate import generate

SCENARIO = "company_realism_v1"
STATISTICS = ("cv", "zero_share", "lag_1", "lag_7", "weekly", "weekly_above_shuffled", "jumps_per_100", "top_tenth")
RULES = ("last_7", "last_28", "median_28")

Floats = npt.NDArray[np.float64]
Figures = dict[str, float]

TRAINING = ("fine-tuning", "pre-training")
BATCHES = ("closing-reports", "index-refresh")
TOKEN_METERS = ("Input Tokens", "Cached Input Tokens", "Output Tokens")
WINDOWS = {
    "gpu_cluster": 31,
    "gpu_team": 31,
    "inference_service": 31,
    "gpu_class": 31,
    "llm_user": 200,
    "llm_user_model": 200,
    "api_demand": 23,
}
"""Days of the real sets, so that correlations of short series are compared with those of short series."""
PUBLISHED: dict[str, tuple[float | None, ...]] = {
    "gpu_cluster": (0.18, 0.0, 0.71, 0.33, 0.14, 0.085, 0.0, 0.12),
    "gpu_team": (0.44, 0.03, 0.47, 0.12, 0.26, 0.05, 0.0, 0.15),
    "inference_service": (0.09, 0.0, 0.94, 0.46, 0.23, 0.02, 0.0, 0.11),
    "gpu_class": (0.70, 0.17, 0.44, -0.02, 0.20, 0.03, 1.8, 0.20),
    "llm_user": (1.92, 0.32, 0.59, 0.25, 0.15, 0.07, 26.0, 0.54),
    "llm_user_model": (4.1, 0.90, 0.29, 0.15, 0.09, 0.01, None, 1.0),
    "api_demand": (0.41, 0.0, 0.39, 0.15, 0.40, 0.12, 0.0, 0.17),
}
"""Medians measured on the real sets and on others of their kind, in the order of STATISTICS; the middle where a range was published."""
TITLES = {
    "gpu_cluster": "GPU cluster totals",
    "gpu_team": "GPU teams",
    "inference_service": "inference services",
    "gpu_class": "GPU pods by class (training, notebooks)",
    "llm_user": "LLM spend per user",
    "llm_user_model": "LLM spend per user × model",
    "api_demand": "LLM API demand per product",
}
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "company.md"
BEGIN, END = "<!-- realism:begin -->", "<!-- realism:end -->"
RULE_DAYS = 200
REPLACEMENT = r"-[0-9a-f]{6}$"
"""What the name of a resource that took the place of another ends with."""


@dataclass(frozen=True)
class Panel:
    """Daily costs, days × series (NaN: not published), cut into windows of `window` days, the last one first (0: each series whole)."""

    table: pd.DataFrame
    window: int

    def series(self) -> Iterator[Floats]:
        """Every series in every window; those without any spend, or shorter than a week, are left out."""
        values = self.table.to_numpy(dtype=np.float64).T
        window = self.window or values.shape[1]
        for end in range(values.shape[1], window - 1, -window):
            for row in values[:, end - window : end]:
                known = row[~np.isnan(row)]
                if len(known) >= 7 and known.any():
                    yield known


def lag_correlation(values: Floats, lag: int) -> float:
    """Pearson correlation of a series with itself `lag` days later; NaN where it does not vary."""
    if len(values) < lag + 3 or np.ptp(values[:-lag]) == 0.0 or np.ptp(values[lag:]) == 0.0:
        return float("nan")
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def weekly_strength(values: Floats, rng: np.random.Generator, shuffles: int = 10) -> tuple[float, float]:
    """Share of the variance around the centred week that weekday means explain, and the same above that of a shuffled series."""
    around = values - pd.Series(values).rolling(7, center=True, min_periods=4).mean().to_numpy()
    if np.ptp(around) < 1e-9 * max(float(values.max()), 1e-9):
        return float("nan"), float("nan")
    weekday = np.arange(len(values)) % 7
    counts = np.bincount(weekday, minlength=7)

    def explained(series: Floats) -> float:
        means = np.bincount(weekday, series, minlength=7) / counts
        return float(1.0 - np.var(series - means[weekday]) / np.var(series))

    strength = explained(around)
    return strength, strength - float(np.mean([explained(rng.permutation(around)) for _ in range(shuffles)]))


def jump_share(values: Floats, times: float = 3.0) -> float:
    """Days per 100 on which spend exceeds `times` the median of the 28 days before (at least 7)."""
    usual = pd.Series(values).shift(1).rolling(28, min_periods=7).median().to_numpy()
    known = ~np.isnan(usual)
    return 100.0 * float((values[known] > times * usual[known]).mean()) if known.any() else float("nan")


def top_tenth(values: Floats) -> float:
    """Share of the total that lies in the dearest tenth of the days."""
    count = max(1, round(len(values) / 10))
    return float(np.sort(values)[-count:].sum() / values.sum())


def shape(panel: Panel) -> Figures:
    """Medians of STATISTICS over the panel's series, and how many there are."""
    rng = np.random.default_rng(0)
    found = []
    for values in panel.series():
        strength, above = weekly_strength(values, rng)
        found.append(
            (
                values.std() / values.mean(),
                (values == 0.0).mean(),
                lag_correlation(values, 1),
                lag_correlation(values, 7),
                strength,
                above,
                jump_share(values),
                top_tenth(values),
            )
        )
    medians = np.nanmedian(np.array(found), axis=0)
    return {name: round(float(value), 3) for name, value in zip(STATISTICS, medians, strict=True)} | {"n": float(len(found))}


def rule_errors(panel: Panel, horizon: int = 14) -> Figures:
    """WAPE of the next fortnight's total by three simple rules, each series weekly from its 29th day on; median over series."""
    found = []
    for values in panel.series():
        cutoffs = range(28, len(values) - horizon + 1, 7)
        actual = np.array([values[cutoff : cutoff + horizon].sum() for cutoff in cutoffs])
        if actual.sum() <= 0.0:
            continue
        before = [values[cutoff - 28 : cutoff] for cutoff in cutoffs]
        guesses = ([part[-7:].mean() for part in before], [part.mean() for part in before], [np.median(part) for part in before])
        found.append([float(np.abs(horizon * np.array(guess) - actual).sum() / actual.sum()) for guess in guesses])
    if not found:
        return {}
    return {name: round(float(value), 3) for name, value in zip(RULES, np.median(np.array(found), axis=0), strict=True)}


def model_lives(panel: Panel) -> float:
    """Median days from the first to the last day on which an AI model stands in a user's bill."""
    spans = [np.ptp(np.flatnonzero(values)) + 1 for values in panel.series()]
    return float(np.median(spans))


def month_factors(panel: Panel) -> Figures:
    """The dearest 30 days of a user relative to the median of the other 30-day periods with spend: median and 90th centile over users."""
    found = []
    for values in panel.series():
        months = values[len(values) % 30 :].reshape(-1, 30).sum(axis=1)
        rest = np.delete(months, months.argmax()) if len(months) else months
        if (rest > 0.0).any():
            found.append(float(months.max() / np.median(rest[rest > 0.0])))
    return {"median": round(float(np.median(found)), 1), "centile_90": round(float(np.quantile(found, 0.9)), 1)}


def weekly_change(table: pd.DataFrame) -> float:
    """Standard deviation of the log change of a total from week to week."""
    total = table.sum(axis=1).to_numpy(dtype=np.float64)
    weeks = total[len(total) % 7 :].reshape(-1, 7).sum(axis=1)
    return round(float(np.diff(np.log(weeks)).std()), 3)


def company_tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Daily tables of one generated bill by the names of `PUBLISHED`; lines without tags are left out.

    Tags are read whatever their case; a key or pool that was replaced is one series with its replacements.
    """
    tags = {text: {name.lower(): str(value).lower() for name, value in json.loads(text).items()} for text in rows["Tags"].dropna().unique()}
    models = {text: json.loads(text).get("ModelId") for text in rows["SkuPriceDetails"].dropna().unique()}
    lines = rows[rows["Tags"].notna()]
    resources = {name: re.sub(REPLACEMENT, "", name) for name in lines["ResourceId"].dropna().unique()}
    facts = pd.DataFrame(
        {
            "day": lines["ChargePeriodStart"].dt.normalize(),
            "cost": lines["EffectiveCost"],
            "provider": lines["ProviderName"],
            "resource": lines["ResourceId"].map(resources),
            "model": lines["SkuPriceDetails"].map(models),
            **{key: lines["Tags"].map({text: tag.get(key) for text, tag in tags.items()}) for key in ("team", "workload", "env")},
        }
    )
    machines = lines["SkuMeter"].str.contains("Instance Hours")
    serving = machines & (facts["env"] == "prod") & ~facts["workload"].isin(TRAINING)
    person = lines["ResourceType"] == "API Key"
    demand = (lines["SkuMeter"].isin(TOKEN_METERS)) & (facts["env"] == "prod") & ~facts["workload"].isin(BATCHES)
    days = pd.date_range(facts["day"].min(), facts["day"].max())

    def daily(chosen: pd.Series, *by: str) -> pd.DataFrame:
        table = facts[chosen].pivot_table(index="day", columns=list(by), values="cost", aggfunc="sum", fill_value=0.0)
        return table.reindex(days, fill_value=0.0)

    return {
        "gpu_cluster": daily(machines, "provider").sum(axis=1).to_frame("all"),
        "gpu_team": daily(machines, "team"),
        "inference_service": daily(serving, "team", "workload"),
        "gpu_class": daily(machines & ~serving, "team", "workload"),
        "llm_user": daily(person, "resource"),
        "llm_user_model": daily(person, "resource", "model"),
        "api_demand": daily(demand, "provider", "team", "workload"),
    }


def side_by_side(companies: Sequence[dict[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """The tables of several companies as one."""
    numbered = [
        {name: table.set_axis([f"{number}:{column}" for column in range(table.shape[1])], axis=1) for name, table in tables.items()}
        for number, tables in enumerate(companies)
    ]
    return {name: pd.concat([tables[name] for tables in numbered], axis=1) for name in PUBLISHED}


def real_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The same tables from the real sets of a folder; what is not in it is missing here."""

    def daily(file: str, by: str | None) -> pd.DataFrame:
        frame = pd.read_parquet(folder / "ai_spend" / file)
        keys = [frame["ds"].dt.normalize(), *([frame[by]] if by else [])]
        found = frame.groupby(keys)["cost"].sum()
        table = found.reset_index().pivot_table(index="ds", columns=by, values="cost") if by else found.to_frame()
        return table.asfreq("D")

    market = daily("openrouter_daily.parquet", "unique_id").fillna(0.0)
    return {
        "gpu_cluster": daily("helios_earth_hourly.parquet", None),
        "gpu_team": daily("helios_earth_hourly.parquet", "unique_id"),
        "inference_service": daily("dlrm_hourly.parquet", "unique_id"),
        "llm_user": daily("llm_personal_daily.parquet", "unique_id"),
        "api_demand": market.loc[:, (market > 0.0).all()],
    }


def measured(tables: dict[str, pd.DataFrame], windows: dict[str, int]) -> dict[str, Any]:
    """Shapes, errors of simple rules and level facts of some tables."""
    panels = {name: Panel(table, windows.get(name, 0)) for name, table in tables.items()}
    found: dict[str, Any] = {"shape": {name: shape(panel) for name, panel in panels.items()}}
    errors = {
        name: rule_errors(Panel(tables[name], RULE_DAYS if windows else 0))
        for name in ("gpu_cluster", "llm_user", "llm_user_model")
        if name in tables
    }
    found["rule_errors"] = {name: figures for name, figures in errors.items() if figures}
    found["month_factors"] = month_factors(panels["llm_user"])
    if "llm_user_model" in panels:
        found["model_life_days"] = model_lives(panels["llm_user_model"])
    return found


def measure(seeds: Sequence[int], folder: Path | None) -> dict[str, Any]:
    """Everything that the report says."""
    companies = [company_tables(generate(seed, incidents=False).rows) for seed in seeds]
    generated = measured(side_by_side(companies), WINDOWS)
    generated["weekly_log_change_of_api_total"] = round(float(np.median([weekly_change(tables["api_demand"]) for tables in companies])), 3)
    figures = {"generated": generated, "published": {name: dict(zip(STATISTICS, row, strict=True)) for name, row in PUBLISHED.items()}}
    return figures | ({"real": measured(real_tables(folder), {})} if folder else {})


def markdown(figures: dict[str, Any]) -> str:
    """The table of real and generated figures; of a published range the middle."""
    titles = ("CV", "zero share", "lag-1", "lag-7", "weekly", "above shuffled", "> 3× median per 100", "top tenth")
    lines = ["", f"| median, real → generated | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]

    def number(value: float | None, digits: int) -> str:
        return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")

    for name, title in TITLES.items():
        real, made = figures["published"][name], figures["generated"]["shape"][name]
        digits = {statistic: 1 if statistic == "jumps_per_100" else 2 for statistic in STATISTICS}
        cells = [f"{number(real[statistic], digits[statistic])} → {number(made[statistic], digits[statistic])}" for statistic in STATISTICS]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    rules, months = figures["generated"]["rule_errors"], figures["generated"]["month_factors"]
    errors = {name: " / ".join(f"{rules[name][rule]:.2f}" for rule in RULES) for name in rules}
    lines += [
        "",
        "| | real | generated |",
        "|---|---|---|",
        f"| WAPE of the next 14 days' total by last 7 / last 28 / median 28: GPU cluster | .07–.13 / .08–.10 / .08–.10 | {errors['gpu_cluster']} |",
        f"| the same: LLM users | .48 / .56 / .65 | {errors['llm_user']} |",
        f"| the same: user × AI model | .96–1.5 | {errors['llm_user_model']} |",
        f"| dearest month of a user ÷ the usual one: median, 90th centile | 5–100 | {months['median']}, {months['centile_90']} |",
        f"| days from the first to the last use of an AI model by a user | 7.5–44 | {figures['generated']['model_life_days']:.0f} |",
        f"| sd of the weekly log change: a market, this company's API total | .22 | {figures['generated']['weekly_log_change_of_api_total']:.2f} |",
        "",
    ]
    return "\n".join(lines)


def rendered(text: str, figures: dict[str, Any]) -> str:
    """A page with its block written anew."""
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{markdown(figures)}\n{END}{rest.split(END, 1)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="31,32,33,34,35,36")
    parser.add_argument("--data", type=Path, help="folder with ai_spend/*.parquet")
    parser.add_argument("--out", default=str(Path(__file__).with_name("company_realism.json")))
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    result = {SCENARIO: {"seeds": seeds, **measure(seeds, arguments.data)}}
    Path(arguments.out).write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8"), result[SCENARIO]), encoding="utf-8")
    print(json.dumps(result[SCENARIO], indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
