"""Requests to the products of a generated company: what its users do, beside what it pays for it.

The traffic that `circumstances.py` draws, as a product's own metrics would count it: whole requests a day from the launch on. The spend of a
product's leaves follows it with noise of its own, prices, moves between AI models, and (for GPUs) in steps; trials, developers and batches do not.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from forecast.company import organisation
from forecast.company.circumstances import Backdrop
from forecast.company.generate import check_sizes
from forecast.company.span import Span
from forecast.company.stretch import Streams, Stretch
from forecast.spend.scope import Scope

REQUESTS = 20_000
"""A day, of a product at its usual traffic."""


def requests_of(seed: int, days: int = 548, teams: int = 8, end: date = date(2026, 11, 1)) -> pd.DataFrame:
    """Columns name, scope (text), ds, value: requests of each product workload of `generate(seed, days, teams, end=end)`, a row a day it lives.

    The scope is what serves it: its leaves in production.
    """
    check_sizes(seed, days, teams, "D", end, 1)
    streams = Streams(seed)
    company = organisation.found(streams, days, teams)
    span = Span(end - timedelta(days=days), end)
    now = Backdrop.drawn(company, streams).run(Stretch.beginning(span, streams, days))
    served = {leaf.life: leaf for leaf in reversed(company.leaves) if leaf.kind == "api_demand"}
    life = np.array(sorted(served), dtype=np.int64)
    ramp = np.array([served[number].ramp_days for number in life.tolist()])
    size = now.lived.size(now.stretch.day, life, np.zeros(len(life), dtype=np.bool_), ramp)[:, 0]
    value = np.floor(REQUESTS * size * now.traffic[:, 0, life] + 0.5)
    row, column = np.nonzero(size > 0)
    names, scopes = [], []
    for number in life.tolist():
        leaf = served[number]
        names.append(f"{leaf.team} {leaf.workload} requests")
        scopes.append(str(Scope.parse({"team": leaf.team, "stage": leaf.stage, "workload": leaf.workload})))
    found = pd.DataFrame(
        {
            "name": np.array(names, dtype=object)[column],
            "scope": np.array(scopes, dtype=object)[column],
            "ds": span.dates[row].astype("datetime64[s]"),
            "value": value[row, column],
        }
    )
    return found.sort_values(["name", "ds"], ignore_index=True)
