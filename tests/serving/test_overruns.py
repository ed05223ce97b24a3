"""POST /v1/overrun: budgets of every kind, currencies, occurrences, and answers that follow what was put anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forecast.config import Settings
from forecast.serving.answers import OverrunAnswer
from forecast.serving.app import create_app
from forecast.serving.stores import Stores
from tests.serving.homes import TestClient, make_home, problem_of

ADS = {"scope": "team=ads", "period": "2027-Q1", "amount": 100_000}
MONTHLY = {
    "scope": "team=ads",
    "period": "2026-09",
    "repeats": "month",
    "owner": "ads-leads",
    "phases": [{"start": "2026-09-01", "amount": 10_000}, {"start": "2026-09-11", "amount": 25_000}],
    "thresholds": ["actual>=10%:act"],
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_home(tmp_path_factory.mktemp("overruns") / "home", n_paths=50)


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(Stores(settings))) as client:
        yield client


@pytest.fixture
def rates(settings: Settings) -> Iterator[Path]:
    file = Path(settings.home) / "rates.csv"
    yield file
    file.unlink(missing_ok=True)


def ask(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/overrun", json=body)


def test_answer_has_every_field_that_is_documented_and_no_other(client: TestClient) -> None:
    client.put("/v1/budgets/monthly", json=MONTHLY)
    client.put("/v1/budgets/credits", json={**ADS, "kind": "balance", "unit": "credits", "unit_price": 0.5})
    stored, balance, ad_hoc = (ask(client, budget_id="monthly"), ask(client, budget_id="credits"), ask(client, **ADS))
    for response in (stored, balance, ad_hoc):
        assert response.status_code == 200, response.text
        OverrunAnswer.model_validate_json(response.content)
    optional = {"warnings", "time_zone"}
    assert set(stored.json()) | {"balance"} | optional == set(OverrunAnswer.model_fields) | optional
    assert set(balance.json()) | optional == set(OverrunAnswer.model_fields) | optional
    whose = {"budget_id", "name", "owner", "kind", "parent", "repeats"}
    assert set(ad_hoc.json()) | whose | {"balance"} | optional == set(OverrunAnswer.model_fields) | optional
    assert stored.json()["owner"] == "ads-leads"


def test_occurrence_that_is_running_answers_and_another_when_asked(client: TestClient) -> None:
    client.put("/v1/budgets/monthly", json=MONTHLY)
    running = ask(client, budget_id="monthly").json()
    assert (running["start"], running["end"], running["status"], running["state"]) == ("2026-12-01", "2027-01-01", "running", "act")
    assert [phase["start"] for phase in running["phases"]] == ["2026-12-01", "2026-12-11"]
    later = ask(client, budget_id="monthly", at="2027-02-14").json()
    assert (later["start"], later["status"]) == ("2027-02-01", "ahead")
    assert problem_of(ask(client, budget_id="monthly", at="2031-01-01"))["status"] == 422
    assert problem_of(ask(client, **ADS, at="2027-02-14"))["errors"][0]["field"] == "at"


def test_currency_needs_a_rate_and_the_answer_says_which(client: TestClient, rates: Path) -> None:
    problem = problem_of(ask(client, **ADS, currency="EUR"))
    assert (problem["status"], problem["errors"][0]["field"]) == (422, "currency")
    assert "EUR→USD" in problem["detail"]
    rates.write_text("date,from,to,rate\n2026-12-08,EUR,USD,1.1\n", encoding="utf-8")
    answer = ask(client, **ADS, currency="EUR").json()
    assert (answer["amount"], answer["currency"], answer["converted"]["rate"]) == (pytest.approx(110_000.0), "USD", "1.1")
    rates.write_text("date,from,to,rate\n2026-12-08,EUR,USD,1.2\n", encoding="utf-8")
    assert ask(client, **ADS, currency="EUR").json()["amount"] == pytest.approx(120_000.0)


def test_table_of_rates_that_cannot_be_read_is_not_the_callers_fault(client: TestClient, rates: Path) -> None:
    rates.write_text("nonsense\n", encoding="utf-8")
    assert ask(client, **ADS, currency="EUR").status_code == 500


def test_budget_that_is_put_anew_is_answered_anew(client: TestClient) -> None:
    client.put("/v1/budgets/anew", json=ADS)
    first = ask(client, budget_id="anew").json()
    client.put("/v1/budgets/anew", json={**ADS, "thresholds": ["forecast>=1:act"], "owner": "somebody"})
    second = ask(client, budget_id="anew").json()
    assert (first["state"], second["state"], second["owner"]) == ("ok" if first["overrun_probability"] < 0.3 else first["state"], "act", "somebody")
    assert second["thresholds"][0]["threshold"] == "forecast>=1:act"


def test_what_if_counts_the_occurrence_that_the_plan_begins_in(client: TestClient, rates: Path) -> None:
    client.put("/v1/budgets/monthly", json={**MONTHLY, "currency": "EUR"})
    rates.write_text("date,from,to,rate\n2026-12-08,EUR,USD,2\n", encoding="utf-8")
    plan = {"period": "2027-02", "levers": [{"type": "scale_usage", "scope": "team=ads", "factor": 2.0, "from": "2027-02-01"}]}
    (row,) = [row for row in client.post("/v1/whatif", json=plan).json()["budgets"] if row["id"] == "monthly"]
    assert (row["start"], row["end"], row["amount"], row["converted"]["rate"]) == ("2027-02-01", "2027-03-01", 70_000.0, "2")
    assert row["overrun_probability_before"] < row["overrun_probability_after"]
    rates.unlink()
    (without,) = [row for row in client.post("/v1/whatif", json=plan).json()["budgets"] if row["id"] == "monthly"]
    assert "EUR→USD" in without["warning"]
    assert without["overrun_probability_before"] is None


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({**ADS, "amount": 0}, 422, "amount"),
        ({**ADS, "amount": -5}, 422, "amount"),
        ({**ADS, "currency": "euro"}, 422, "currency"),
        ({**ADS, "scope": "team=nobody"}, 404, "scope"),
        ({**ADS, "period": "2030-Q1"}, 422, "end"),
        ({"scope": "team=ads", "start": "2028-05-01", "end": "2028-09-01", "amount": 5}, 422, "end"),
        ({"scope": "team=ads", "start": "2027-04-01", "end": "2027-01-01", "amount": 5}, 400, "end"),
        ({"scope": "team=ads", "start": "2019-04-01", "end": "2019-05-01", "amount": 5}, 400, "start"),
        ({"budget_id": "monthly", "currency": "EUR"}, 400, "currency"),
        ({"budget_id": "nowhere"}, 404, None),
    ],
)
def test_bad_question_names_the_field(client: TestClient, body: dict[str, Any], status: int, field: str | None) -> None:
    client.put("/v1/budgets/monthly", json=MONTHLY)
    problem = problem_of(client.post("/v1/overrun", json=body))
    assert problem["status"] == status
    assert field is None or field in str(problem["errors"][0]["field"])
