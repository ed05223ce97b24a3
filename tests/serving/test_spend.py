"""Bills over HTTP: four formats, one road, and the same delivery twice is one."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecast.config import load_settings
from forecast.serving.app import create_app
from forecast.serving.routes.spend import MOST_SPEND
from forecast.serving.stores import Stores
from tests.adapters.ledger_rows import row
from tests.serving.homes import TestClient, problem_of

ROWS = [
    row(
        BilledCost=f"{number}.10",
        EffectiveCost=f"{number}.10",
        ChargePeriodStart=f"2026-01-{number:02}T00:00:00Z",
        ChargePeriodEnd=f"2026-01-{number:02}T01:00:00Z",
    )
    for number in range(1, 6)
]


def as_csv() -> bytes:
    return pd.DataFrame(ROWS).to_csv(index=False).encode()


def as_parquet() -> bytes:
    stream = io.BytesIO()
    pd.DataFrame(ROWS).to_parquet(stream)
    return stream.getvalue()


BODIES: dict[str, tuple[str, bytes]] = {
    "JSON list": ("application/json", json.dumps(ROWS).encode()),
    "JSON rows": ("application/json; charset=utf-8", json.dumps({"rows": ROWS}, indent=1).encode()),
    "NDJSON": ("application/x-ndjson", "\n".join(map(json.dumps, ROWS)).encode()),
    "CSV": ("text/csv", as_csv()),
    "Parquet": ("application/vnd.apache.parquet", as_parquet()),
}


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[TestClient]:
    stores = Stores(load_settings(home=tmp_path / "home"))
    with TestClient(create_app(stores)) as client:
        yield client
    stores.close()


def send(client: TestClient, kind: str, content: bytes, **headers: str) -> Any:
    return client.post("/v1/spend", content=content, headers={"Content-Type": kind, **headers})


@pytest.mark.parametrize("name", BODIES)
def test_every_format_is_taken_in_once(empty: TestClient, name: str) -> None:
    kind, content = BODIES[name]
    first = send(empty, kind, content)
    assert first.status_code == 200, first.text
    assert (first.json()["accepted"], first.json()["quarantined"]) == (5, 0)
    again = send(empty, kind, content).json()
    assert (again["accepted"], again["unchanged"]) == (0, 5)


def test_delivery_is_entered_in_the_log(tmp_path: Path) -> None:
    stores = Stores(load_settings(home=tmp_path / "home"))
    with TestClient(create_app(stores)) as client:
        report = client.post("/v1/spend", json=ROWS).json()
    logged = stores.records.ingestions()
    assert [(entry.delivery_id, entry.source, entry.accepted) for entry in logged] == [(report["delivery_id"], "http", 5)]
    stores.close()


def test_rows_known_by_a_key_are_replaced(empty: TestClient) -> None:
    keyed = [{**values, "x_LineId": str(number)} for number, values in enumerate(ROWS)]
    assert empty.post("/v1/spend?key=x_LineId", json=keyed).json()["accepted"] == 5
    keyed[0]["EffectiveCost"] = "99.5"
    again = empty.post("/v1/spend?key=x_LineId", json=keyed).json()
    assert (again["superseded"], again["unchanged"]) == (1, 4)


def test_gzip_body_is_unpacked(empty: TestClient) -> None:
    assert send(empty, "text/csv", gzip.compress(as_csv()), **{"Content-Encoding": "gzip"}).json()["accepted"] == 5


def test_row_that_cannot_be_counted_is_quarantined_with_its_reason(empty: TestClient) -> None:
    report = empty.post("/v1/spend", json=[*ROWS, row(EffectiveCost="lots")]).json()
    assert (report["accepted"], report["quarantined"]) == (5, 1)


@pytest.mark.parametrize(
    ("kind", "content", "headers"),
    [
        ("text/csv", b"", {}),
        ("text/csv", b"\n\n", {}),
        ("text/csv", b"a,b\n1,2\n", {}),
        ("text/csv", as_csv()[: len(as_csv()) // 2], {}),
        ("text/csv", b"\xff\xfe\x00\x01" * 100, {}),
        ("text/csv", b"\x00" * 100, {}),
        ("text/csv", as_parquet(), {}),
        ("text/csv", gzip.compress(as_csv(), mtime=0)[:100], {"Content-Encoding": "gzip"}),
        ("text/csv", b"not gzip at all", {"Content-Encoding": "gzip"}),
        ("text/csv", gzip.compress(b"0" * (MOST_SPEND + 10), mtime=0), {"Content-Encoding": "gzip"}),
        ("application/vnd.apache.parquet", b"PAR1", {}),
        ("application/vnd.apache.parquet", b"PAR1" + b"x" * 100 + b"PAR1", {}),
        ("application/vnd.apache.parquet", as_parquet()[:-50], {}),
        ("application/vnd.apache.parquet", as_parquet()[:200] + as_parquet()[-200:], {}),
        ("application/x-ndjson", b"{}\n{}", {}),
        ("application/x-ndjson", b'{"a":1}\n{"a":', {}),
        ("application/json", b"[", {}),
        ("application/json", b"[1]", {}),
        ("application/json", b'{"rows":[{"a":NaN}]}', {}),
        ("application/json", b'{"rows":5}', {}),
        ("application/json", b'{"rows":[],"more":1}', {}),
        ("application/json", json.dumps(ROWS).encode()[:-20], {}),
        ("application/json", json.dumps([row(EffectiveCost=float("nan"))]).encode(), {}),
        ("application/json", json.dumps([row(EffectiveCost="1e999")]).encode(), {}),
    ],
)
def test_delivery_that_cannot_be_read_is_refused_and_nothing_is_kept(empty: TestClient, kind: str, content: bytes, headers: dict[str, str]) -> None:
    problem = problem_of(send(empty, kind, content, **headers))
    assert problem["status"] in {400, 422}
    assert "forecast-delivery" not in problem["detail"]
    assert empty.post("/v1/spend", json=ROWS).json()["accepted"] == 5


def test_currency_that_is_mixed_is_refused(empty: TestClient) -> None:
    assert empty.post("/v1/spend", json=ROWS).status_code == 200
    problem = problem_of(empty.post("/v1/spend", json=[row(BillingCurrency="EUR"), row(BillingCurrency="USD")]))
    assert problem["status"] == 422


@pytest.mark.parametrize("kind", ["", "text/plain", "application/octet-stream", "application/xml"])
def test_other_content_types_are_refused(empty: TestClient, kind: str) -> None:
    assert problem_of(send(empty, kind, as_csv()))["status"] == 415


def test_other_encodings_are_refused(empty: TestClient) -> None:
    assert problem_of(send(empty, "text/csv", as_csv(), **{"Content-Encoding": "br"}))["status"] == 415


def test_delivery_that_is_too_large_is_refused(empty: TestClient) -> None:
    problem = problem_of(empty.post("/v1/spend", content=b"x", headers={"Content-Type": "text/csv", "Content-Length": str(MOST_SPEND + 1)}))
    assert problem["status"] == 413


@pytest.mark.parametrize("key", ["nobody", "", "a" * 300, "%00", "%27%3B--"])
def test_key_that_is_no_column_is_refused(empty: TestClient, key: str) -> None:
    problem = problem_of(empty.post(f"/v1/spend?key={key}", json=ROWS))
    assert problem["status"] in {400, 422}
