"""Write the README's figures from the recorded results, so that they cannot drift apart (a test checks it), and the picture of overrun probabilities.

.venv/bin/python benchmarks/figures.py
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"


def table() -> str:
    """Markdown of the block between the markers."""
    calibration = json.loads((HERE / "calibration.json").read_text())["calibration_company_v2"]
    metrics = calibration["metrics"]
    lines = [
        "",
        (
            f"Totals of the next days on {len(calibration['seeds'])} generated companies that nothing was tuned on × {calibration['cutoffs']} cutoffs"
            f" (`calibration_company_v2`). In brackets: how many of {calibration['futures']} known alternative futures of the same company fall into"
            " the interval. WAPE is the share of the money that was misplaced:"
        ),
        "",
        "| totals of | 80 % intervals held: leaves | teams | company | WAPE of teams | run rate's | last week's |",
        "|---|---|---|---|---|---|---|",
    ]
    for days in (7, 28, 91):
        level = {name: metrics[f"{name}/{days}"] for name in ("leaf", "team", "company")}
        cells = [f"{level['leaf']['coverage_80'][0]:.0%}"]
        cells += [f"{level[name]['coverage_80'][0]:.0%} ({level[name]['true_coverage_80']:.0%})" for name in ("team", "company")]
        cells += [f"{level['team'][name]:.1%}" for name in ("wape", "wape_run_rate", "wape_seasonal_naive")]
        lines.append(f"| {days} days | {' | '.join(cells)} |")
    real = json.loads((HERE / "real_panels.json").read_text())["real_ai_spend_v1"]
    pooled = real["pooled over windows/7"]
    apart = [metrics[f"{name}/28"]["overrun_apart"] for name in ("company", "team")]
    lines += [
        "",
        (
            f"Overrun probabilities of 28-day budgets at 90–125 % of the run rate lie {apart[0]:.2f} (company) and {apart[1]:.2f} (teams) from the"
            f" true ones on average. On five public sets of real AI spend (`real_ai_spend_v1`, {pooled['n']:,} weekly totals) 80 % intervals held"
            f" {pooled['coverage_80']:.0%}."
        ),
    ]
    lines += ["", *_overruns(), "", *_spikes(), "", _scenarios(), "", *_boards(), "", _engine(), "", _ledger()]
    latency = json.loads((HERE / "serving_latency.json").read_text())
    new, ratio = latency["figures"]["forecast_new"], latency["ratio_to_empty_api"]["forecast_new"]
    lines += [
        "",
        (
            f"The service, one worker on {latency['cores']} shared cores, questions never asked before (`{latency['scenario']}`): `/v1/forecast` p50"
            f" {new['p50_ms']:.1f} ms, p99 {new['p99_ms']:.1f} ms; {ratio:.0%} of the requests/s of an empty endpoint."
        ),
        "",
    ]
    return "\n".join(lines)


RIVALS = {
    "ours": "this",
    "median_ets_theta_ces": "median of ETS, Theta, CES",
    "theta": "Theta",
    "lightgbm": "LightGBM",
    "prophet": "Prophet",
    "run_rate": "run rate",
}
"""Methods of the board that the README shows, and what it calls them."""


def _overruns() -> list[str]:
    """What probabilities of quarters' budgets are worth."""
    recorded = json.loads((HERE / "company_forecasts.json").read_text())["company_forecasts_v1"]
    lines = [
        (
            f"Budgets of a quarter at 85–130 % of the run rate, {len(recorded['seeds'])} other companies (`company_forecasts_v1`,"
            " [picture](docs/how-to/overrun-answers.md#how-far-to-believe-it)); the true probability is that of simulated futures:"
        ),
        "",
        "| budgets of | said and seen apart | from the true probability | Brier skill over run rate ± its noise | over an interval read backwards |",
        "|---|---|---|---|---|",
    ]
    for level, text in (("company", "the company"), ("team", "teams"), ("leaf", "single workloads")):
        skill = {rule: recorded["skill"][level][f"ours/{rule}"]["brier"][0] for rule in ("run_rate_normal", "interval_inversion")}
        apart, away = recorded["calibration_error"][level]["ours"]["came"][0], recorded["levels"][level]["ours"]["overrun_apart"][0]
        lines.append(f"| {text} | {apart:.1%} | {away:.2f} | {skill['run_rate_normal']:.2f} | {skill['interval_inversion']:.2f} |")
    return lines


SPIKE_METHODS = {
    "signs/blind/4": "this",
    "signs/adapted/4": "this, what it found confirmed by people",
    "percent_and_money/blind/4": "percent and money",
    "interquartile/blind/4": "interquartile range",
    "z_score/blind/4": "z-score",
}


def _spikes() -> list[str]:
    """Planted incidents at a declared rate of false ones."""
    recorded = json.loads((HERE / "company_spikes.json").read_text())["company_spikes_v1"]
    figures, ours = recorded["figures"], recorded["figures"]["signs/blind/4"]
    lines = [
        (
            f"Planted incidents of at least a tenth of their workload's month on {len(recorded['seeds'])} generated companies kept aside"
            f" (`company_spikes_v1`, {ours['incidents']} incidents), every method told to raise at most 4 false incidents a month:"
        ),
        "",
        "| | found | of these by the second day's data | false a month | alarms for each cause |",
        "|---|---|---|---|---|",
    ]
    for name, text in SPIKE_METHODS.items():
        one = figures[name]
        cells = (f"{one['recall'][0]:.0%}", f"{one['within_a_day'][0]:.0%}", f"{one['false_a_month'][0]:.1f}", f"{one['alarms_per_incident'][0]:.2f}")
        lines.append(f"| {text} | {' | '.join(cells)} |")
    causes = f"the first cause named is right for {ours['first'][0]:.0%}, the whole set for {ours['exact'][0]:.0%}"
    return [*lines, "", f"Of those that are found, {causes}."]


