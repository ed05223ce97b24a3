"""The journal against its slow twin: whatever is delivered, in whatever order it arrives, every moment shows what was known then.

The twin (`tests.oracles.ledger`) reads all deliveries again for every question; the ledger never reads one twice.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast.adapters import ledger_entries, ledger_ingest, ledger_table, ledger_work
from forecast.adapters.delivery import Covers
from forecast.adapters.duck import execute
from forecast.adapters.ingest_report import IngestReport
from forecast.adapters.ledger import Ledger
from forecast.errors import SpendDataError
from forecast.spend.ai_rules import AiRules
from forecast.spend.currency import DatedRate, Rates
from forecast.spend.rules import Rules
from tests.adapters.ledger_rows import Row, row, write_csv
from tests.oracles.ledger import Charge, LedgerTwin, content_of, cost, cost_by, day_of

KEY = "x_charge_id"
DAYS = ("2026-01-05", "2026-01-20", "2026-01-31", "2026-02-03")
COSTS = ("1.10", "-2.35", "0.000000000001", "999999999999.999999999999")
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])


@dataclass(frozen=True)
class Delivered:
    """One delivery. day : when it was received, as a day after the bills; source : None where nobody named it."""

    day: int
    mode: str
    files: tuple[tuple[Row, ...], ...]
    covers: Covers = "auto"
    source: str | None = "bucket"


def received(day: int) -> dt.datetime:
    return dt.datetime(2026, 3, 1) + dt.timedelta(days=day)


def charge(day: str = DAYS[0], *, costs: str = "1.10", month: str | None = None, provider: str = "OpenAI", account: str = "", key: str = "") -> Row:
    """A row of which every value has one spelling."""
    first = dt.date.fromisoformat(f"{month or day[:7]}-01")
    return row(
        ChargePeriodStart=f"{day}T00:00:00Z",
        ChargePeriodEnd=f"{dt.date.fromisoformat(day) + dt.timedelta(days=1)}T00:00:00Z",
        BillingPeriodStart=f"{first}T00:00:00Z",
        BillingPeriodEnd=f"{(first + dt.timedelta(days=32)).replace(day=1)}T00:00:00Z",
        EffectiveCost=costs,
        BilledCost="5.5" if costs == "1.10" else costs,
        ProviderName=provider,
        BillingAccountId=account or None,
        Tags=f'{{"account": "{account}"}}',
        **{KEY: key or None},
    )


NO_RULES = Rules(AiRules((), {}))
"""What counts as AI spend is nothing to the journal, and a third of the time of a small delivery."""


class Books:
    """A ledger and its twin, fed with the same deliveries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger, self.twin = Ledger(folder / "home" / "ledger", threads=1, rules=NO_RULES), LedgerTwin()

    def take(self, delivered: Delivered) -> IngestReport | None:
        """None where the ledger refuses rows that it knows by another key; the twin then does not hear of them."""
        number = len(list(self.folder.glob("in-*")))
        paths = [write_csv(self.folder / f"in-{number}" / f"{place}.csv", rows) for place, rows in enumerate(delivered.files)]
        key, replace = (KEY if delivered.mode == "merge" else None), delivered.mode == "replace"
        try:
            report = self.ledger.ingest(
                paths, received_at=received(delivered.day), key=key, replace=replace, covers=delivered.covers, source=delivered.source
            )
        except SpendDataError:
            return None
        self.twin.ingest(
            delivered.files,
            received(delivered.day),
            source=delivered.source or "focus",
            declared=delivered.source is not None,
            mode=delivered.mode,
            key=() if key is None else (key,),
            covers=delivered.covers,
        )
        return report

    def check(self) -> None:
        """Charges, panels, summary and developments say what the twin says, at every moment and to the last place."""
        moments = self.twin.moments()
        for moment in moments:
            known = self.twin.known(moment)
            assert self.charges(moment) == Counter(_plain(found) for found in known), f"charges as of {moment}"
            assert self.panel("effective", moment) == _as_panel(known, "EffectiveCost"), f"effective panel as of {moment}"
        known = self.twin.known()
        assert self.charges(None) == Counter(_plain(found) for found in known)
        assert self.panel("billed", None) == _as_panel(known, "BilledCost")
        if known:
            self._check_summary(known)
        if moments:
            self._check_developments()

    def _check_summary(self, known: Sequence[Charge]) -> None:
        summary, days = self.ledger.summary(), [day_of(found.row) for found in known]
        assert (summary["rows"], summary["first_day"], summary["last_day"]) == (len(known), min(days).isoformat(), max(days).isoformat())
        assert (Decimal(summary["effective_cost"]), Decimal(summary["billed_cost"])) == (cost(known), cost(known, "BilledCost"))

    def _check_developments(self) -> None:
        """The cost of a day as known at a moment is the sum of its changes up to then: to the cent, for each change is a float."""
        frame = self.ledger.developments(by=["provider", "account"])
        columns = (frame["ds"].dt.date, frame["provider"], frame["account"], frame["known_at"], frame["change"])
        changes = [(day, provider, _account(account), at, change) for day, provider, account, at, change in zip(*columns, strict=True)]
        for moment in self.twin.moments():
            sums: dict[tuple[dt.date, str, str], float] = {}
            for day, provider, account, at, change in changes:
                if at <= moment:
                    sums[day, provider, account] = sums.get((day, provider, account), 0.0) + change
            expected = _as_panel(self.twin.known(moment), "EffectiveCost")
            assert all(abs(sums.get(place, 0.0) - expected.get(place, 0.0)) < 0.005 for place in {*sums, *expected}), f"developments up to {moment}"

    def charges(self, moment: dt.datetime | None) -> Counter[tuple[Any, ...]]:
        names = ("source", "ProviderName", "BillingAccountId", "billing_month", "ChargePeriodStart", "EffectiveCost", "BilledCost")
        table = self.ledger.charges(columns=names, as_of=moment)
        return Counter(zip(*(table.column(name).to_pylist() for name in names), strict=True))

    def panel(self, name: str, moment: dt.datetime | None) -> dict[tuple[dt.date, str, str], float]:
        frame = self.ledger.panel(by=["provider", "account"], cost=name, as_of=moment)
        places = zip(frame["ds"].dt.date, frame["provider"], frame["account"].map(_account), strict=True)
        return dict(zip(places, frame["y"], strict=True))


