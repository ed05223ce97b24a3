"""Requests of the generated products move what serves them."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from forecast.company.generate import generate
from forecast.company.requests import requests_of
from forecast.forecasters.elasticity import elasticities
from forecast.spend.drivers import read_drivers

END = date(2026, 11, 1)


def test_spend_on_a_products_language_models_follows_its_requests() -> None:
    company, requests = generate(7, 300, 4, end=END), requests_of(7, 300, 4, END)
    daily = company.daily[company.daily["service"].str.contains("API|Vertex") & (company.daily["stage"] == "prod")]
    grid = pd.date_range(company.start, company.end, inclusive="left")
    found = []
    for scope, part in requests.groupby("scope"):
        said = dict(clause.split("=") for clause in str(scope).split(","))
        own = daily[(daily["team"] == said["team"]) & (daily["workload"] == said["workload"])]
        if len(part) == 300 and len(own):
            spend = own.groupby("ds")["cost_without_incidents"].sum().reindex(grid).fillna(0.0).to_numpy()
            found.append(float(elasticities(spend[None], part.set_index("ds")["value"].reindex(grid).to_numpy(dtype=float)).value[0]))
    assert len(found) >= 4
    assert 0.85 <= np.median(found) <= 1.1


def test_requests_are_drivers_and_the_same_seed_gives_the_same() -> None:
    requests = requests_of(5, 120, 3, END)
    drivers = read_drivers(requests, known_on=pd.Timestamp(END))
    assert {str(driver.scope) for driver in drivers} == set(requests["scope"])
    pd.testing.assert_frame_equal(requests, requests_of(5, 120, 3, END))
    assert (requests["value"] >= 0).all()
    assert not requests_of(6, 120, 3, END)["value"].equals(requests["value"])
