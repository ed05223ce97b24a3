"""Deliveries and identity: what counts once, what counts twice, what gives way, and what was known when."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast.adapters import ledger_commit, ledger_ingest
from forecast.adapters.ingest_report import IngestReport
from forecast.adapters.ledger import Ledger
from forecast.errors import ConfigError, InputError, SchemaError, SpendDataError
from tests.adapters.ledger_rows import Row, cost_sum, focus_table, moment, row, write_csv, write_ndjson, write_parquet

ROWS = [row(ResourceId=f"r{number}", EffectiveCost=f"{number}.000000000001", BilledCost=f"{number}.5") for number in range(1, 11)]
FEBRUARY, MARCH, APRIL = moment("2026-02-01"), moment("2026-03-01"), moment("2026-04-01")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "home" / "ledger")


def total(ledger: Ledger, as_of: dt.datetime | None = None) -> Decimal:
    """Exact effective cost in force."""
    costs = ledger.charges(columns=["EffectiveCost"], as_of=as_of).column("EffectiveCost").to_pylist()
    return sum(costs, Decimal(0))


def commits(ledger: Ledger) -> int:
    return len(DeltaTable(repr(ledger)[8:-2]).history())


def counts(report: IngestReport) -> tuple[int, int, int, int]:
    return report.accepted, report.unchanged, report.superseded, report.quarantined


def keyed(number: int, cost: str, **changes: Any) -> Row:
    return row(x_charge_id=f"c{number}", EffectiveCost=cost, BilledCost=cost, **changes)


# By content


def test_second_ingest_of_same_file_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ROWS)
    assert counts(ledger.ingest([path], received_at=FEBRUARY)) == (10, 0, 0, 0)
    before, digest = commits(ledger), ledger.digest()
    again = ledger.ingest([path], received_at=MARCH)
    assert counts(again) == (0, 10, 0, 0)
    assert not again.changed
    assert again.effective_cost == 0
    assert (commits(ledger), ledger.digest()) == (before, digest)
    assert total(ledger) == cost_sum(ROWS)


def test_same_rows_in_another_order_and_file_change_nothing(ledger: Ledger, tmp_path: Path) -> None:
    ledger.ingest([write_csv(tmp_path / "a.csv", ROWS)], received_at=FEBRUARY)
    before = commits(ledger)
    assert counts(ledger.ingest([write_csv(tmp_path / "b.csv", ROWS[::-1])], received_at=MARCH)) == (0, 10, 0, 0)
    assert commits(ledger) == before


def test_overlapping_files_count_common_rows_once(ledger: Ledger, tmp_path: Path) -> None:
    ledger.ingest([write_csv(tmp_path / "a.csv", ROWS[:6])], received_at=FEBRUARY)
    assert counts(ledger.ingest([write_csv(tmp_path / "b.csv", ROWS[3:])], received_at=MARCH)) == (4, 3, 0, 0)
    assert total(ledger) == cost_sum(ROWS)


def test_overlapping_files_of_one_delivery_count_common_rows_once(ledger: Ledger, tmp_path: Path) -> None:
    paths = [write_csv(tmp_path / "a.csv", ROWS[:6]), write_csv(tmp_path / "b.csv", ROWS[3:])]
    report = ledger.ingest(paths, received_at=FEBRUARY)
    assert counts(report) == (10, 3, 0, 0)
    assert report.rows_read == 13
    assert "3 rows are in several files of the delivery and count once" in report.notes
    assert total(ledger) == cost_sum(ROWS)


def test_equal_rows_in_one_file_are_all_real(ledger: Ledger, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [ROWS[0], ROWS[0], ROWS[1], ROWS[0]])
    assert counts(ledger.ingest([path], received_at=FEBRUARY)) == (4, 0, 0, 0)
    assert total(ledger) == 3 * Decimal(ROWS[0]["EffectiveCost"]) + Decimal(ROWS[1]["EffectiveCost"])
    more = write_csv(tmp_path / "b.csv", [ROWS[0]] * 5)
    assert counts(ledger.ingest([more], received_at=MARCH)) == (2, 3, 0, 0)
    assert total(ledger) == 5 * Decimal(ROWS[0]["EffectiveCost"]) + Decimal(ROWS[1]["EffectiveCost"])


def test_same_file_given_twice_in_one_delivery_is_one_file(ledger: Ledger, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in" / "a.csv", ROWS)
    assert ledger.ingest([path, path, tmp_path / "in"], received_at=FEBRUARY).rows_read == 10


def test_grouping_files_into_deliveries_makes_no_difference(tmp_path: Path) -> None:
    paths = [write_csv(tmp_path / f"{number}.csv", rows) for number, rows in enumerate([ROWS[:5], [*ROWS[4:], ROWS[9]], [ROWS[0], ROWS[0]]])]
    together, apart = Ledger(tmp_path / "one" / "ledger"), Ledger(tmp_path / "two" / "ledger")
    together.ingest(paths, received_at=FEBRUARY)
    for path in paths:
        apart.ingest([path], received_at=FEBRUARY)
    assert total(together) == total(apart) == cost_sum([*ROWS, ROWS[9], ROWS[0]])


# By key


def test_restated_charge_supersedes_the_one_before(ledger: Ledger, tmp_path: Path) -> None:
    first = [keyed(number, "10") for number in range(5)]
    second = [keyed(0, "10"), keyed(1, "7.5"), keyed(9, "1")]
    assert counts(ledger.ingest([write_csv(tmp_path / "a.csv", first)], key="x_charge_id", received_at=FEBRUARY)) == (5, 0, 0, 0)
    report = ledger.ingest([write_csv(tmp_path / "b.csv", second)], key="x_charge_id", received_at=MARCH)
    assert counts(report) == (2, 1, 1, 0)
    assert total(ledger) == Decimal("48.5")
    assert total(ledger, as_of=moment("2026-02-15")) == 50
    assert ledger.summary()["rows"] == 6


def test_restating_again_and_back_keeps_every_version(ledger: Ledger, tmp_path: Path) -> None:
    times = [FEBRUARY, MARCH, APRIL]
    for cost, received_at in zip(["10", "20", "10"], times, strict=True):
        path = write_csv(tmp_path / "a.csv", [keyed(1, cost), keyed(2, "1")])
        ledger.ingest([path], key="x_charge_id", received_at=received_at)
    assert [total(ledger, as_of=time) for time in times] == [11, 21, 11]
    unchanged = ledger.ingest([tmp_path / "a.csv"], key="x_charge_id", received_at=APRIL + dt.timedelta(days=1))
    assert counts(unchanged) == (0, 2, 0, 0)


def test_restatement_may_move_a_charge_to_another_day_and_month(ledger: Ledger, tmp_path: Path) -> None:
    ledger.ingest([write_csv(tmp_path / "a.csv", [keyed(1, "10")])], key="x_charge_id", received_at=FEBRUARY)
    moved = keyed(1, "10", ChargePeriodStart="2026-02-03", ChargePeriodEnd="2026-02-04", BillingPeriodStart="2026-02-01")
    ledger.ingest([write_csv(tmp_path / "b.csv", [moved])], key="x_charge_id", received_at=MARCH)
    assert ledger.panel()["ds"].dt.strftime("%Y-%m-%d").tolist() == ["2026-02-03"]
    assert ledger.panel(end=dt.date(2026, 2, 1)).empty


def test_last_row_with_a_key_stands_for_the_earlier_ones_of_the_delivery(ledger: Ledger, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [keyed(1, "10"), keyed(2, "5"), keyed(1, "11")])
    report = ledger.ingest([path], key="x_charge_id", received_at=FEBRUARY)
    assert (counts(report), report.repeated, report.rows_read) == ((2, 0, 0, 0), 1, 3)
    assert "1 rows have the key of a later row of the delivery, which stands for them" in report.notes
    assert total(ledger) == 16


def test_key_of_several_columns_is_the_same_in_any_order_and_format(ledger: Ledger, tmp_path: Path) -> None:
    rows = [row(x_a="1", x_b=str(number), EffectiveCost="2") for number in range(3)]
    ledger.ingest([write_csv(tmp_path / "a.csv", rows)], key=["x_a", "x_b"], received_at=FEBRUARY)
    assert counts(ledger.ingest([write_ndjson(tmp_path / "a.ndjson", rows)], key="X_B, x_a", received_at=MARCH)) == (0, 3, 0, 0)


def test_row_without_its_key_is_quarantined(ledger: Ledger, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [keyed(1, "10"), row(x_charge_id="")])
    report = ledger.ingest([path], key="x_charge_id", received_at=FEBRUARY)
    assert report.reason_counts == {"x_charge_id is missing": 1}


def test_missing_key_column_is_an_error_that_names_it(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="lacks the key column 'x_nothing'"):
        ledger.ingest([write_csv(tmp_path / "a.csv", ROWS)], key="x_nothing", received_at=FEBRUARY)


@pytest.mark.parametrize("key", ["", " ", "a,,b", "a,A", []])
def test_key_that_is_no_list_of_columns_is_an_error(ledger: Ledger, tmp_path: Path, key: Any) -> None:
    with pytest.raises(InputError, match="is not a list of columns"):
        ledger.ingest([write_csv(tmp_path / "a.csv", ROWS)], key=key, received_at=FEBRUARY)


@pytest.mark.parametrize(("first", "second"), [(None, "x_charge_id"), ("x_charge_id", None), ("x_charge_id", "x_charge_id,ResourceId")])
def test_rows_that_are_in_the_ledger_under_another_key_are_refused(ledger: Ledger, tmp_path: Path, first: str | None, second: str | None) -> None:
    rows = [keyed(number, "10", ResourceId="r") for number in range(3)]
    ledger.ingest([write_csv(tmp_path / "a.csv", rows)], key=first, received_at=FEBRUARY)
    with pytest.raises(SpendDataError, match="3 rows of the delivery are in the ledger already"):
        ledger.ingest([write_csv(tmp_path / "b.csv", [*rows, keyed(7, "1", ResourceId="r")])], key=second, received_at=MARCH)
    assert total(ledger) == 30


# Late and early


def test_view_shows_what_was_known_at_any_moment(ledger: Ledger, tmp_path: Path) -> None:
    ledger.ingest([write_csv(tmp_path / "a.csv", ROWS[:4])], received_at=FEBRUARY)
    ledger.ingest([write_csv(tmp_path / "b.csv", ROWS)], received_at=MARCH)
    assert total(ledger, as_of=FEBRUARY - dt.timedelta(seconds=1)) == 0
    assert total(ledger, as_of=FEBRUARY) == cost_sum(ROWS[:4])
    assert total(ledger, as_of=MARCH) == total(ledger) == cost_sum(ROWS)
    assert ledger.panel(as_of=moment("2026-02-10"))["y"].sum() == pytest.approx(float(cost_sum(ROWS[:4])))


def test_older_delivery_that_arrives_later_is_history(ledger: Ledger, tmp_path: Path) -> None:
    ledger.ingest([write_csv(tmp_path / "new.csv", [keyed(1, "20"), keyed(2, "5")])], key="x_charge_id", received_at=MARCH)
    report = ledger.ingest([write_csv(tmp_path / "old.csv", [keyed(1, "10")])], key="x_charge_id", received_at=FEBRUARY)
    assert (counts(report), report.history) == ((1, 0, 0, 0), 1)
    assert any("history" in note for note in report.notes)
    assert total(ledger) == 25
    assert total(ledger, as_of=moment("2026-02-15")) == 10


def test_same_delivery_known_earlier_than_thought_is_history(ledger: Ledger, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ROWS)
    ledger.ingest([path], received_at=MARCH)
    report = ledger.ingest([path], received_at=FEBRUARY)
    assert (report.accepted, report.history) == (10, 10)
    assert total(ledger) == total(ledger, as_of=FEBRUARY) == cost_sum(ROWS)
    assert counts(ledger.ingest([path], received_at=moment("2026-02-15"))) == (0, 10, 0, 0)


def test_time_of_receipt_in_another_zone_is_the_same_moment(ledger: Ledger, tmp_path: Path) -> None:
    zone = dt.timezone(dt.timedelta(hours=5))
    ledger.ingest([write_csv(tmp_path / "a.csv", ROWS)], received_at=dt.datetime(2026, 2, 1, 5, tzinfo=zone))
    assert ledger.deliveries()[0]["received_at"] == dt.datetime(2026, 2, 1)
    assert total(ledger, as_of=dt.datetime(2026, 2, 1)) == cost_sum(ROWS)


def test_digest_is_of_the_content_and_not_of_the_clock_or_the_folder(tmp_path: Path) -> None:
    first, second = write_csv(tmp_path / "a.csv", ROWS[:5]), write_csv(tmp_path / "b.csv", ROWS[5:])
    one, two = Ledger(tmp_path / "one" / "ledger"), Ledger(tmp_path / "two" / "ledger")
    for ledger, start in ((one, FEBRUARY), (two, MARCH)):
        for number, path in enumerate((first, second)):
            ledger.ingest([path], received_at=start + dt.timedelta(hours=number))
    assert one.digest() == two.digest()
    assert one.digest(as_of=FEBRUARY) != one.digest()


def test_delivery_id_and_report_are_in_the_commit(ledger: Ledger, tmp_path: Path) -> None:
    report = ledger.ingest([write_csv(tmp_path / "a.csv", ROWS)], received_at=FEBRUARY)
    commit = DeltaTable(tmp_path / "home" / "ledger").history(1)[0]
    assert json.loads(commit["about"])["delivery_id"] == report.delivery_id
    assert IngestReport.from_dict(report.as_dict()) == report


# Laws


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_split_into_deliveries_gives_the_same_sums_and_subsets_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    places = st.decimals(min_value=-(10**9), max_value=10**9, places=12, allow_nan=False)
    drawn = data.draw(st.lists(places, min_size=1, max_size=12))
    rows = [row(ResourceId=f"r{number}", EffectiveCost=format(cost, "f"), BilledCost="1") for number, cost in enumerate(drawn)]
    # Overlapping on purpose: each delivery is any subset, and together they hold all rows.
    subsets = data.draw(st.lists(st.lists(st.sampled_from(rows), unique_by=lambda values: values["ResourceId"], min_size=1), max_size=3))
    folder = tmp_path_factory.mktemp("split")
    ledger = Ledger(folder / "ledger")
    deliveries: list[Sequence[Row]] = [*subsets, rows]
    for number, delivery in enumerate(deliveries):
        ledger.ingest([write_csv(folder / f"{number}.csv", delivery)], received_at=FEBRUARY + dt.timedelta(hours=number))
    assert total(ledger) == sum(drawn, Decimal(0))
    before = commits(ledger)
    for number in range(len(deliveries)):
        assert ledger.ingest([folder / f"{number}.csv"], received_at=MARCH).accepted == 0
    assert commits(ledger) == before


class Unlocked(Ledger):
    """Without the lock that keeps writers of one machine apart."""

    @contextmanager
    def _exclusive(self) -> Iterator[Path | None]:
        yield None


def _ingest_in_process(root: str, paths: list[str]) -> int:
    return sum(Ledger(root, threads=1).ingest([path], received_at=FEBRUARY).accepted for path in paths)


def test_two_processes_ingesting_overlapping_files_at_once_double_and_lose_nothing(tmp_path: Path) -> None:
    table = focus_table(900)
    paths = [str(write_parquet(tmp_path / f"{start}.parquet", table.slice(start, 300))) for start in range(0, 601, 150)]
    root = str(tmp_path / "home" / "ledger")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        accepted = pool.starmap(_ingest_in_process, [(root, paths), (root, paths[::-1])])
    assert sum(accepted) == 900
    ledger = Ledger(root)
    assert ledger.summary()["rows"] == 900
    assert total(ledger) == sum((round(Decimal(str(cost)), 12) for cost in table.column("EffectiveCost").to_pylist()), Decimal(0))


def test_writer_that_lost_a_race_decides_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an object store, where no lock keeps writers apart: the other one commits between our look and our commit."""
    ledger, unlocked = Ledger(tmp_path / "home" / "ledger"), Unlocked(tmp_path / "home" / "ledger")
    ledger.ingest([write_csv(tmp_path / "c.csv", [row(ResourceId="first")])], received_at=FEBRUARY)
    commit = ledger_commit.commit
    raced: list[bool] = []

    def commit_after_another(*arguments: Any) -> None:
        if not raced:
            raced.append(True)
            unlocked.ingest([write_csv(tmp_path / "other.csv", ROWS[:6])], received_at=MARCH)
        commit(*arguments)

    monkeypatch.setattr(ledger_ingest, "commit", commit_after_another)
    assert counts(unlocked.ingest([write_csv(tmp_path / "ours.csv", ROWS[3:])], received_at=MARCH)) == (4, 3, 0, 0)
    assert total(ledger) == cost_sum([*ROWS, row()])
    files = {Path(path).name for path in DeltaTable(str(tmp_path / "home" / "ledger")).file_uris()}
    assert {path.name for path in (tmp_path / "home" / "ledger").rglob("*.parquet")} == files, "the try that failed left files"


