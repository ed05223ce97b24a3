"""Vendors' own bills over HTTP: recognised by content as `forecast ingest` recognises them, by the same adapters, to the same ledger."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecast.adapters.ledger import Ledger
from forecast.config import load_settings
from forecast.serving.app import create_app
from forecast.serving.stores import Stores
from tests.adapters.formats import (
    test_anthropic_cost,
    test_anthropic_usage,
    test_aws_cur,
    test_azure_export,
    test_google_billing,
    test_gpu_hours,
    test_litellm,
    test_openai_costs,
    test_openai_usage,
    test_opencost,
    test_oracle_cost,
)
from tests.serving.homes import TestClient, problem_of

JSON, NDJSON, CSV, PARQUET = "application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.parquet"
RECEIVED = "2026-03-01T00:00:00Z"


@dataclass(frozen=True)
class Bill:
    """What is posted, and what the report says of it."""

    kind: str
    content: bytes
    title: str
    mode: str
    rows: int


def as_json(document: object) -> bytes:
    return json.dumps(document).encode()


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    stream = io.BytesIO()
    pd.DataFrame(rows).to_parquet(stream)
    return stream.getvalue()


def costs(amount: object = 0.25) -> dict[str, Any]:
    return test_openai_costs.page(test_openai_costs.bucket(0, test_openai_costs.result(amount, line_item="gpt-4o", project_id="p")))


def tokens() -> dict[str, Any]:
    return test_openai_costs.page(test_openai_costs.bucket(0, test_openai_usage.completions(input_tokens=1000, output_tokens=500)))


def cents(*days: int) -> dict[str, Any]:
    return test_anthropic_cost.page(*(test_anthropic_cost.bucket(day, test_anthropic_cost.result("123.45", model="claude-opus-4-6")) for day in days))


def messages() -> dict[str, Any]:
    return test_anthropic_cost.page(test_anthropic_cost.bucket(1, test_anthropic_usage.messages()))


def activity() -> dict[str, Any]:
    return test_litellm.activity(("2026-01-05", 1.5, {"gpt-4o": test_litellm.entry(1.5)}))


def clouds() -> dict[str, Any]:
    return {"code": 200, "data": {"sets": [{"cloudCosts": {"one": test_opencost.cloud_cost()}, "window": test_opencost.DAY}]}}


BILLS: Mapping[str, Callable[[], Bill]] = {
    "OpenAI costs": lambda: Bill(JSON, as_json(costs()), "OpenAI costs", "merge", 1),
    "OpenAI usage": lambda: Bill(JSON, as_json(tokens()), "OpenAI usage", "merge", 2),
    "Anthropic costs": lambda: Bill(JSON, as_json(cents(1, 2)), "Anthropic cost", "merge", 2),
    "Anthropic usage": lambda: Bill(JSON, as_json(messages()), "Anthropic messages usage", "merge", 6),
    "pages one a line": lambda: Bill(NDJSON, b"\n".join(map(as_json, (cents(1), cents(2, 3)))), "Anthropic cost", "merge", 3),
    "pages in a list": lambda: Bill(JSON, as_json([cents(1), cents(2, 3)]), "Anthropic cost", "merge", 3),
    "a page in many lines": lambda: Bill(JSON, json.dumps(costs(), indent=2).encode(), "OpenAI costs", "merge", 1),
    "LiteLLM logs": lambda: Bill(JSON, as_json([test_litellm.request(1), test_litellm.request(2)]), "LiteLLM spend logs", "merge", 2),
    "LiteLLM days": lambda: Bill(JSON, as_json(activity()), "LiteLLM daily activity", "replace", 1),
    "OpenCost": lambda: Bill(JSON, as_json(test_opencost.answer({"ml/job": test_opencost.allocation()})), "OpenCost allocation", "merge", 9),
    "OpenCost clouds": lambda: Bill(JSON, as_json(clouds()), "OpenCost cloud costs", "merge", 1),
    "AWS as CSV": lambda: Bill(CSV, as_csv([test_aws_cur.line()]), "AWS Cost and Usage Report", "replace", 1),
    "AWS as Parquet": lambda: Bill(PARQUET, as_parquet([test_aws_cur.line()]), "AWS Cost and Usage Report", "replace", 1),
    "Azure": lambda: Bill(CSV, as_csv([test_azure_export.line()]), "Azure cost", "replace", 1),
    "Google": lambda: Bill(NDJSON, test_google_billing.as_bigquery_json(test_google_billing.line()).encode(), "Google Cloud billing", "replace", 1),
    "Oracle": lambda: Bill(CSV, as_csv([test_oracle_cost.line()]), "Oracle Cloud", "merge", 1),
    "GPU hours": lambda: Bill(CSV, as_csv([test_gpu_hours.used()]), "GPU hours", "merge", 1),
}
ENDINGS = {JSON: "json", NDJSON: "ndjson", CSV: "csv", PARQUET: "parquet"}


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[TestClient]:
    stores = Stores(load_settings(home=tmp_path / "home"))
    with TestClient(create_app(stores)) as client:
        yield client
    stores.close()


def send(client: TestClient, kind: str, content: bytes, **parameters: str) -> Any:
    return client.post("/v1/spend", content=content, headers={"Content-Type": kind}, params={"as_received": RECEIVED, **parameters})


@pytest.mark.parametrize("name", BILLS)
def test_bill_over_http_is_what_the_same_file_is(empty: TestClient, tmp_path: Path, name: str) -> None:
    bill = BILLS[name]()
    response = send(empty, bill.kind, bill.content)
    assert response.status_code == 200, response.text
    report = response.json()
    assert report["formats"][0].startswith(bill.title)
    assert (report["mode"], report["accepted"], report["quarantined"]) == (bill.mode, bill.rows, 0)
    path = tmp_path / f"body.{ENDINGS[bill.kind]}"
    path.write_bytes(bill.content)
    other = Ledger(tmp_path / "other").ingest([path], received_at=datetime.fromisoformat(RECEIVED))
    assert report == other.as_dict()
    again = send(empty, bill.kind, bill.content).json()
    assert (again["accepted"], again["unchanged"]) == (0, bill.rows)


def test_pages_may_come_as_rows(empty: TestClient) -> None:
    report = send(empty, JSON, as_json({"rows": [cents(1), cents(2, 3)]})).json()
    assert (report["accepted"], report["mode"]) == (3, "merge")


def test_page_that_is_fetched_again_restates_what_was_said_before(empty: TestClient) -> None:
    assert send(empty, JSON, as_json(costs(0.25))).json()["accepted"] == 1
    later = send(empty, JSON, as_json(costs(0.1234567890123456789)), as_received="2026-03-02T00:00:00Z").json()
    assert (later["accepted"], later["superseded"]) == (1, 1)


def test_amount_in_a_page_keeps_the_digits_that_were_sent(empty: TestClient) -> None:
    content = as_json(costs("HERE")).replace(b'"HERE"', b"0.123456789012")
    assert Decimal(send(empty, JSON, content).json()["effective_cost"]) == Decimal("0.123456789012")


def test_bill_of_another_source_is_refused_unless_both_are_meant(empty: TestClient) -> None:
    content = as_json(cents(*range(1, 27)))
    assert send(empty, JSON, content).json()["accepted"] == 26
    problem = problem_of(send(empty, JSON, content, source="gateway"))
    assert problem["status"] in {400, 422}
    assert "anthropic-cost" in problem["detail"]
    assert send(empty, JSON, content, source="gateway", also="true").json()["accepted"] == 26


def test_format_that_is_asked_for_needs_no_look(empty: TestClient) -> None:
    report = send(empty, JSON, as_json(costs()), format="openai-costs").json()
    assert (report["accepted"], report["formats"]) == (1, ["OpenAI costs API pages: was asked for"])
    problem = problem_of(send(empty, JSON, as_json(costs()), format="telepathy"))
    assert (problem["status"], problem["errors"][0]["field"]) == (400, "format")
    assert "openai-costs" in problem["errors"][0]["allowed"]


def test_export_that_replaces_says_what_it_stands_for(empty: TestClient) -> None:
    days = [
        test_aws_cur.line(lineItem__UsageStartDate=f"2026-01-{day:02}T00:00:00Z", lineItem__UsageEndDate=f"2026-01-{day + 1:02}T00:00:00Z")
        for day in (5, 6, 7)
    ]
    assert send(empty, CSV, as_csv(days)).json()["accepted"] == 3
    later = "2026-03-02T00:00:00Z"
    report = send(empty, CSV, as_csv(days[:1]), covers="days", as_received=later).json()
    assert (report["withdrawn"], report["unchanged"]) == (0, 1)
    report = send(empty, CSV, as_csv(days[:1]), covers="period", as_received="2026-03-03T00:00:00Z").json()
    assert report["withdrawn"] == 2
    assert problem_of(send(empty, CSV, as_csv(days), covers="everything"))["status"] == 422


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (JSON, b'{"hello": "world"}'),
        (JSON, b'[{"hello": "world"}]'),
        (JSON, b"{}"),
        (JSON, b'{"data": []}'),
        (JSON, b'{"data": [], "has_more": false, "next_page": null}'),
        (JSON, b'"costs"'),
        (JSON, as_json(costs())[:-30]),
        (JSON, as_json(costs())[:-30] + b"}"),
        (JSON, as_json(costs()) + b"}"),
        (NDJSON, as_json(costs())[:-30]),
        (CSV, as_json(costs())),
        (CSV, b"hello,world\n1,2\n"),
    ],
)
def test_document_that_is_no_bill_is_a_problem_that_names_what_was_looked_for(empty: TestClient, kind: str, content: bytes) -> None:
    problem = problem_of(send(empty, kind, content))
    assert problem["status"] in {400, 422}
    assert problem["errors"]
    assert "forecast-delivery" not in problem["detail"]
    assert send(empty, JSON, as_json(costs())).json()["accepted"] == 1


def test_usage_is_priced_by_the_table_of_the_settings(tmp_path: Path) -> None:
    table = tmp_path / "prices.csv"
    table.write_text(
        "provider,model,meter,tier,context,unit,price,currency,valid_from\n"
        "OpenAI,gpt-4o,input,standard,,1M Tokens,4000,USD,2024-01-01\nOpenAI,gpt-4o,output,standard,,1M Tokens,2000,USD,2024-01-01\n"
    )
    stores = Stores(load_settings(home=tmp_path / "home", prices=table))
    with TestClient(create_app(stores)) as client:
        report = send(client, JSON, as_json(tokens())).json()
        assert Decimal(report["effective_cost"]) == 5
        table.write_text("no table\n")
        problem = problem_of(send(client, JSON, as_json(tokens())))
        # The operator's fault, in the log and not in the answer.
        assert (problem["status"], "prices" in problem["detail"]) == (500, False)
    stores.close()


def test_a_broken_rules_file_is_no_mistake_of_whoever_delivers(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("no rules\n")
    stores = Stores(load_settings(home=tmp_path / "home", rules=rules))
    with TestClient(create_app(stores)) as client:
        assert problem_of(send(client, JSON, as_json(costs())))["status"] == 500
        rules.unlink()
        rules.write_text("")
        assert send(client, JSON, as_json(costs())).json()["accepted"] == 1
    stores.close()
