"""Write the README's figures from the recorded results, so that they cannot drift apart; a test checks it.

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
    calibration = json.loads((HERE / "calibration.json").read_text())["calibration_company_v1"]
    metrics = calibration["metrics"]
    lines = [
        "",
        (
            f"Totals of the next days on {len(calibration['seeds'])} generated companies × {calibration['cutoffs']} cutoffs"
            " (`calibration_company_v1`); WAPE is the share of the money that was misplaced:"
        ),
        "",
        "| totals of | 80 % intervals held (all nodes) | leaves | teams | company | WAPE of teams | run rate's | last week's |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for days in (7, 28, 91):
        spend = {level: metrics[f"spend/{level}/{days}"] for level in ("all", "leaf", "team", "company")}
        cells = [f"{spend[level]['coverage_80']:.0%}" for level in ("all", "leaf", "team", "company")]
        cells += [f"{metrics[f'{name}/team/{days}']['wape']:.1%}" for name in ("spend", "run_rate", "seasonal_naive")]
        lines.append(f"| {days} days | {' | '.join(cells)} |")
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


def rendered(text: str) -> str:
    """The README with its block written anew."""
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END, 1)[1]}"


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
