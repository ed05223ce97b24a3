"""`forecast detect` on a real ledger: bills come in day by day, an agent runs away, and one incident tells of it."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecast.adapters.ledger import Ledger
from forecast.adapters.records import Records
from forecast.anomalies.signs import SIGNS
from forecast.company.generate import generate
from forecast.config import load_settings
from tests.cli.homes import Commands
from tests.training.homes import LAST, make_home

SPIKE = (LAST + timedelta(days=3), LAST + timedelta(days=4))
"""The days on which one service of the company costs forty times as much."""
SCOPE = "service=OpenAI API"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained home of a company whose next nine days are the last week again, each billed on the day after it, and two of them strange."""
    folder = tmp_path_factory.mktemp("detect") / "home"
    folder.mkdir()
    home = make_home(folder, days=150)
    home.train()
    rows = generate(seed=3, days=150, teams=1).rows
    for number in range(1, 10):
        day = LAST + timedelta(days=number)
        shift = pd.Timedelta(days=7 * ((number + 6) // 7))
        fresh = rows[rows["ChargePeriodStart"].dt.date == (pd.Timestamp(day) - shift).date()].copy()
        for column in ("ChargePeriodStart", "ChargePeriodEnd"):
            fresh[column] += shift
        for column, first in (("BillingPeriodStart", date(2026, 11, 1)), ("BillingPeriodEnd", date(2026, 12, 1))):
            fresh[column] = pd.Timestamp(first, tz=fresh[column].dt.tz)
        fresh = fresh[fresh["ChargeCategory"] == "Usage"]
        if day in SPIKE:
            hit = fresh["ServiceName"] == "OpenAI API"
            for column in ("BilledCost", "EffectiveCost"):
                fresh.loc[hit, column] = fresh.loc[hit, column] * 40
        file = folder.parent / f"{day}.parquet"
        fresh.to_parquet(file)
        home.ledger.ingest([file], received_at=datetime(day.year, day.month, day.day, 10, tzinfo=UTC) + timedelta(days=1))
    home.close()
    return folder


@pytest.fixture
def home(watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that this test may write to."""
    folder = tmp_path / "home"
    shutil.copytree(watched, folder)
    monkeypatch.setenv("FORECAST_HOME", str(folder))
    return folder


def of_the_spike(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [found for found in document["incidents"] if found["direction"] == "up" and found["start"] == str(SPIKE[0])]


def everything(home: Path) -> list[Any]:
    records = Records(load_settings(home=home).records_address)
    found = [incident.as_dict() for incident in records.incidents(limit=1000).incidents]
    records.close()
    return found


def test_runaway_is_found_on_the_day_it_is_billed_grows_and_resolves_by_itself(home: Path, forecast: Commands) -> None:
    since = str(LAST + timedelta(days=1))
    document = forecast("detect", "--since", since, "--json").document
    assert (document["since"], document["until"], document["steps"]) == (since, str(LAST + timedelta(days=10)), 9)
    assert document["rows"] > 0
    spikes = of_the_spike(document)
    assert spikes
    largest = max(spikes, key=lambda found: abs(found["impact"]))
    assert (largest["end"], largest["status"]) == (str(SPIKE[1] + timedelta(days=1)), "resolved")
    assert largest["impact"] == pytest.approx(largest["actual"] - largest["expected"])
    assert "OpenAI" in str(largest["scope"])
    whole = forecast("incidents", "show", largest["id"], "--json").document
    opened, *_, resolved = whole["history"]
    assert (opened["event"], opened["at"][:10]) == ("opened", str(SPIKE[0] + timedelta(days=1)))
    assert (resolved["event"], resolved["by"], resolved["at"][:10]) == ("resolved", "forecast", str(SPIKE[1] + timedelta(days=3)))
    assert [part["start"] for part in whole["parts"]] == [str(day) for day in SPIKE]
    listed = forecast("incidents", "list", "--json").document["incidents"]
    assert {found["id"] for found in listed} == {found["id"] for found in document["incidents"]}


def test_the_same_again_changes_nothing(home: Path, forecast: Commands) -> None:
    first = forecast("detect", "--json").document
    before = everything(home)
    again = forecast("detect", "--json").document
    assert again == first
    assert everything(home) == before


def test_what_was_known_on_a_day_opens_what_the_next_days_go_on_with(home: Path, forecast: Commands) -> None:
    early = forecast("detect", "--as-of", f"{SPIKE[1]}T12:00:00Z", "--json").document
    (largest, *_) = sorted(of_the_spike(early), key=lambda found: -abs(found["impact"]))
    assert (largest["status"], largest["end"]) == ("open", str(SPIKE[1]))
    forecast("incidents", "acknowledge", largest["id"], "--by", "özge")
    late = {found["id"]: found for found in forecast("detect", "--json").document["incidents"]}
    assert late[largest["id"]]["end"] == str(SPIKE[1] + timedelta(days=1))
    assert late[largest["id"]]["status"] == "resolved"


def test_dry_run_says_the_same_and_stores_nothing(home: Path, forecast: Commands) -> None:
    dry = forecast("detect", "--dry-run", "--json").document
    assert dry["dry_run"] is True
    assert of_the_spike(dry)
    assert everything(home) == []
    real = forecast("detect", "--json").document
    assert real == {**dry, "dry_run": False}
    assert "would be kept" in forecast("detect", "--dry-run").out


def test_more_false_alarms_find_no_less(home: Path, forecast: Commands) -> None:
    careful = forecast("detect", "--dry-run", "--false-alarms", "0.2", "--json").document
    sharp = forecast("detect", "--dry-run", "--false-alarms", "20", "--json").document
    assert careful["thresholds"].keys() == sharp["thresholds"].keys() == set(SIGNS)
    assert all(careful["thresholds"][name] >= sharp["thresholds"][name] for name in SIGNS)
    assert careful["strange"] <= sharp["strange"]
    assert sharp["false_alarms_per_month"] == sharp["false_incidents"]["declared"] == 20
    assert 0.0 <= careful["false_incidents"]["replayed"] <= sharp["false_incidents"]["replayed"]


def test_what_people_are_told_says_what_was_declared_and_what_the_replay_had(home: Path, forecast: Commands) -> None:
    document = forecast("detect", "--dry-run", "--json").document
    said = forecast("detect", "--dry-run").out
    assert f"Declared: {document['false_incidents']['declared']:g} false incidents a month" in said
    assert "are left out" in said
    assert document["minimum_impact"] > 0
    assert document["precision"] == {"judged": 0, "right": 0, "value": None, "low": None, "high": None}


def test_what_people_confirm_does_not_use_up_the_declared_rate(home: Path, forecast: Commands) -> None:
    rates = forecast("detect", "--since", str(LAST - timedelta(days=100)), "--false-alarms", "20", "--json").document
    assert rates["false_incidents"]["confirmed"] == rates["false_incidents"]["expected"] == 0.0
    replayed = [found for found in rates["incidents"] if found["end"] <= str(LAST)]
    assert replayed
    for found in replayed:
        forecast("incidents", "feedback", found["id"], "unexpected")
    after = forecast("detect", "--false-alarms", "20", "--dry-run", "--json").document["false_incidents"]
    assert after["confirmed"] > 0.0
    assert "that people have confirmed" in forecast("detect", "--false-alarms", "20", "--dry-run").out
    forecast("incidents", "undo", replayed[0]["id"])
    assert forecast("detect", "--false-alarms", "20", "--dry-run", "--json").document["false_incidents"]["confirmed"] < after["confirmed"]


def test_thresholds_of_the_answer_are_those_of_training_and_a_factor(home: Path, forecast: Commands) -> None:
    document = forecast("detect", "--dry-run", "--json").document
    assert 0.5 <= document["threshold_factor"] <= 2.0
    assert document["threshold_factor"] != 1.0, "days came after the cutoff"
    (said,) = [words for words in forecast("detect", "--dry-run").out.splitlines() if words.startswith("Thresholds are")]
    assert f"{document['threshold_factor']:.2f} times those of training" in said
    early = forecast("detect", "--since", str(LAST - timedelta(days=9)), "--until", str(LAST), "--dry-run", "--json").document
    assert early["threshold_factor"] == 1.0


def test_ledger_that_was_never_trained_is_looked_at_too(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forecast: Commands) -> None:
    trained = forecast("detect", "--dry-run", "--json").document
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copytree(home / "ledger", bare / "ledger")
    monkeypatch.setenv("FORECAST_HOME", str(bare))
    document = forecast("detect", "--json").document
    assert document["snapshot_id"] is None
    assert trained["snapshot_id"] is not None
    assert set(document) == set(trained)
    assert of_the_spike(document)
    assert "OpenAI" in str(max(of_the_spike(document), key=lambda found: float(found["impact"]))["scope"])
    assert forecast("detect", "--json").document == document, "the same again changes nothing"
    assert len(everything(bare)) == len(document["incidents"])
    assert not (bare / "snapshots").exists()
    out = forecast("detect", "--false-alarms", "20", "--dry-run").out
    assert out.startswith("There is no snapshot: thresholds come from the ledger")
    assert "Declared: 20 false incidents" in out


def test_ledger_of_a_few_days_says_how_many_are_needed(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forecast: Commands) -> None:
    rows = generate(seed=3, days=60, teams=1).rows
    rows[rows["ChargePeriodStart"] >= rows["ChargePeriodStart"].max() - pd.Timedelta(days=19)].to_parquet(tmp_path / "few.parquet")
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "few"))
    forecast("ingest", tmp_path / "few.parquet")
    ran = forecast("detect")
    assert ran.code == 2
    assert "29 are needed to tell what is strange" in ran.err


def test_what_is_expected_is_listed_and_marked(home: Path, forecast: Commands) -> None:
    found = of_the_spike(forecast("detect", "--json").document)[0]
    forecast("incidents", "feedback", found["id"], "planned", "--reason", "a load test")
    again = {one["id"]: one for one in forecast("detect", "--json").document["incidents"]}[found["id"]]
    assert again["suppressed"]["verdict"] == "planned"
    assert "(not told)" in forecast("detect").out


def test_days_and_rates_that_cannot_be_are_refused(home: Path, forecast: Commands) -> None:
    for words, problem in (
        (("--since", "2026-11-05", "--until", "2026-11-01"), "reversed"),
        (("--since", "2020-01-01"), "before the first day"),
        (("--since", "soon"), "not a time"),
        (("--false-alarms", "0"), "more than 0"),
        (("--false-alarms", "nan"), "more than 0"),
        (("--snapshot", "0123456789"), "0123456789"),
    ):
        ran = forecast("detect", *words)
        assert ran.code == 2
        assert problem in ran.err
    assert everything(home) == []


def test_days_that_nothing_is_known_of_yet_are_no_drop(home: Path, forecast: Commands) -> None:
    document = forecast("detect", "--since", str(LAST + timedelta(days=20)), "--until", str(LAST + timedelta(days=40)), "--json").document
    assert (document["rows"], document["incidents"]) == (0, [])


def test_home_without_spend_or_snapshot_says_what_to_do(empty_home: Path, forecast: Commands) -> None:
    assert "forecast ingest" in forecast("detect").err
    assert not empty_home.exists()


def test_ledger_of_the_test_has_the_spike(watched: Path) -> None:
    panel = Ledger(watched / "ledger").panel(SCOPE).set_index("ds")["y"]
    assert panel[pd.Timestamp(SPIKE[0])] > 10 * panel[pd.Timestamp(LAST + timedelta(days=1))]