def books(folder: Path, deliveries: Sequence[Delivered]) -> Books:
    kept = Books(folder)
    for delivered in deliveries:
        kept.take(delivered)
    return kept


def _account(value: str) -> str:
    return "" if value == "(none)" else value


def _plain(found: Charge) -> tuple[Any, ...]:
    said = found.row
    costs = Decimal(said["EffectiveCost"]), Decimal(said["BilledCost"])
    start = dt.datetime.combine(day_of(said), dt.time())
    return found.source, said["ProviderName"], said.get("BillingAccountId"), said["BillingPeriodStart"][:7], start, *costs


def _as_panel(known: Sequence[Charge], column: str) -> dict[tuple[dt.date, str, str], float]:
    """Sums are exact until they leave the ledger, so the nearest float is the only right one."""
    return {place: float(money) for place, money in cost_by(known, column).items()}


# Deliveries at random: few rows, so that they meet


@st.composite
def charges(draw: st.DrawFn, *, keyed: bool) -> Row:
    day = draw(st.sampled_from(DAYS))
    month = draw(st.sampled_from((day[:7], "2026-02"))) if day.endswith("31") else day[:7]
    provider, account = draw(st.sampled_from((("OpenAI", ""), ("OpenAI", ""), ("AWS", ""), ("AWS", "a"))))
    return charge(
        day,
        month=month,
        costs=draw(st.sampled_from(COSTS)),
        provider=provider,
        account=account,
        key=draw(st.sampled_from("123")) if keyed else "",
    )


@st.composite
def any_deliveries(draw: st.DrawFn, modes: Sequence[str], sources: Sequence[str | None] = ("bucket",)) -> list[Delivered]:
    """Deliveries of which many say the same again, in the order of their arrival, received at any of six moments."""
    pools = {keyed: draw(st.lists(charges(keyed=keyed), min_size=1, max_size=4)) for keyed in (False, True)}
    found: list[Delivered] = []
    for _ in range(draw(st.integers(2, 6))):
        day = draw(st.integers(1, 6))
        if found and draw(st.integers(0, 3)) == 0:
            again = draw(st.sampled_from(found))
            found.append(Delivered(day, again.mode, again.files, again.covers, again.source))
            continue
        mode = draw(st.sampled_from(modes))
        # Rows with the column of the key also come without it being the key; appended ones would then be refused.
        keyed = mode == "merge" or (mode == "replace" and "merge" in modes)
        rows = st.sampled_from(pools[keyed])
        files = draw(st.lists(st.lists(rows, min_size=1, max_size=3).map(tuple), min_size=1, max_size=2).map(tuple))
        found.append(Delivered(day, mode, files, draw(st.sampled_from(("auto", "period", "days"))), draw(st.sampled_from(sources))))
    return found


