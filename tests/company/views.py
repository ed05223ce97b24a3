"""How the tests read a generated bill: by the leaf dimensions, per day. Written apart from the package on purpose."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pandas as pd

LEAF = ["provider", "service", "team", "stage", "workload"]


def with_dimensions(rows: pd.DataFrame) -> pd.DataFrame:
    """Cost, day and the leaf dimensions of each row."""
    tags = {text: json.loads(text) for text in rows["Tags"].dropna().unique()}
    return pd.DataFrame(
        {
            "day": rows["ChargePeriodStart"].dt.normalize(),
            "cost": rows["EffectiveCost"],
            "provider": rows["ProviderName"],
            "service": rows["ServiceName"],
            "team": rows["Tags"].map({text: value["team"] for text, value in tags.items()}).fillna(rows["SubAccountName"]),
            "stage": rows["Tags"].map({text: value["env"] for text, value in tags.items()}).fillna("(none)"),
            "workload": rows["Tags"].map({text: value["workload"] for text, value in tags.items()}).fillna("(none)"),
            "resource": rows["ResourceId"],
            "resource_type": rows["ResourceType"],
            "meter": rows["SkuMeter"],
        }
    )


def daily(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Cost by day (index) and group (columns), zero where nothing was charged."""
    table = rows.pivot_table(index="day", columns=by, values="cost", aggfunc="sum", fill_value=0.0)
    return table.reindex(pd.date_range(rows["day"].min(), rows["day"].max()), fill_value=0.0)


def from_first_use(series: pd.Series) -> npt.NDArray[np.float64]:
    values = series.to_numpy(dtype=np.float64)
    return values[int(np.flatnonzero(values)[0]) :]


def autocorrelation(values: npt.NDArray[np.float64], lag: int) -> float:
    """Pearson correlation of a series with itself `lag` days later; NaN where it does not vary."""
    if len(values) < lag + 3 or values[:-lag].std() == 0.0 or values[lag:].std() == 0.0:
        return float("nan")
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def variation(values: npt.NDArray[np.float64]) -> float:
    return float(values.std() / values.mean())