def test_what_a_killed_ingestion_left_is_cleared_away(ledger: Ledger, tmp_path: Path) -> None:
    left = tmp_path / "home" / ".ledger.staging" / "staging-old"
    left.mkdir(parents=True)
    (left / "staged_0.parquet").write_bytes(b"half a file")
    ledger.ingest([write_csv(tmp_path / "a.csv", ROWS)], received_at=FEBRUARY)
    assert not left.parent.exists()
    assert total(ledger) == cost_sum(ROWS)


def test_folders_called_like_columns_do_not_change_the_rows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "team=finance" / "BilledCost=7" / "it's ä #1 100% {x}*?" / "ledger")
    for number, kind in enumerate((write_csv, write_ndjson)):
        folder = tmp_path / "in" / "ChargeCategory=Tax"
        kind(folder / f"a{number}.{'csv' if kind is write_csv else 'ndjson'}", ROWS)
        ledger.ingest([folder], received_at=FEBRUARY)
    assert ledger.values("team") == ["search"]
    assert ledger.values("charge_category") == ["Usage"]
    assert Decimal(ledger.summary()["billed_cost"]) == cost_sum(ROWS, "BilledCost")


def test_folder_that_the_delta_library_dies_of_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"got \[ and \] in its path"):
        Ledger(tmp_path / "a[1]" / "ledger")
