"""Drivers as resources."""

from __future__ import annotations

import pytest

from forecast.serving import driver_schemas
from tests.serving.homes import TestClient, problem_of

BODY = {"scope": "team=ads", "unit": "requests", "kind": "requests", "values": [{"ds": "2026-01-01", "value": 5.5}, {"ds": "2026-01-02", "value": 7}]}


def test_a_driver_is_put_extended_read_listed_and_deleted(client: TestClient) -> None:
    assert client.put("/v1/drivers/web%20requests", json=BODY).status_code == 201
    plan = {**BODY, "values": [{"ds": "2999-01-01", "value": 10, "low": 5, "high": 20}]}
    again = client.put("/v1/drivers/web%20requests", json=plan)
    assert again.status_code == 200
    driver = driver_schemas.DriverWithValues.model_validate_json(client.get("/v1/drivers/web%20requests").content)
    assert [(str(day.ds), day.value, day.high) for day in driver.values] == [
        ("2026-01-01", 5.5, None),
        ("2026-01-02", 7.0, None),
        ("2999-01-01", 10.0, 20.0),
    ]
    assert (driver.scope, driver.unit, driver.kind, str(driver.planned_until), driver.rows) == ("team=ads", "requests", "requests", "2999-01-01", 3)
    listed = driver_schemas.DriverList.model_validate_json(client.get("/v1/drivers").content)
    assert "web requests" in [entry.name for entry in listed.drivers]
    gone = client.delete("/v1/drivers/web%20requests")
    assert (gone.status_code, gone.content) == (204, b"")
    assert problem_of(client.get("/v1/drivers/web%20requests"))["status"] == 404
    assert problem_of(client.delete("/v1/drivers/web%20requests"))["status"] == 404


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"values": []}, 422, "values"),
        ({"values": [{"ds": "2026-01-01", "value": -1}]}, 422, "values.0.value"),
        ({"values": [{"ds": "2026-01-01", "value": "5"}]}, 422, "values.0.value"),
        ({"values": [{"ds": "soon", "value": 5}]}, 422, "values.0.ds"),
        ({"values": [{"ds": "2026-01-01", "value": 5}] * 2}, 422, "ds"),
        ({"values": [{"ds": "2026-01-01", "value": 5, "low": 6}]}, 422, "low"),
        ({"kind": "weather"}, 422, "kind"),
        ({"scope": "team"}, 400, "scope"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
def test_a_driver_that_cannot_be_is_refused_with_its_field(client: TestClient, change: dict[str, object], status: int, field: str) -> None:
    problem = problem_of(client.put("/v1/drivers/refused", json={**BODY, **change}))
    assert (problem["status"], problem["errors"][0]["field"]) == (status, field)
    assert client.get("/v1/drivers/refused").status_code == 404


def test_a_name_that_cannot_be_is_refused(client: TestClient) -> None:
    assert problem_of(client.put("/v1/drivers/%00", json=BODY))["errors"][0]["field"] == "name"
    assert problem_of(client.put(f"/v1/drivers/{'x' * 101}", json=BODY))["errors"][0]["field"] == "name"
