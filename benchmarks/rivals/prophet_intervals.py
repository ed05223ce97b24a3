"""What Prophet expects of rows to come, with its 95 % interval, for `benchmarks/labelled_anomalies.py`. Runs in the environment of the rivals.

    PYTHON prophet_intervals.py DIR     DIR/<window>/{train.parquet, task.json} → DIR/<window>/prophet.parquet (ds, low, middle, high)

What is there already is not computed again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
from run_rivals import QUANTILES, prophet, read_task


def main() -> None:
    for file in sorted(Path(sys.argv[1]).glob("*/task.json")):
        answer = file.parent / "prophet.parquet"
        if answer.exists():
            continue
        task = read_task(file.parent)
        steps = prophet(task)[0][0]
        ahead = pd.date_range(task.train["ds"].iloc[-1], periods=task.horizon + 1, freq=task.freq)[1:]
        bounds = {name: steps[:, QUANTILES.index(level)] for name, level in (("low", 0.025), ("middle", 0.5), ("high", 0.975))}
        pd.DataFrame({"ds": ahead, **bounds}).to_parquet(answer, index=False)
        print(json.loads(file.read_text())["ids"][0], task.horizon, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