def _scenarios() -> str:
    """What-if answers against the same futures lived with and without the lever."""
    recorded = json.loads((HERE / "scenarios.json").read_text())["scenarios_v1"]
    held = recorded["figures"]["all"]["coverage_80"][0]
    every, month, quarter = (recorded["figures"][name]["ratio"][0] for name in ("all", "28", "91"))
    return (
        f"What-if effects against the same futures lived with and without the lever ({len(recorded['seeds'])} more companies, `scenarios_v1`):"
        f" the 80 % interval of the effect held {held:.0%}; the expected effect misses {every:.2f} times as much as the factor times the last"
        f" 28 days ({month:.2f} over a month, {quarter:.2f} over a quarter), because storage, licences and serving pools do not follow demand"
        " as tokens do; on tokens alone it is hardly better."
    )


def _engine() -> str:
    """How fast many series are forecast."""
    recorded = json.loads((HERE / "engine_speed.json").read_text())["engine_speed_v1"]
    largest = recorded["sizes"][str(recorded["limits"]["series"])]
    ets, prophet, mstl = (f"{recorded['rivals'][name]['times_faster']:.0f}" for name in ("auto_ets", "prophet", "mstl"))
    return (
        f"Ten thousand daily series of two years are learnt and simulated (92 days, 500 paths) in {largest['seconds']:.0f} s with"
        f" {largest['peak_gib']:.1f} GiB; AutoETS takes {ets} times as long for a series, Prophet {prophet} times, MSTL {mstl} times."
    )


def _boards() -> list[str]:
    """Losses on public panels beside rivals of the same run, and the M4 competition."""
    pools = json.loads((HERE / "panels.json").read_text())["pools"]
    shown = {name: text for name, text in RIVALS.items() if f"steps_vs_naive/{name}" in pools["all"]["figures"]}
    lines = [
        (
            "Quantile loss on public panels relative to joint seasonal naive (below 1 is better), steps / period totals, every method on the same"
            " windows (`panel_*_v1`; the development panels, so a little flattering):"
        ),
        "",
        f"| | {' | '.join(shown.values())} |",
        f"|---|{'---|' * len(shown)}",
    ]
    for pool, text in (("all", "nine panels"), ("ai", "the five of AI spend")):
        figures = pools[pool]["figures"]
        cells = [f"{figures[f'steps_vs_naive/{name}'][0]:.2f} / {figures[f'totals_vs_joint/{name}'][0]:.2f}" for name in shown]
        lines.append(f"| {text} | {' | '.join(cells)} |")
    m4 = json.loads((HERE / "m4.json").read_text())
    scores = [
        f"{name}: OWA {m4[f'm4_{name}_v1']['points']['OWA']:.3f}, MSIS {m4[f'm4_{name}_v1']['intervals']['MSIS']:.1f},"
        f" 95 % intervals held {m4[f'm4_{name}_v1']['intervals']['coverage_95']:.0%} ({m4[f'm4_{name}_v1']['series']} series)"
        for name in ("weekly", "hourly")
    ]
    return [*lines, "", f"M4 competition, on the series we have ({'; '.join(scores)})."]


def _ledger() -> str:
    """How fast bills come in."""
    recorded = json.loads((HERE / "ledger_ingestion.json").read_text())
    figures = recorded["figures"]
    parquet, csv, panel = (figures[name] for name in ("ingest_parquet_10_million_v1", "ingest_csv_v1", "panel_50_million_v1"))
    kills = json.loads((HERE / "ingestion_kills.json").read_text())
    return (
        f"Ten million FOCUS lines come in at {parquet['lines_per_second']:,} lines/s with {parquet['peak_gib']:.1f} GiB"
        f" (CSV {csv['lines_per_second']:,}/s); a daily panel over fifty million costs {panel['ratio']:.2f} times bare DuckDB;"
        f" {kills['identical_after_the_second_run']} of {kills['runs']} killed ingestions ended in the undisturbed ledger."
    )


PICTURE = HERE.parent / "docs" / "images" / "overrun-reliability.svg"


def picture() -> None:
    """Said against seen on generated companies: ours, and what consoles do."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    recorded = json.loads((HERE / "company_forecasts.json").read_text())["company_forecasts_v1"]
    shown = (
        ("ours", "this product", "#1f5fa8", "o"),
        ("interval_inversion", "interval read backwards", "#c07a1a", "s"),
        ("run_rate_normal", "run rate ± its noise", "#888888", "^"),
    )
    with mpl.rc_context({"svg.hashsalt": "overrun-reliability", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8.2, 3.9), layout="constrained")
        FigureCanvasSVG(figure)
        for place, level in enumerate(("company", "team")):
            axes = figure.add_subplot(1, 2, place + 1)
            axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8, linestyle="--")
            for method, text, colour, mark in shown:
                bins = recorded["reliability"][level][method]
                spread = [[one["seen"] - one["lower"] for one in bins], [one["upper"] - one["seen"] for one in bins]]
                said, seen = [one["said"] for one in bins], [one["seen"] for one in bins]
                axes.errorbar(said, seen, yerr=spread, fmt=f"{mark}-", color=colour, markersize=4, capsize=2, linewidth=1, label=text)
            axes.set(
                xlabel="probability of an overrun that was said",
                title=f"budgets of the {level}" if level == "company" else "budgets of teams",
                xlim=(-0.02, 1.02),
                ylim=(-0.02, 1.02),
            )
            if not place:
                axes.set_ylabel("share that overran")
                axes.legend(loc="upper left", frameon=False)
        figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})


def rendered(text: str) -> str:
    """The README with its block written anew."""
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END, 1)[1]}"


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
    picture()
