"""No request can make the service answer 500, and everything that goes wrong is problem+json."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.homes import TestClient, problem_of

ANSWERS = ("/v1/forecast", "/v1/explain", "/v1/overrun", "/v1/anomalies", "/v1/whatif")
POSTS = (*ANSWERS, "/v1/spend")
DAYS = '"start":"2027-01-01","end":"2027-04-01"'

BROKEN_BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n ",
    "not JSON": b"hello",
    "cut off": b'{"period":"2027-Q1"',
    "two documents": b"{}{}",
    "null": b"null",
    "a number": b"5",
    "a text": b'"2027-Q1"',
    "an empty list": b"[]",
    "a list of nothing": b"[null]",
    "a list of lists": b"[[1,2],[3,4]]",
    "an empty object": b"{}",
    "not UTF-8": b'{"period":"\xff\xfe"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"period":"2027-Q1"}'.encode("utf-16"),
    "null bytes": b"\x00\x00\x00",
    "a null byte inside": b'{"period":"2027\x00Q1"}',
    "an escaped null byte": b'{"period":"2027\\u0000","scope":"team=\\u0000"}',
    "a lone surrogate": b'{"scope":"team=\\ud800",' + DAYS.encode() + b"}",
    "NaN": b'{"amount":NaN,' + DAYS.encode() + b"}",
    "Infinity": b'{"amount":Infinity,' + DAYS.encode() + b"}",
    "minus Infinity": b'{"quantiles":[-Infinity],' + DAYS.encode() + b"}",
    "1e999": b'{"amount":1e999,' + DAYS.encode() + b"}",
    "a huge integer": b'{"amount":1' + b"0" * 400 + b"," + DAYS.encode() + b"}",
    "a gigantic integer": b'{"amount":' + b"9" * 100_000 + b"}",
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep levers": b'{"levers":[{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}]," + DAYS.encode() + b"}",
    "unknown field": b'{"perriod":"2027-Q1"}',
    "a million quantiles": b'{"quantiles":[' + b"0.5," * 10**6 + b"0.5]," + DAYS.encode() + b"}",
    "quantile of 0": b'{"quantiles":[0],' + DAYS.encode() + b"}",
    "quantile of 90": b'{"quantiles":[90],' + DAYS.encode() + b"}",
    "quantiles as text": b'{"quantiles":["0.5"],' + DAYS.encode() + b"}",
    "reversed days": b'{"start":"2027-04-01","end":"2027-01-01","amount":1}',
    "one day twice": b'{"start":"2027-01-01","end":"2027-01-01","amount":1}',
    "a day that is not": b'{"start":"2027-02-30","end":"2027-04-01","amount":1}',
    "days as numbers": b'{"start":20270101,"end":20270401,"amount":1}',
    "year 0": b'{"start":"0000-01-01","end":"2027-04-01","amount":1}',
    "year 1": b'{"start":"0001-01-01","end":"0001-02-01","amount":1}',
    "year 9999": b'{"start":"2027-01-01","end":"9999-12-31","amount":1}',
    "period of year 0": b'{"period":"0000-Q1","amount":1}',
    "period of year 9999": b'{"period":"9999-Q4","amount":1}',
    "period of week 99": b'{"period":"2027-W99","amount":1}',
    "period of month 13": b'{"period":"2027-13","amount":1}',
    "period of other digits": '{"period":"２０２７-Q1","amount":1}'.encode(),
    "period twice": b'{"period":"2027-Q1",' + DAYS.encode() + b',"amount":1}',
    "period without text": b'{"period":"","amount":1}',
    "a long period": b'{"period":"' + b"2" * 10**6 + b'","amount":1}',
    "scope of a number": b'{"scope":5,"amount":1,' + DAYS.encode() + b"}",
    "scope of lists": b'{"scope":[["team","ads"]],"amount":1,' + DAYS.encode() + b"}",
    "scope of nulls": b'{"scope":{"team":null},"amount":1,' + DAYS.encode() + b"}",
    "scope of objects": b'{"scope":{"team":{"a":1}},"amount":1,' + DAYS.encode() + b"}",
    "scope without a value": b'{"scope":"team=","amount":1,' + DAYS.encode() + b"}",
    "scope that is only marks": b'{"scope":"=|=,!=\\\\","amount":1,' + DAYS.encode() + b"}",
    "scope twice": b'{"scope":"team=ads,team=search","amount":1,' + DAYS.encode() + b"}",
    "scope of a strange dimension": b'{"scope":"__class__=x","amount":1,' + DAYS.encode() + b"}",
    "unknown scope": b'{"scope":"team=nobody","amount":1,' + DAYS.encode() + b"}",
    "unknown tag": b'{"scope":"colour=red","amount":1,' + DAYS.encode() + b"}",
    "SQL": b'{"scope":"team=\'; DROP TABLE budgets; --","amount":1,' + DAYS.encode() + b"}",
    "a long scope": b'{"scope":"team=' + b"a" * 10**6 + b'","amount":1,' + DAYS.encode() + b"}",
    "a long scope of a lever": b'{"levers":[{"type":"scale_usage","factor":2,"scope":"team=' + b"a" * 10**6 + b'"}],' + DAYS.encode() + b"}",
    "a long scope of an object": b'{"scope":{"team":["' + b"a," * 10**6 + b'"]},"amount":1,' + DAYS.encode() + b"}",
    "a long group by": b'{"group_by":"' + b"a" * 10**6 + b'",' + DAYS.encode() + b"}",
    "a long day": b'{"as_of":"' + b"1" * 10**6 + b'","amount":1,' + DAYS.encode() + b"}",
    "a wide scope": b'{"scope":"team=' + b"|".join(b"a%d" % number for number in range(50_000)) + b'","amount":1,' + DAYS.encode() + b"}",
    "group by nothing known": b'{"group_by":["nonsense"],' + DAYS.encode() + b"}",
    "group by numbers": b'{"group_by":[1,2],' + DAYS.encode() + b"}",
    "group by twice": b'{"group_by":["team","team"],' + DAYS.encode() + b"}",
    "group by all there is": b'{"group_by":["provider","service","team","stage","workload","region"],' + DAYS.encode() + b"}",
    "granularity of an hour": b'{"granularity":"hour",' + DAYS.encode() + b"}",
    "daily rows beyond the days": b'{"granularity":"day","start":"2026-12-11","end":"2028-01-01"}',
    "compared with nothing known": b'{"compare":"last year",' + DAYS.encode() + b"}",
    "compared twice": b'{"compare":"2026-Q4","compare_start":"2026-10-01","compare_end":"2027-01-01",' + DAYS.encode() + b"}",
    "compared by half": b'{"compare_end":"2027-01-01",' + DAYS.encode() + b"}",
    "compared with the beginning of time": b'{"compare_start":"0001-01-01","compare_end":"0001-01-02",' + DAYS.encode() + b"}",
    "beyond the horizon": b'{"start":"2031-01-01","end":"2031-04-01","amount":1}',
    "before all history": b'{"start":"2020-01-01","end":"2020-04-01","amount":1}',
    "unknown snapshot": b'{"snapshot_id":"ffffffffffff","amount":1,' + DAYS.encode() + b"}",
    "snapshot outside": b'{"snapshot_id":"../../../../etc","amount":1,' + DAYS.encode() + b"}",
    "as_of long ago": b'{"as_of":"1999-01-01","amount":1,' + DAYS.encode() + b"}",
    "as_of nonsense": b'{"as_of":"yesterday","amount":1,' + DAYS.encode() + b"}",
    "cost that no snapshot has": b'{"cost":"billed","amount":1,' + DAYS.encode() + b"}",
    "amount of 0": b'{"amount":0,' + DAYS.encode() + b"}",
    "amount below 0": b'{"amount":-5,' + DAYS.encode() + b"}",
    "amount as text": b'{"amount":"5",' + DAYS.encode() + b"}",
    "unknown budget": b'{"budget_id":"nobody"}',
    "budget with a null byte": b'{"budget_id":"a\\u0000b"}',
    "no rows": b'{"rows":[]}',
    "rows of nothing": b'{"rows":[{}]}',
    "row without a time": b'{"rows":[{"scope":"team=ads","cost":1}]}',
    "row at no time": b'{"rows":[{"scope":"team=ads","timestamp":"now","cost":1}]}',
    "row at the end of time": b'{"rows":[{"scope":"team=ads","timestamp":"9999-12-31T23:59:59-23:59","cost":1}]}',
    "row at the last second": b'{"rows":[{"scope":"team=ads","timestamp":"9999-12-31T23:59:59","cost":1}]}',
    "row at the beginning of time": b'{"rows":[{"scope":"team=ads","timestamp":"0001-01-01T00:00:00","cost":1}]}',
    "row of NaN": b'{"rows":[{"scope":"team=ads","timestamp":"2026-12-11","cost":NaN}]}',
    "row of 1e308": b'{"rows":[{"scope":"team=ads","timestamp":"2026-12-11","cost":1e308}]}',
    "row of an unknown series": b'{"rows":[{"series":"x|y|z","timestamp":"2026-12-11","cost":1}]}',
    "row of both": b'{"rows":[{"series":"company","scope":"","timestamp":"2026-12-11","cost":1}]}',
    "rows to commit": b'{"rows":[{"scope":"","timestamp":"2026-12-11","cost":1}],"commit":true}',
    "lever of nothing": b'{"levers":[{}],' + DAYS.encode() + b"}",
    "lever of an unknown type": b'{"levers":[{"type":"teleport","factor":2}],' + DAYS.encode() + b"}",
    "lever without a factor": b'{"levers":[{"type":"scale_usage","scope":"team=ads"}],' + DAYS.encode() + b"}",
    "lever below 0": b'{"levers":[{"type":"scale_usage","scope":"team=ads","factor":-1}],' + DAYS.encode() + b"}",
    "lever of NaN": b'{"levers":[{"type":"scale_usage","scope":"team=ads","factor":NaN}],' + DAYS.encode() + b"}",
    "lever of 1e308": b'{"levers":[{"type":"scale_usage","scope":"team=ads","factor":1e308}],' + DAYS.encode() + b"}",
    "lever of text": b'{"levers":["scale"],' + DAYS.encode() + b"}",
    "lever on nobody": b'{"levers":[{"type":"scale_usage","scope":"team=nobody","factor":2}],' + DAYS.encode() + b"}",
    "lever backwards": b'{"levers":[{"type":"scale_usage","factor":2,"from":"2027-03-01","until":"2027-02-01"}],' + DAYS.encode() + b"}",
    "lever out of days": b'{"levers":[{"type":"scale_usage","factor":2,"from":"2031-03-01","until":"2031-04-01"}],' + DAYS.encode() + b"}",
    "lever types": b'{"levers":[{"type":5,"scope":7,"factor":"x","from":[],"until":{},"ramp":null}],' + DAYS.encode() + b"}",
    "share beyond 1": b'{"levers":[{"type":"move_share","scope":"team=ads","share":7,"to":"team=search"}],' + DAYS.encode() + b"}",
    "a thousand levers": b'{"levers":[' + b",".join([b'{"type":"scale_usage","factor":2}'] * 1000) + b"]," + DAYS.encode() + b"}",
}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_broken_body_is_never_a_fault_of_the_service(client: TestClient, path: str, name: str) -> None:
    response = client.post(path, content=BROKEN_BODIES[name], headers={"Content-Type": "application/json"})
    check(response)


def check(response: Any) -> None:
    """Answered, or refused with a problem that names what is wrong."""
    if response.status_code == 200:
        json.loads(response.content, parse_constant=_not_json)
        return
    problem = problem_of(response)
    assert 400 <= problem["status"] < 500, problem
    assert problem["detail"]
    assert len(response.content) < 100_000


def _not_json(word: str) -> None:
    raise AssertionError(f"{word} in an answer")


@pytest.mark.parametrize("path", ANSWERS)
@pytest.mark.parametrize(
    "kind", ["text/plain", "text/csv", "application/octet-stream", "multipart/form-data; boundary=x", "application/xml", "/", "☃"]
)
def test_other_content_types_are_refused(client: TestClient, path: str, kind: str) -> None:
    response = client.post(path, content=b"{}", headers={"Content-Type": kind.encode()})
    assert problem_of(response)["status"] in {400, 415}


@pytest.mark.parametrize("path", ANSWERS)
def test_body_that_is_too_large_is_refused(client: TestClient, path: str) -> None:
    assert problem_of(client.post(path, content=b" " * (8 * 1024 * 1024 + 1)))["status"] == 413


@pytest.mark.parametrize("path", ANSWERS)
def test_body_that_does_not_say_how_large_it_is_is_refused_as_it_grows(client: TestClient, path: str) -> None:
    sent = 0

    def parts() -> Any:
        nonlocal sent
        for _ in range(12):
            sent += 1
            yield b" " * 1024 * 1024

    assert problem_of(client.post(path, content=parts(), headers={"Content-Type": "application/json"}))["status"] == 413


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", POSTS)
def test_wrong_method_is_a_405_that_names_the_right_one(client: TestClient, path: str, method: str) -> None:
    response = client.request(method, path)
    assert problem_of(response)["status"] == 405
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1", "/v1/forecast/x", "/v1/%00", "/v2/forecast", "/..%2f..%2fetc/passwd", "/%FF", "/v1/snapshots/%00aaaaaaaa"]
)
def test_unknown_path_is_a_404(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert problem_of(response)["status"] == 404


@pytest.mark.parametrize(
    "query",
    [
        "cost=list",
        "cost=billed",
        "as_of=x",
        "as_of=",
        "scope=team",
        "scope=team%3Dnobody",
        "scope=%00",
        "scope=%FF%FE",
        "snapshot_id=x",
        "snapshot_id=ffffffffff",
        "scope=" + "a" * 9000,
    ],
)
def test_broken_query_is_never_a_fault_of_the_service(client: TestClient, query: str) -> None:
    problem = problem_of(client.get(f"/v1/accuracy?{query}"))
    assert 400 <= problem["status"] < 500


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | st.dates().map(str)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4), max_leaves=10)
NAMES = (
    "scope",
    "period",
    "start",
    "end",
    "granularity",
    "group_by",
    "quantiles",
    "cost",
    "as_of",
    "snapshot_id",
    "budget_id",
    "amount",
    "rows",
    "levers",
    "commit",
)
NEARLY: dict[str, st.SearchStrategy[Any]] = {
    "scope": st.sampled_from(["", "team=ads", "team=ads|search,stage!=dev", "ai_model=haiku", "tenant=tenant-1"])
    | st.fixed_dictionaries({"team": JSON}),
    "period": st.sampled_from(["2027-Q1", "2027-02", "2027-W05", "2027", "2026-12", "2028-Q4"]),
    "start": st.dates().map(str) | st.sampled_from(["2026-06-01", "2026-12-20", "2027-01-01"]),
    "end": st.dates().map(str) | st.sampled_from(["2026-12-11", "2027-01-01", "2027-03-15"]),
    "granularity": st.sampled_from(["day", "week", "month", "quarter", "year"]),
    "group_by": st.lists(st.sampled_from(["team", "provider", "region", "tenant", "x"]), max_size=3),
    "quantiles": st.lists(st.floats(0, 1), max_size=5),
    "amount": st.floats(1e-300, 1e300),
    "rows": st.lists(
        st.fixed_dictionaries(
            {
                "scope": st.sampled_from(["", "team=ads"]),
                "timestamp": st.datetimes().map(lambda moment: moment.isoformat()),
                "cost": st.floats(-1e15, 1e15),
            }
        ),
        max_size=3,
    ),
    "levers": st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["scale_usage", "change_price", "move_share"])},
            optional={
                "scope": st.sampled_from(["", "team=ads"]) | JSON,
                "factor": st.floats(-5, 1e6) | JSON,
                "from": st.dates().map(str),
                "until": JSON,
                "ramp": JSON,
                "to": JSON,
                "share": JSON,
            },
        ),
        max_size=3,
    ),
}


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Objects whose members have the right names, and often nearly the right values."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=6))
    return {name: draw(NEARLY[name] if name in NEARLY and draw(st.integers(0, 4)) else JSON) for name in names}


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(path=st.sampled_from(ANSWERS), body=bodies() | JSON)
def test_any_json_is_answered_or_refused(client: TestClient, path: str, body: Any) -> None:
    check(client.post(path, content=json.dumps(body).encode(), headers={"Content-Type": "application/json"}))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(budget_id=st.text(min_size=1, max_size=20), body=bodies())
def test_any_budget_is_taken_or_refused(client: TestClient, budget_id: str, body: Any) -> None:
    from urllib.parse import quote

    path = f"/v1/budgets/{quote(budget_id, safe='')}"
    response = client.put(path, content=json.dumps(body).encode())
    if response.status_code in {200, 201}:
        assert client.delete(path).status_code == 204
    else:
        assert 400 <= problem_of(response)["status"] < 500