@settings(SLOW, max_examples=4)
@pytest.mark.parametrize("modes", [("append",), ("merge",), ("replace",), ("append", "merge")], ids="-".join)
@given(data=st.data())
def test_order_of_arrival_makes_no_difference(tmp_path_factory: pytest.TempPathFactory, modes: tuple[str, ...], data: st.DataObject) -> None:
    books(tmp_path_factory.mktemp("books"), data.draw(any_deliveries(modes))).check()


@settings(SLOW, max_examples=6)
@given(deliveries=any_deliveries(("append", "merge", "replace"), ("bucket", "bucket", "other", None)))
def test_sources_and_modes_mix_in_the_order_of_receipt(tmp_path_factory: pytest.TempPathFactory, deliveries: list[Delivered]) -> None:
    books(tmp_path_factory.mktemp("books"), sorted(deliveries, key=lambda delivered: delivered.day)).check()


# Found by search, kept small


A, B = charge(), charge(costs="-2.35")
ONE, TWO, MOVED = charge(key="1"), charge(costs="-2.35", key="1"), charge(DAYS[3], key="1")
JANUARY = tuple(charge(f"2026-01-{day:02}") for day in range(1, 11))

FOUND = {
    # An equal row that came later was counted as this one although an earlier late delivery had taken it already.
    "three_late_counts_of_one_row": [Delivered(4, "append", ((A,),)), Delivered(2, "append", ((A,),)), Delivered(3, "append", ((A, A),))],
    "four_late_counts_of_one_row": [Delivered(day, "append", ((A,) * count,)) for day, count in ((4, 3), (3, 2), (1, 1), (2, 3))],
    # What was said again later holds, be it by the same delivery.
    "late_restatement_before_the_same_said_again": [Delivered(day, "merge", ((one,),)) for day, one in ((2, ONE), (4, ONE), (3, MOVED))],
    "late_export_before_the_same_export_again": [Delivered(day, "replace", ((one,),)) for day, one in ((2, A), (4, A), (3, B))],
    "same_export_before_and_after_another": [Delivered(day, "replace", ((one,),)) for day, one in ((2, A), (1, B), (4, B))],
    "same_rows_before_and_after_a_restatement": [Delivered(day, "merge", ((one,),)) for day, one in ((2, TWO), (1, ONE), (3, ONE))],
    # The same files as days and as a whole month are two deliveries.
    "days_and_then_the_whole_month": [
        Delivered(1, "replace", (JANUARY,)),
        Delivered(2, "replace", ((charge("2026-01-04", costs="-2.35"),),), "days"),
        Delivered(3, "replace", ((charge("2026-01-04", costs="-2.35"),),), "period"),
    ],
    # Not found by search but by thinking.
    "restated_and_back": [Delivered(day, "merge", ((one,),)) for day, one in ((1, ONE), (2, TWO), (3, ONE), (4, TWO))],
    "moved_to_another_month_and_back_late": [Delivered(day, "merge", ((one,),)) for day, one in ((1, ONE), (3, ONE), (2, MOVED), (4, MOVED))],
    "few_days_are_no_month": [Delivered(1, "replace", (JANUARY,)), Delivered(2, "replace", ((charge("2026-01-04", costs="-2.35"),),))],
    "withdrawn_and_back": [Delivered(1, "append", ((A, A, B),)), Delivered(2, "replace", ((B,),)), Delivered(3, "append", ((A,), (A, A)))],
    "late_export_withdraws_what_comes_again": [Delivered(1, "append", ((A,),)), Delivered(3, "append", ((A, A),)), Delivered(2, "replace", ((B,),))],
    "same_moment_in_order_of_arrival": [Delivered(1, "merge", ((one,),)) for one in (ONE, TWO, MOVED)],
    "two_sources_are_two_words": [Delivered(1, "append", ((A, A),)), Delivered(2, "replace", ((B,),), source="other")],
    "one_provider_of_an_unnamed_source": [
        Delivered(1, "replace", ((A, charge(provider="AWS")),), source=None),
        Delivered(2, "replace", ((charge(provider="AWS", costs="-2.35"),),), source=None),
    ],
}


@pytest.mark.parametrize("name", FOUND)
def test_found_example(tmp_path: Path, name: str) -> None:
    books(tmp_path, FOUND[name]).check()


