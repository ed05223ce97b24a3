"""The page at `/`: self-contained, safe, and drawn from the snapshot."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from forecast.serving.fan_chart import FanPoint, fan_chart, month_starts, nice_ticks, short_money
from forecast.serving.page import LINKS, render_page, weekly_points
from forecast.spend.fiscal import CALENDAR_YEAR
from forecast.spend.hierarchy import Hierarchy
from tests.serving.homes import TestClient
from tests.snapshots_for_tests import CUTOFF, make_snapshot

SVG = "{http://www.w3.org/2000/svg}"


def test_page_shows_the_fan_and_the_next_quarter(client: TestClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "2027-Q1" in response.text
    assert response.text.count("<svg") == 1
    total = client.post("/v1/forecast", json={"period": "2027-Q1"}).json()["total"]
    assert f"{total['p50']:,.0f}" in response.text


def test_page_loads_nothing_from_elsewhere_and_runs_no_script(client: TestClient) -> None:
    text = client.get("/").text
    assert "<script" not in text
    assert not re.findall(r'(?:src|href)="(?!/)', text)
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []


def test_every_link_of_the_page_leads_somewhere(client: TestClient) -> None:
    for method, path, _ in LINKS:
        if path == "/metrics":
            continue  # BentoML's metrics need its supervisor: tests/serving/test_service.py looks at them
        if method == "GET":
            assert client.get(path).status_code == 200, path
        else:
            assert client.get(path).status_code == 405, path


def test_fan_is_drawn_inside_its_frame(client: TestClient) -> None:
    drawing = ElementTree.fromstring(re.findall(r"<svg.*</svg>", client.get("/").text)[0])
    _, _, width, height = map(float, drawing.attrib["viewBox"].split())
    corners = [tuple(map(float, pair.split(","))) for shape in drawing if "points" in shape.attrib for pair in shape.attrib["points"].split()]
    assert {shape.attrib["class"] for shape in drawing if "points" in shape.attrib} == {"band", "median", "actual"}
    assert all(0 <= x <= width and 0 <= y <= height for x, y in corners)
    assert drawing.find(f"{SVG}title") is not None


def test_weeks_begin_on_monday_and_are_whole() -> None:
    snapshot = make_snapshot()
    points = weekly_points(snapshot)
    assert all(point.start.weekday() == 0 for point in points)
    assert {later.start - earlier.start for earlier, later in pairwise(points)} == {timedelta(days=7)}
    past = [point for point in points if point.start + timedelta(days=6) <= CUTOFF]
    week = np.searchsorted(snapshot.history_ds, np.datetime64(past[0].start, "D"))
    assert past[0].p50 == pytest.approx(snapshot.leaf_history[:, week : week + 7].sum())
    assert all(point.p10 == pytest.approx(point.p90) for point in past)
    assert points[-1].p10 < points[-1].p90


def test_names_of_teams_cannot_write_into_the_page() -> None:
    snapshot = make_snapshot()
    leaves: pd.DataFrame = snapshot.hierarchy.leaves.replace({"team": {"ads": "<script>alert('ads')</script>"}})
    page = render_page(replace(snapshot, hierarchy=Hierarchy(leaves)), CALENDAR_YEAR)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_page_of_a_young_company_is_still_a_page() -> None:
    assert "<h1>" in render_page(make_snapshot(history_days=30, daily=5, months=2, recent_days=7), CALENDAR_YEAR)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 0.0), (0.0, 123_456_789.0), (-5.0, 7.0), (0.0, 1e-9), (0.0, 1e15)])
def test_ticks_are_few_and_hold_all_values(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 9


def test_money_is_short() -> None:
    assert [short_money(value) for value in (0.0, 12.0, 950.0, 1_250.0, 2_500_000.0, -3e9)] == ["0", "12", "950", "1.25k", "2.5M", "-3B"]


def test_months_are_thinned() -> None:
    assert month_starts(date(2026, 1, 15), date(2026, 4, 2)) == [date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)]
    assert len(month_starts(date(2020, 1, 1), date(2026, 1, 1))) <= 8


def test_fan_without_a_past_or_of_nothing_is_drawn() -> None:
    points = [FanPoint(date(2026, 1, 5) + timedelta(days=7 * week), 0.0, 0.0, 0.0) for week in range(3)]
    for cutoff in (date(2025, 1, 1), date(2027, 1, 1)):
        drawn = ElementTree.fromstring(fan_chart(points, cutoff, "USD", "a < b & c"))
        assert drawn.tag.endswith("svg")
        assert "a < b & c" in " ".join(drawn.itertext())
