"""The streaming detector on the Numenta Anomaly Benchmark (v1.1 rules). Writes benchmarks/nab.json.

Scenario `nab_v1`: `SpikeDetector(freq="5min").stream()` over every file, row by row in effect, value range unknown, one configuration; per
profile one threshold for all files. `at_declared_rate` is the score at 0.5, where the operator's rate puts the threshold and no label was
seen. `left_out` is the score when each group's threshold comes from the other groups. The detector was chosen on the development
folders; where the data hold more folders, those are scored at the threshold of the development folders too. The data are not part of
this repository: give a NAB checkout or a folder with nab.parquet and nab_labels.json.

    .venv/bin/python benchmarks/nab.py --data FOLDER
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray

from benchmarks.nab_score import PROFILES, Corpus, Scores, best_threshold, bounds, folder, load, part, score_at
from forecast.anomalies.detector import SpikeDetector

SCENARIO = "nab_v1"
DEVELOPMENT = ("artificialNoAnomaly", "artificialWithAnomaly", "realAWSCloudwatch")
"""Folders on which the detector was chosen."""


def scores_of(corpus: Corpus) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Scores of every file, each from a stream of its own, and rows per second of CPU."""
    found, began = {}, time.process_time()
    for name, truth in corpus.items():
        found[name] = SpikeDetector(freq="5min").stream().score_many(truth.values, truth.times)
    rows = sum(len(truth.values) for truth in corpus.values())
    return found, rows / (time.process_time() - began)


def groups(corpus: Corpus) -> dict[str, Corpus]:
    """Files by folder; the two artificial folders are one, and the cloud folder is split by what is measured."""
    found: dict[str, Corpus] = {}
    for name, truth in corpus.items():
        group = folder(name)
        if group.startswith("artificial"):
            group = "artificial"
        elif group == "realAWSCloudwatch":
            file = name.split("/")[1]
            group = "cloud: processors" if file.startswith("ec2_cpu") else "cloud: disks and networks" if file.startswith("ec2") else "cloud: others"
        found.setdefault(group, {})[name] = truth
    return found


def left_out(corpus: Corpus, scores: Scores, profile: str) -> float:
    """Score of all files, each group's at the threshold that is best on the other groups."""
    nothing, perfect = bounds(corpus, PROFILES[profile][1])
    raw = 0.0
    for group in groups(corpus).values():
        others = {name: truth for name, truth in corpus.items() if name not in group}
        low, high = bounds(group, PROFILES[profile][1])
        score = score_at(group, scores, profile, best_threshold(others, scores, profile))["score"]
        raw += low + score / 100.0 * (high - low) if high > low else score
    return 100.0 * (raw - nothing) / (perfect - nothing)


def judged(corpus: Corpus, scores: Scores) -> dict[str, Any]:
    """Per profile: score, threshold, counts, groups, and what it is without choosing the threshold on the same files."""
    result: dict[str, Any] = {}
    for profile in PROFILES:
        threshold = best_threshold(corpus, scores, profile)
        result[profile] = {
            **score_at(corpus, scores, profile, threshold),
            "threshold": threshold,
            "at_declared_rate": score_at(corpus, scores, profile, 0.5),
            "left_out": left_out(corpus, scores, profile),
            "groups": {name: score_at(group, scores, profile, threshold) for name, group in sorted(groups(corpus).items())},
        }
    return result


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("nab.json"))
    arguments = parser.parse_args()
    corpus = load(arguments.data)
    scores, speed = scores_of(corpus)
    found: dict[str, Any] = {"files": len(corpus), "rows_per_second": int(round(speed, -3)), **judged(corpus, scores)}
    development = part(corpus, DEVELOPMENT)
    aside = {name: truth for name, truth in corpus.items() if name not in development}
    if aside:
        found["development"] = judged(development, scores)
        found["aside_at_development_threshold"] = {
            profile: score_at(aside, scores, profile, found["development"][profile]["threshold"]) for profile in PROFILES
        }
    arguments.out.write_text(json.dumps({SCENARIO: rounded(found)}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for profile in PROFILES:
        cell = found[profile]
        print(
            f"{profile}: {cell['score']:.1f} at {cell['threshold']:.3f} ({cell['found']} of {cell['windows']} windows, "
            f"{cell['false_alarm_rows']} false rows), left out {cell['left_out']:.1f}, at 0.5 {cell['at_declared_rate']['score']:.1f}"
        )
    print(f"{found['rows_per_second']:,} rows/s")


if __name__ == "__main__":
    main()
