"""A snapshot tells how many recurring charges it projects and the largest of them; all only where they are asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.config import load_settings
from forecast.serving.app import create_app
from forecast.serving.stores import Stores
from forecast.spend.schedules import Schedules, find_schedules
from tests.serving.homes import TestClient, add_snapshot, problem_of
from tests.snapshots_for_tests import CUTOFF, make_snapshot

N_ITEMS = 25
"""Licences of a leaf each; the last of them ended three months before the cutoff, the first is charged every day."""


def licences(leaf_ids: tuple[str, ...]) -> Schedules:
    """Licences of 200, 300, … a month, of which the largest is no longer charged, and one of 150 a day."""
    grid = pd.date_range(CUTOFF - timedelta(days=199), CUTOFF)
    firsts = np.flatnonzero(grid.day == 1)
    values = np.zeros((N_ITEMS, len(grid)))
    for number in range(N_ITEMS):
        values[number, firsts if number < N_ITEMS - 1 else firsts[:-3]] = 100.0 * (number + 1)
    values[0] = 150.0
    items = pd.DataFrame({"leaf": np.arange(N_ITEMS), "kind": "subscription", "item": [f"seats {number}" for number in range(N_ITEMS)]})
    ends = np.full(N_ITEMS, np.datetime64("NaT"), dtype="datetime64[D]")
    return find_schedules(items, values, ends, grid, len(leaf_ids))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = load_settings(home=tmp_path_factory.mktemp("schedules") / "home")
    made = make_snapshot()
    record = licences(made.hierarchy.leaf_ids).record(made.hierarchy.leaf_ids)
    add_snapshot(settings, dataclasses.replace(made, meta={**made.meta, "schedules": record}))
    stores = Stores(settings)
    with TestClient(create_app(stores)) as client:
        yield client
    stores.close()


def schedules(client: TestClient, **parameters: str) -> Any:
    snapshot_id = client.get("/v1/snapshots").json()["snapshots"][0]["id"]
    response = client.get(f"/v1/snapshots/{snapshot_id}", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()["meta"]["schedules"]


def test_snapshot_tells_the_count_and_the_ten_largest_that_go_on(client: TestClient) -> None:
    told = schedules(client)
    assert told["count"] == N_ITEMS
    # A charge every day weighs more than one of ten times its amount a month; what has ended comes last.
    assert [item["item"] for item in told["items"]] == ["seats 0", *(f"seats {number}" for number in range(23, 14, -1))]
    assert told["items"][0]["cadence"] == "daily"
    assert {(item["cadence"], item["ended"]) for item in told["items"][1:]} == {("monthly", False)}
    assert told["items"][1]["amount"] == 2400.0
    assert date.fromisoformat(told["items"][1]["last"]) == date(2026, 12, 1)


def test_all_schedules_are_told_where_they_are_asked_for(client: TestClient) -> None:
    told = schedules(client, schedules="all")
    assert told["count"] == len(told["items"]) == N_ITEMS
    assert (told["items"][-1]["item"], told["items"][-1]["ended"]) == ("seats 24", True)
    assert told["items"][:10] == schedules(client)["items"] == schedules(client, schedules="largest")["items"]


def test_other_wishes_about_schedules_are_refused(client: TestClient) -> None:
    problem = problem_of(client.get("/v1/snapshots/aaaaaaaaaaaa", params={"schedules": "some"}))
    assert (problem["status"], problem["errors"][0]["field"]) == (422, "schedules")


def test_snapshot_without_schedules_says_nothing_of_them(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home")
    made = add_snapshot(settings, make_snapshot())
    stores = Stores(settings)
    with TestClient(create_app(stores)) as client:
        assert "schedules" not in client.get(f"/v1/snapshots/{made.id}").json()["meta"]
    stores.close()