@pytest.mark.parametrize("mode", ["append", "merge", "replace"])
def test_three_deliveries_end_in_the_same_books_whichever_arrives_late(tmp_path: Path, mode: str) -> None:
    files = {"append": ((A,), (A, A, B), (A, A, A)), "merge": ((ONE,), (TWO,), (ONE,)), "replace": ((A, B), (B,), (A, A))}[mode]
    deliveries = [Delivered(day, mode, (rows,), "period") for day, rows in enumerate(files, start=1)]
    first, second, third = deliveries
    for number, order in enumerate(((third, second, first), (second, third, first), (third, first, second))):
        books(tmp_path / str(number), order).check()


@pytest.mark.parametrize("again", [(A,), (A, charge(DAYS[3]))], ids=["in the same file", "beside others"])
def test_rows_said_again_by_content_do_not_hold_against_a_later_loaded_older_export(tmp_path: Path, again: tuple[Row, ...]) -> None:
    """The one place where the order of arrival counts (decision 8): an append that finds a row there writes nothing about it."""
    first, later, late = Delivered(1, "append", ((A,),)), Delivered(3, "append", (again,)), Delivered(2, "replace", ((B,),), "period")
    rest = [one for one in again if one is not A]
    by_receipt, by_arrival = books(tmp_path / "receipt", [first, late, later]), books(tmp_path / "arrival", [first, later, late])
    by_receipt.check()
    assert by_arrival.charges(received(2)) == by_receipt.charges(received(2))
    assert by_receipt.charges(None) == Counter(_plain(Charge("bucket", content_of(one), None)) for one in (A, B, *rest))
    assert by_arrival.charges(None) == Counter(_plain(Charge("bucket", content_of(one), None)) for one in (B, *rest))


# Money


@settings(SLOW, max_examples=4)
@given(data=st.data())
def test_any_split_into_files_and_deliveries_conserves_money(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    costs = data.draw(st.lists(st.decimals(min_value=-(10**12), max_value=10**12, places=12, allow_nan=False), min_size=1, max_size=9))
    rows = [charge(DAYS[place % 4], costs=format(money, "f"), key=f"c{place}") for place, money in enumerate(costs)]
    mode = data.draw(st.sampled_from(("append", "merge")))
    homes = data.draw(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 1)), min_size=len(rows), max_size=len(rows)))
    deliveries = []
    for day in sorted({day for day, _ in homes}):
        files = [tuple(one for one, home in zip(rows, homes, strict=True) if home == (day, file)) for file in (0, 1)]
        deliveries.append(Delivered(day, mode, tuple(file for file in files if file)))
    kept = books(tmp_path_factory.mktemp("split"), data.draw(st.permutations(deliveries)))
    assert Decimal(kept.ledger.summary()["effective_cost"]) == sum(costs, Decimal(0))
    for delivered in deliveries:
        report = kept.take(Delivered(5, delivered.mode, delivered.files))
        assert report is not None
        assert not report.changed
    kept.check()


@settings(SLOW, max_examples=2)
@given(costs=st.lists(st.decimals(min_value=-(10**12), max_value=10**12, places=12, allow_nan=False), min_size=2, max_size=6))
def test_restating_and_restating_back_conserves_money(tmp_path_factory: pytest.TempPathFactory, costs: list[Decimal]) -> None:
    first = tuple(charge(costs=format(money, "f"), key=f"c{place}") for place, money in enumerate(costs))
    other = tuple(charge(DAYS[3], costs=format(money * 2 + 1, "f"), key=f"c{place}") for place, money in enumerate(costs))
    deliveries = [Delivered(day, "merge", (rows,)) for day, rows in enumerate((first, other, first, other, first), start=1)]
    kept = books(tmp_path_factory.mktemp("back"), deliveries)
    assert kept.panel("effective", None) == kept.panel("effective", received(1)) == _as_panel(kept.twin.known(received(1)), "EffectiveCost")
    kept.check()


def test_an_export_that_comes_again_after_a_second_currency_does_not_hide_it(tmp_path: Path) -> None:
    """The newest commit names the currencies that the ledger holds, also where it has nothing else to say."""
    rates = Rates.of([DatedRate("EUR", "USD", dt.date(2026, 1, 1), Decimal("1.1"), "bank")])
    ledger = Ledger(tmp_path / "ledger", threads=1, rules=NO_RULES, rates=rates)
    dollars, euros = write_csv(tmp_path / "dollars.csv", [A]), write_csv(tmp_path / "euros.csv", [A | {"BillingCurrency": "EUR"}])
    ledger.ingest([dollars], received_at=received(1), replace=True, source="one")
    ledger.ingest([euros], received_at=received(2), replace=True, source="two")
    assert not ledger.ingest([dollars], received_at=received(3), replace=True, source="one").changed
    assert ledger.currencies == ("USD", "EUR")
    assert Decimal(ledger.summary()["effective_cost"]) == Decimal("1.10") + Decimal("1.21")


