"""How the tests read a generated bill: by the leaf dimensions, per day. Written apart from the package on purpose."""

from __future__ import annotations

import json

import pandas as pd

LEAF = ["provider", "service", "team", "stage", "workload"]


def with_dimensions(rows: pd.DataFrame) -> pd.DataFrame:
    """Cost, day and the leaf dimensions of each row; upper and lower case of tag keys, teams and stages are not told apart."""
    tags = {text: {key.lower(): value for key, value in json.loads(text).items()} for text in rows["Tags"].dropna().unique()}

    def tag(key: str) -> pd.Series:
        return rows["Tags"].map({text: value[key] for text, value in tags.items()})

    return pd.DataFrame(
        {
            "day": rows["ChargePeriodStart"].dt.normalize(),
            "cost": rows["EffectiveCost"],
            "provider": rows["ProviderName"],
            "service": rows["ServiceName"],
            "team": tag("team").str.lower().fillna(rows["SubAccountName"]).fillna("(none)"),
            "stage": tag("env").str.lower().fillna("(none)"),
            "workload": tag("workload").fillna("(none)"),
            "resource": rows["ResourceId"],
            "resource_type": rows["ResourceType"],
            "meter": rows["SkuMeter"],
        }
    )


def daily(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Cost by day (index) and group (columns), zero where nothing was charged."""
    table = rows.pivot_table(index="day", columns=by, values="cost", aggfunc="sum", fill_value=0.0)
    return table.reindex(pd.date_range(rows["day"].min(), rows["day"].max()), fill_value=0.0)
