"""A hierarchy of budgets over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forecast.budgets.rollup import CHECKS
from forecast.serving.tree_schemas import TreeAnswer, TreeRequest
from tests.serving.homes import TestClient, problem_of

ROUTE = "/v1/overrun/tree"
COMPANY: dict[str, Any] = {"id": "company", "period": "2027-Q1", "amount": 1_000_000}
ADS: dict[str, Any] = {"id": "ads", "parent": "company", "scope": "team=ads", "period": "2027-Q1", "amount": 105_000}
SEARCH: dict[str, Any] = {"id": "search", "parent": "company", "scope": {"team": "search"}, "period": "2027-Q1", "amount": 640_000}


def put(client: TestClient, body: dict[str, Any]) -> None:
    response = client.put(f"/v1/budgets/{body['id']}", json={name: value for name, value in body.items() if name != "id"})
    assert response.status_code in {200, 201}, response.text


def test_ad_hoc_tree_is_answered_and_stores_nothing(client: TestClient) -> None:
    before = client.get("/v1/budgets").json()
    response = client.post(ROUTE, json={"budgets": [COMPANY, ADS, SEARCH]})
    assert response.status_code == 200, response.text
    answer = TreeAnswer.model_validate_json(response.content)
    (tree,) = answer.trees
    assert [child.budget_id for child in tree.children] == ["ads", "search"]
    assert tree.jointly is not None
    assert tree.contributions is not None
    assert sum(row.contribution for row in tree.contributions) == pytest.approx(tree.expected_overrun, rel=1e-6)
    assert client.get("/v1/budgets").json() == before


def test_documented_fields_are_those_of_the_answer(client: TestClient) -> None:
    stray = {**ADS, "id": "stray", "currency": "EUR"}
    answer = client.post(ROUTE, json={"budgets": [COMPANY, ADS, SEARCH, {**ADS, "id": "ads-prod", "parent": "ads"}, stray]}).json()
    properties = TreeAnswer.model_json_schema()["$defs"]

    def check(value: Any, name: str) -> None:
        assert set(value) <= set(properties[name]["properties"]), name

    assert set(answer) <= set(TreeAnswer.model_json_schema()["properties"]) | {"time_zone"}
    (tree,) = answer["trees"]
    for node in (tree, *tree["children"]):
        check(node, "TreeNode")
    for name, model in (("jointly", "JointAnswer"), ("if_independent", "IndependentAnswer"), ("unallocated", "UnallocatedRest")):
        check(tree[name], model)
        assert set(tree[name]) == set(properties[model]["properties"])
    check(tree["all_contributions"][0], "ContributionRow")
    check(answer["findings"][0], "RollupFinding")


def test_stored_tree_follows_a_budget_that_is_put_anew(client: TestClient) -> None:
    try:
        for body in (COMPANY, ADS, SEARCH):
            put(client, body)
        first = client.post(ROUTE, json={"budget_id": "company"}).json()
        assert client.post(ROUTE, json={"budget_id": "company"}).json() == first
        assert client.post(ROUTE, json={}).json()["trees"] == first["trees"]
        put(client, {**ADS, "amount": 1.0})
        changed = client.post(ROUTE, json={"budget_id": "company"}).json()["trees"][0]
        assert changed["jointly"]["any_child"]["probability"] == 1.0
        assert changed["overrun_probability"] == first["trees"][0]["overrun_probability"]
    finally:
        for name in ("ads", "search", "company"):
            client.delete(f"/v1/budgets/{name}")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"budget_id": "nobody"}, 404, "budget_id"),
        ({"budget_id": 5}, 422, "budget_id"),
        ({"budgets": []}, 422, "budgets"),
        ({"budgets": [COMPANY, COMPANY]}, 422, "id"),
        ({"budgets": [{**COMPANY, "amount": 0}]}, 422, "amount"),
        ({"budgets": [{**COMPANY, "id": "-"}]}, 422, "id"),
        ({"budgets": [{**COMPANY, "parent": "company"}]}, 422, "parent"),
        ({"budgets": [{**COMPANY, "period": "soon"}]}, 400, "period"),
        ({"budgets": [COMPANY], "budget_id": "company", "cost": "billed"}, 400, "cost"),
        ({"budgets": [{**COMPANY, "period": "2031"}], "budget_id": "company"}, 422, "end"),
        ({"budgets": [{**COMPANY, "parent": "ads"}, ADS], "budget_id": "ads"}, 422, "parent"),
        ({"at": "someday"}, 422, "at"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
def test_question_that_cannot_be_answered_is_a_problem_with_its_field(client: TestClient, body: dict[str, Any], status: int, field: str) -> None:
    problem = problem_of(client.post(ROUTE, json=body))
    assert problem["status"] == status
    assert problem["errors"][0]["field"].split(".")[-1] == field


def test_every_field_of_the_answer_and_every_check_is_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/how-to/budget-hierarchy.md").read_text(encoding="utf-8")
    schema = TreeAnswer.model_json_schema()
    names = {*schema["properties"], *CHECKS, *TreeRequest.model_fields}
    for model in schema["$defs"].values():
        names |= set(model["properties"])
    assert not [name for name in sorted(names - {"quantiles"}) if f"`{name}`" not in page]