# Teeth: the checks above notice a journal that is kept badly


Break = Callable[[pytest.MonkeyPatch], None]


def _sql(right: str, wrong: str) -> Break:
    """Everything that decides about entries says `wrong` instead of `right` in its SQL."""

    def broken(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[object] | None = None) -> list[tuple[Any, ...]]:
        return execute(connection, sql.replace(right, wrong), parameters)

    return lambda patch: patch.setattr(ledger_work, "execute", broken)


def _function(owner: object, name: str, broken: object) -> Break:
    return lambda patch: patch.setattr(owner, name, broken)


def _no_counter_entries(work: Any, rows: str) -> str:
    return f"SELECT {', '.join(f'{chr(34)}{name}{chr(34)}' for name in ledger_table.STORED)} FROM ({rows}) WHERE false"


def _same_content_whatever_it_costs(table: str) -> str:
    return f"hash({table}.{chr(34)}ChargePeriodStart{chr(34)}) AS content, 0 AS content_effective, 0 AS content_billed"


def _one_day_more(cover: ledger_work.Cover, table: str, right: Any = ledger_work.Cover.sql) -> str:
    last = None if cover.last is None else cover.last + dt.timedelta(days=1)
    return str(right(replace(cover, last=last), table))


def _known_at_any_time(work: ledger_work.Work) -> str:
    return f"source = '{work.delivery.source}'"


def _known_of_any_source(work: ledger_work.Work) -> str:
    return f"received_at <= {ledger_table.moment_literal(work.delivery.received_at)}"


def _said_at_the_same_time(table: Any, delivery: Any, right: Any = ledger_ingest._said_before) -> Any:
    """A delivery that comes again is then answered without a commit."""
    said = right(table, delivery)
    return None if said is None else replace(said, received_at=delivery.received_at)


def _conditions_without_as_of(as_of: Any, start: Any, end: Any, right: Any = ledger_table._conditions) -> Any:
    return right(None, start, end)


MUTANTS: dict[str, tuple[Break, str]] = {
    "occurrences are not counted": (_sql("count(*) AS times", "1 AS times"), "withdrawn_and_back"),
    "history changes the present": (_function(ledger_entries, "take_back", lambda *_: None), "three_late_counts_of_one_row"),
    "history restores charges and not counter-entries": (
        _sql("hive_partitioning = false) WHERE sign <> 0", "hive_partitioning = false) WHERE sign = 1"),
        "late_export_withdraws_what_comes_again",
    ),
    "no counter-entries": (_function(ledger_entries, "_counter_entries", _no_counter_entries), "restated_and_back"),
    "counter-entries without their sign": (_sql("(-1)::TINYINT", "1::TINYINT"), "restated_and_back"),
    "counter-entries add": (_function(ledger_entries, "AMOUNTS", ()), "withdrawn_and_back"),
    "a late delivery is taken for the newest": (_function(ledger_ingest, "later_commits", lambda *_: []), "four_late_counts_of_one_row"),
    "a late delivery is held against today": (_function(ledger_work.Work, "known", property(_known_at_any_time)), "three_late_counts_of_one_row"),
    "other sources' rows are its own": (_function(ledger_work.Work, "known", property(_known_of_any_source)), "two_sources_are_two_words"),
    "content without costs": (_function(ledger_entries, "content_sql", _same_content_whatever_it_costs), "restated_and_back"),
    "every export is of whole months": (_function(ledger_entries, "_is_part", lambda *_: False), "few_days_are_no_month"),
    "an export stands for a day more": (_function(ledger_work.Cover, "sql", _one_day_more), "few_days_are_no_month"),
    "what it stands for is no part of a delivery": (_function(ledger_ingest, "_asked", lambda _: None), "days_and_then_the_whole_month"),
    "what is said again leaves no trace": (
        _function(ledger_ingest, "_said_before", _said_at_the_same_time),
        "late_restatement_before_the_same_said_again",
    ),
    "as_of is not looked at": (_function(ledger_table, "_conditions", _conditions_without_as_of), "restated_and_back"),
}
"""How the journal is broken, and the example that must notice."""


@pytest.mark.parametrize("mutant", MUTANTS)
def test_checks_notice_a_journal_that_is_kept_badly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: str) -> None:
    break_it, example = MUTANTS[mutant]
    break_it(monkeypatch)
    kept = books(tmp_path, FOUND[example])
    with pytest.raises(AssertionError):
        kept.check()
