"""Which snapshot answers, the cache, and an event loop that stays free."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from forecast.adapters.ledger import Ledger
from forecast.adapters.snapshots import SnapshotStore
from forecast.config import Settings, load_settings
from forecast.errors import NotFoundError
from forecast.serving.app import create_app
from forecast.serving.problems import HttpProblemError
from forecast.serving.stores import CHECK_SECONDS, AnswerCache, Stores
from tests.serving.homes import NOW, TestClient, add_snapshot, make_home, problem_of
from tests.snapshots_for_tests import CUTOFF, make_snapshot


class Clock:
    """Seconds that pass when told so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def own_home(tmp_path: Path) -> Settings:
    return make_home(tmp_path / "home")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stores(own_home: Settings, clock: Clock) -> Iterator[Stores]:
    opened = Stores(own_home, clock=clock)
    yield opened
    opened.close()


def test_new_snapshot_answers_without_a_restart(stores: Stores, own_home: Settings, clock: Clock) -> None:
    first = asyncio.run(stores.snapshot())
    second = add_snapshot(own_home, make_snapshot(seed=1), created_at=NOW + timedelta(hours=1))
    assert asyncio.run(stores.snapshot()).id == first.id
    clock.seconds += CHECK_SECONDS
    assert asyncio.run(stores.snapshot()).id == second.id != first.id


def test_earlier_day_is_answered_by_the_snapshot_of_that_day(stores: Stores, own_home: Settings) -> None:
    today = asyncio.run(stores.snapshot())
    earlier = add_snapshot(own_home, make_snapshot(cutoff=CUTOFF - timedelta(days=30)), created_at=NOW - timedelta(days=30))
    assert asyncio.run(stores.snapshot(as_of=CUTOFF)).id == today.id
    assert asyncio.run(stores.snapshot(as_of=CUTOFF - timedelta(days=1))).id == earlier.id
    with pytest.raises(NotFoundError, match=str(CUTOFF - timedelta(days=30))):
        asyncio.run(stores.snapshot(as_of=date(2020, 1, 1)))


def test_snapshot_that_knew_more_than_as_of_is_refused(stores: Stores) -> None:
    today = asyncio.run(stores.snapshot())
    assert asyncio.run(stores.snapshot(as_of=CUTOFF, snapshot_id=today.id)).id == today.id
    with pytest.raises(NotFoundError, match="after as_of"):
        asyncio.run(stores.snapshot(as_of=CUTOFF - timedelta(days=1), snapshot_id=today.id))


def test_cost_without_a_snapshot_names_the_costs_that_have_one(stores: Stores) -> None:
    with pytest.raises(NotFoundError, match="effective"):
        asyncio.run(stores.snapshot("billed"))


def test_new_snapshot_that_is_damaged_leaves_the_old_one_answering(stores: Stores, own_home: Settings, clock: Clock) -> None:
    first = asyncio.run(stores.snapshot())
    second = add_snapshot(own_home, make_snapshot(seed=1), created_at=NOW + timedelta(hours=1))
    for file in (own_home.snapshots_folder / second.id).iterdir():
        file.write_bytes(b"damaged")
    clock.seconds += CHECK_SECONDS
    assert asyncio.run(stores.snapshot()).id == first.id


def test_snapshot_that_gave_up_its_paths_is_told_and_cannot_answer(own_home: Settings) -> None:
    SnapshotStore(own_home.snapshots_folder).prune(keep=0)
    stores = Stores(own_home)
    with TestClient(create_app(stores)) as client:
        snapshot_id = client.get("/v1/snapshots").json()["snapshots"][0]["id"]
        assert client.get(f"/v1/snapshots/{snapshot_id}").status_code == 200
        assert client.get("/v1/accuracy").status_code == 200
        for path, body in (
            ("/v1/forecast", {"period": "2027-Q1"}),
            ("/v1/overrun", {"period": "2027-Q1", "amount": 5}),
            ("/v1/whatif", {"period": "2027-Q1"}),
            ("/v1/anomalies", {"rows": [{"scope": "team=ads", "timestamp": "2026-12-11", "cost": 5}]}),
        ):
            response = client.post(path, json=body)
            assert response.status_code == 200 or problem_of(response)["status"] == 404, path
        assert client.get("/").status_code in {200, 404}
    stores.close()


def test_before_the_first_training_everything_says_so(tmp_path: Path) -> None:
    stores = Stores(load_settings(home=tmp_path / "new"))
    assert not stores.is_ready()
    with pytest.raises(HttpProblemError):
        stores.current()
    with TestClient(create_app(stores)) as client:
        assert problem_of(client.post("/v1/forecast", json={"period": "2027-Q1"}))["status"] == 503
        assert problem_of(client.get("/v1/models/champion"))["status"] == 404
        assert client.get("/v1/snapshots").json() == {"snapshots": []}
        page = client.get("/")
        assert page.status_code == 200
        assert "forecast train" in page.text
    stores.close()


def test_cache_forgets_the_oldest_and_stays_within_its_bytes() -> None:
    cache = AnswerCache(most=3, most_bytes=10_000)
    for number in range(5):
        cache.put(("forecast", "s", str(number)), b"x" * 100)
    assert len(cache) == 3
    assert cache.get(("forecast", "s", "1")) is None
    assert cache.get(("forecast", "s", "4")) == b"x" * 100
    cache.put(("forecast", "s", "large"), b"x" * 5_000)
    assert cache.get(("forecast", "s", "large")) is None
    wide = AnswerCache(most=1000, most_bytes=10_000)
    for number in range(100):
        wide.put(("forecast", "s", str(number)), b"x" * 1_000)
    assert len(wide) <= 10
    for _ in range(50):
        wide.put(("forecast", "s", "same"), b"x" * 1_000)
    assert len(wide) > 5


def test_cache_of_no_answers_keeps_none() -> None:
    cache = AnswerCache(most=0)
    cache.put(("forecast", "s", "1"), b"x")
    assert len(cache) == 0


def test_slow_delivery_does_not_hold_up_a_question(stores: Stores) -> None:
    go_on = threading.Event()

    def slow(_ledger: Ledger) -> bool:
        return go_on.wait(20)

    async def both() -> tuple[float, bool]:
        delivery = asyncio.create_task(stores.run_ingest(slow))
        await asyncio.sleep(0.05)
        start = time.perf_counter()
        await stores.snapshot()
        await stores.run(lambda: None)
        waited = time.perf_counter() - start
        go_on.set()
        return waited, await delivery

    waited, finished = asyncio.run(both())
    assert finished
    assert waited < 10
