"""OpenAI and Anthropic pulled over real HTTP: every page as it was sent, patience with busy vendors, keys that nobody gets to see."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from forecast.adapters.ledger import Ledger
from forecast.adapters.sources.anthropic import AnthropicSource
from forecast.adapters.sources.base import Pulled, SourceError, SpendSource
from forecast.adapters.sources.loop import pull_once
from forecast.adapters.sources.openai import OpenAISource
from forecast.adapters.sources.paged import PagedApi, Patience
from forecast.adapters.sources.registry import SOURCES, source_named
from forecast.errors import ConfigError, InputError
from tests.adapters.sources.vendor import ADMIN_KEY, Vendor, serving

DAY = dt.date(2026, 1, 5)
MODELS = ("gpt-4o-2024-08-06, input", "gpt-4o-2024-08-06, output")


def day(number: int) -> dt.date:
    return DAY + dt.timedelta(days=number)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with serving(Vendor(costs={day(number): [(name, str(number + 1)) for name in MODELS] for number in range(20)})) as running:
        yield running


def patient(slept: list[float] | None = None, tries: int = 4) -> Patience:
    return Patience(tries=tries, sleep=(slept if slept is not None else []).append, now=lambda: dt.datetime(2026, 1, 30, tzinfo=dt.UTC))


def openai(vendor: Vendor, slept: list[float] | None = None, key: str = ADMIN_KEY) -> OpenAISource:
    return OpenAISource(key, vendor.address, patient(slept))


def anthropic(vendor: Vendor, slept: list[float] | None = None, key: str = ADMIN_KEY) -> AnthropicSource:
    return AnthropicSource(key, vendor.address, patient(slept))


def test_all_pages_of_openai_are_kept_as_they_were_sent(vendor: Vendor, tmp_path: Path) -> None:
    (pulled,) = openai(vendor).pull(DAY, day(20), tmp_path)
    assert [path.name for path in pulled.paths] == [f"openai-costs-2026-01-05-2026-01-25-000{number}.json" for number in (1, 2, 3)]
    pages = [json.loads(path.read_bytes()) for path in pulled.paths]
    assert [len(page["data"]) for page in pages] == [7, 7, 6]
    assert [page["next_page"] for page in pages] == ["page_7", "page_14", None]
    assert (pulled.format, pulled.replace, pulled.covers, pulled.source, pulled.digest) == ("openai-costs", True, "days", None, "")
    path, asked, headers = vendor.questions[1]
    assert path == "/v1/organization/costs"
    assert asked == [
        ("start_time", "1767571200"),
        ("end_time", "1769299200"),
        ("bucket_width", "1d"),
        ("group_by", "project_id"),
        ("group_by", "line_item"),
        ("limit", "180"),
        ("page", "page_7"),
    ]
    assert headers["authorization"] == f"Bearer {ADMIN_KEY}"


def test_all_pages_of_anthropic_are_kept_as_they_were_sent(vendor: Vendor, tmp_path: Path) -> None:
    (pulled,) = anthropic(vendor).pull(DAY, day(10), tmp_path)
    assert [len(json.loads(path.read_bytes())["data"]) for path in pulled.paths] == [7, 3]
    assert pulled.format == "anthropic-cost"
    path, asked, headers = vendor.questions[0]
    assert path == "/v1/organizations/cost_report"
    assert asked == [
        ("starting_at", "2026-01-05T00:00:00Z"),
        ("ending_at", "2026-01-15T00:00:00Z"),
        ("bucket_width", "1d"),
        ("group_by[]", "workspace_id"),
        ("group_by[]", "description"),
        ("limit", "31"),
    ]
    assert (headers["x-api-key"], headers["anthropic-version"]) == (ADMIN_KEY, "2023-06-01")


@pytest.mark.parametrize(
    ("headers", "waited"),
    [({}, [1.0, 2.0]), ({"Retry-After": "7"}, [7.0, 7.0]), ({"Retry-After": "Fri, 30 Jan 2026 00:00:03 GMT"}, [3.0, 3.0]),
     ({"Retry-After": "9999"}, [120.0, 120.0]), ({"Retry-After": "soon"}, [1.0, 2.0])],
)  # fmt: skip
@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_a_busy_vendor_is_asked_again_after_what_it_says_or_after_doubling_times(
    vendor: Vendor, tmp_path: Path, status: int, headers: dict[str, str], waited: list[float]
) -> None:
    vendor.troubles = [(status, headers, json.dumps({"error": {"message": "Overloaded"}}))] * 2
    slept: list[float] = []
    (pulled,) = anthropic(vendor, slept).pull(DAY, day(3), tmp_path)
    assert (len(pulled.paths), slept) == (1, waited)


def test_a_vendor_that_stays_busy_is_an_error_that_leaves_no_page_behind(vendor: Vendor, tmp_path: Path) -> None:
    slept: list[float] = []
    source = openai(vendor, slept)
    first = source.pull(DAY, day(7), tmp_path)
    first[0].paths[0].unlink()
    trouble: tuple[int, dict[str, str], str] = (503, {}, "<html>Bad gateway</html>")

    original = vendor.answer
    vendor.answer = lambda path, asked, headers: original(path, asked, headers) if "page" not in dict(asked) else trouble  # type: ignore[method-assign]
    with pytest.raises(SourceError, match=r"OpenAI is busy or broken \(HTTP 503\); asked 4 times"):
        source.pull(DAY, day(20), tmp_path)
    assert slept == [1.0, 2.0, 4.0]
    assert list(tmp_path.iterdir()) == []


def test_a_vendor_that_cannot_be_reached_is_an_error_in_words(tmp_path: Path) -> None:
    with serving(Vendor()) as gone:
        pass
    with pytest.raises(SourceError, match="OpenAI cannot be reached"):
        openai(gone).pull(DAY, day(2), tmp_path)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (400, '{"error": {"message": "limit is too large"}}', r"refuses the question \(HTTP 400\): limit is too large"),
        (404, "<html>gone</html>", r"HTTP 404\): <html>gone"),
        (302, "", "HTTP 302"),
        (200, '{"data": {}}', "not a page of costs"),
        (200, "<html>Please sign in</html>", "not a page of costs: '<html>Please"),
        (200, '{"data": [], "has_more": true, "next_page": null}', "does not say which is the next one"),
    ],
)
def test_what_is_no_page_is_refused_at_once(vendor: Vendor, tmp_path: Path, status: int, body: str, says: str) -> None:
    vendor.troubles = [(status, {"Location": "http://127.0.0.1:9/elsewhere"} if status == 302 else {}, body)]
    slept: list[float] = []
    with pytest.raises(SourceError, match=says):
        openai(vendor, slept).pull(DAY, day(2), tmp_path)
    assert (slept, len(vendor.questions), list(tmp_path.iterdir())) == ([], 1, [])


def test_pages_that_go_round_in_a_circle_come_to_an_end(vendor: Vendor, tmp_path: Path) -> None:
    vendor.endless = True
    with pytest.raises(SourceError, match="pages without end"):
        openai(vendor).pull(DAY, day(2), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_message_no_log_and_no_representation_has_the_key(vendor: Vendor, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "sk-admin-wrong-9876543210"
    said = []
    for source in (openai(vendor, key=wrong), anthropic(vendor, key=wrong)):
        with pytest.raises(SourceError, match=r"refuses the key \(HTTP 401\)") as refused:
            source.pull(DAY, day(2), tmp_path)
        said += [str(refused.value), repr(refused.value), repr(source)]
    with pytest.raises(SourceError, match=r"the range is empty, says …") as refused:
        anthropic(vendor).pull(DAY, DAY, tmp_path)
    said += [str(refused.value), repr(PagedApi("X", vendor.address, {"x-api-key": ADMIN_KEY}))]
    logged = [f"{record.getMessage()} {record.args}" for record in caplog.records]
    assert logged
    for text in [*said, *logged]:
        assert wrong not in text
        assert ADMIN_KEY not in text


def test_a_key_is_needed_and_is_not_sent_in_the_open() -> None:
    for name, variable in (("openai", "OPENAI_ADMIN_KEY"), ("anthropic", "ANTHROPIC_ADMIN_KEY")):
        with pytest.raises(ConfigError, match=f"{variable}; it is not set"):
            source_named(name, {})
        with pytest.raises(ConfigError, match="characters that no key has"):
            source_named(name, {variable: "two words"})
        assert source_named(name, {variable: " sk-1 \n"}).name == name
    with pytest.raises(ConfigError, match="https only"):
        OpenAISource("sk-1", "http://costs.example.com").pull(DAY, day(1), Path())
    with pytest.raises(InputError, match="No source is called 'acme'; allowed are anthropic, openai"):
        source_named("acme")


def test_pulls_go_into_the_ledger_and_what_is_restated_or_withdrawn_is_so_there(vendor: Vendor, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    moments = iter(dt.datetime(2026, 2, number, tzinfo=dt.UTC) for number in range(1, 20))

    def ingest(pulled: Pulled) -> object:
        return ledger.ingest(
            pulled.paths,
            received_at=pulled.received_at or next(moments),
            format=pulled.format,
            key=pulled.key or None,
            replace=pulled.replace,
            covers=pulled.covers,
            source=pulled.source,
        )

    def total() -> Decimal:
        return sum((Decimal(str(value)) for value in ledger.charges()["BilledCost"]), Decimal(0))

    def pull(source: SpendSource, since: dt.date, until: dt.date) -> None:
        (outcome,) = pull_once(source, ingest, since=since, until=until, scratch=tmp_path)
        assert outcome.error is None, outcome.error

    pull(openai(vendor), DAY, day(20))
    assert total() == 2 * sum(range(1, 21))
    pull(openai(vendor), day(15), day(20))
    assert total() == 2 * sum(range(1, 21))
    vendor.costs[day(19)] = [(MODELS[0], "100.25")]
    pull(openai(vendor), day(15), day(20))
    assert total() == 2 * sum(range(1, 20)) + Decimal("100.25")
    pull(anthropic(vendor), day(19), day(20))
    assert total() == 2 * sum(range(1, 20)) + Decimal("100.25") + Decimal("1.0025")
    assert not list(tmp_path.glob("pulled-*"))


def test_days_without_costs_are_no_delivery_and_pages_without_any_are_left_out(vendor: Vendor, tmp_path: Path) -> None:
    assert openai(vendor).pull(day(100), day(120), tmp_path) == []
    assert anthropic(vendor).pull(day(100), day(120), tmp_path) == []
    (pulled,) = anthropic(vendor).pull(day(-10), day(2), tmp_path)
    assert [path.name for path in pulled.paths] == ["anthropic-cost-2025-12-26-2026-01-07-0002.json"]


def test_every_source_of_the_registry_is_called_as_it_calls_itself() -> None:
    keys = {"OPENAI_ADMIN_KEY": "sk-1", "ANTHROPIC_ADMIN_KEY": "sk-1"}
    assert {name: source_named(name, keys).name for name in SOURCES} == {name: name for name in SOURCES}
