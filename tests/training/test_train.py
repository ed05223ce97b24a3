"""From the ledger to what serves: every station of a training run, and what is left where one fails."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from forecast.adapters.artifacts import ArtifactStore, load_forecaster
from forecast.company.generate import generate
from forecast.errors import ConfigError, InputError, InsufficientHistoryError, NotFoundError
from forecast.forecasters.scheduled import with_schedules
from forecast.spend.periods import Period
from forecast.spend.schedules import CADENCES, Schedules
from forecast.spend.scope import Scope
from forecast.workflows.scenario_runs import run_scenario
from forecast.workflows.spikes import SpendRow, anomaly_answer
from tests.training.homes import LAST, NOW, QUICK, TrainingHome, make_home
from training.specs import Spec
from training.tracking import Tracking
from training.train import TrainReport

PLOTS = ("fan_chart.png", "coverage.png", "pit.png", "reliability.png")
Trained = tuple[TrainingHome, TrainReport, list[tuple[str, float | None]]]


def test_training_makes_a_current_snapshot_of_a_champion(trained: Trained) -> None:
    home, report, _ = trained
    record = home.records.latest_snapshot()
    assert record is not None
    assert record.id == report.snapshot_id
    assert (record.champion_name, record.champion_version) == ("quick", report.version)
    assert record.size_bytes == home.store.size(report.snapshot_id) > 0
    champion = home.records.champion()
    assert (champion.name, champion.version, champion.run_id) == ("quick", report.version, report.run_id)
    assert report.cutoff == record.cutoff == LAST


def test_the_snapshot_holds_the_ledgers_history_and_every_answer_adds_up(trained: Trained) -> None:
    home, report, _ = trained
    snapshot = home.store.open(report.snapshot_id)
    company = home.ledger.panel().set_index("ds")["y"]
    np.testing.assert_allclose(snapshot.scope_history(Scope()), company.to_numpy(), rtol=1e-9)
    assert snapshot.recent["cost"].sum() == pytest.approx(company.iloc[-56:].sum())
    assert snapshot.currency == "USD"
    assert snapshot.backtest == json.loads(json.dumps(report.backtest))
    assert snapshot.horizon_end >= date(2027, 5, 1)
    assert (snapshot.daily_end - snapshot.cutoff).days == 41
    future = Period(LAST + timedelta(days=1), LAST + timedelta(days=29))
    weights = snapshot.future_weights(future)
    levels = [
        snapshot.node_means[[i for i, node in enumerate(snapshot.hierarchy.nodes) if node.dimensions == (name,)]] for name in ("team", "provider")
    ]
    for means in levels:
        assert float((means @ weights).sum()) == pytest.approx(float(snapshot.node_means[0] @ weights), rel=1e-9)
    assert set(snapshot.detector["ids"]) == {*snapshot.hierarchy.node_ids, *snapshot.hierarchy.leaf_ids}
    assert snapshot.meta["champion"]["forecaster"] == "RunRate"
    assert "region" in snapshot.meta["known_values"]


def test_same_ledger_and_settings_give_the_same_snapshot_and_a_new_version(trained: Trained, tmp_path: Path) -> None:
    home, report, _ = trained
    other = make_home(tmp_path / "elsewhere")
    again = other.train(now=NOW + timedelta(days=5))
    other.close()
    assert again.snapshot_id == report.snapshot_id
    assert again.artifact == report.artifact
    folder, twin = home.store.folder / report.snapshot_id, other.store.folder / report.snapshot_id
    for path in folder.iterdir():
        assert path.name == "manifest.json" or path.read_bytes() == (twin / path.name).read_bytes(), path.name


def test_the_registered_forecaster_makes_the_snapshots_paths_again(trained: Trained, tmp_path: Path) -> None:
    """The artifact that MLflow holds, and not a pickle of anything, is what the snapshot came from; its schedules are its own record."""
    home, report, _ = trained
    tracking = Tracking(home.settings)
    assert tracking.champion("quick") == report.version
    forecaster = load_forecaster(tracking.download("quick", report.version, tmp_path))
    snapshot = home.store.open(report.snapshot_id)
    learnt = forecaster.simulate((snapshot.horizon_end - snapshot.cutoff).days - 1, home.settings.paths, home.settings.seed)
    schedules = Schedules.of_record(snapshot.meta["schedules"], snapshot.hierarchy.leaf_ids)
    assert len(schedules)
    paths = with_schedules(learnt, schedules, snapshot.hierarchy.leaf_ids, home.settings.seed)
    np.testing.assert_array_equal(paths.values[:, :40], snapshot.leaf_paths[:, :40])
    same = ArtifactStore(home.settings.models_folder).load(report.artifact)
    np.testing.assert_array_equal(same.simulate(7, 10, 1).values, forecaster.simulate(7, 10, 1).values)


def test_licences_are_forecast_from_their_schedule_and_nothing_is_strange_about_them(trained: Trained) -> None:
    home, report, _ = trained
    snapshot = home.store.open(report.snapshot_id)
    schedules = Schedules.of_record(snapshot.meta["schedules"], snapshot.hierarchy.leaf_ids)
    running = (schedules.cadence == CADENCES.index("daily")) & ~schedules.ended
    licences, october = schedules.leaf[running], schedules.amount[running]
    assert len(licences)
    # A day's share of a monthly fee: November has a day less, and otherwise seats as they were.
    november = snapshot.leaf_paths[licences, :30].mean(axis=(1, 2))
    np.testing.assert_allclose(november, october * 31 / 30, rtol=0.1)
    # A seat taken or given back was known on its day, so it is no incident of the past.
    of_schedules = set(schedules.leaf.tolist())
    nodes = [str(node) for node, members in zip(snapshot.hierarchy.nodes, snapshot.hierarchy.members, strict=True) if set(members) <= of_schedules]
    assert nodes
    costs = {name: snapshot.scope_history(Scope.parse(name))[-100:] for name in nodes}
    rows = [
        SpendRow(Scope.parse(name), LAST - timedelta(days=99 - day), float(cost))
        for name, all_days in costs.items()
        for day, cost in enumerate(all_days)
    ]
    assert not [row for row in anomaly_answer(snapshot, rows)["rows"] if row["is_anomaly"]]


def test_the_run_in_mlflow_has_params_metrics_plots_card_and_dataset(trained: Trained) -> None:
    import mlflow

    home, report, _ = trained
    client = mlflow.MlflowClient(tracking_uri=home.settings.tracking_address)
    run = client.get_run(report.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["forecaster"] == "RunRate"
    assert run.data.params["cutoff"] == str(LAST)
    assert run.data.metrics["wape_28d/company"] == pytest.approx(report.backtest["levels"]["company"]["wape"])
    steps = client.get_metric_history(report.run_id, "error_28d/company")
    assert [metric.step for metric in steps] == list(range(report.backtest["cutoffs"]))
    assert any(name.startswith("error_28d/team:") for name in run.data.metrics)
    assert run.inputs.dataset_inputs[0].dataset.name == "ledger"
    names = {item.path for item in client.list_artifacts(report.run_id)}
    assert names == {"forecaster", "card.md", *(f"backtest{end}" for end in (".json", "_rows.csv", "_summary.csv")), "coverage.csv", *PLOTS}
    assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(home.settings.tracking_artifacts)
    version = client.get_model_version("quick", report.version)
    assert "# quick: RunRate" in version.description
    assert version.tags["snapshot_id"] == report.snapshot_id


def test_nothing_that_training_writes_is_a_pickle(trained: Trained) -> None:
    home, _, _ = trained
    written = [path for path in home.settings.home.rglob("*") if path.is_file()]
    assert len(written) > 20
    assert not [path for path in written if path.suffix in {".pkl", ".pickle", ".joblib", ".skops", ".cloudpickle"}]
    assert not [path for path in written if path.read_bytes()[:2] in {b"\x80\x04", b"\x80\x05"}]


def test_progress_only_goes_forward_and_ends_with_everything_done(trained: Trained) -> None:
    _, report, told = trained
    shares = [share for _, share in told if share is not None]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert set(report.seconds) == {"read", "backtest", "fit", "simulate", "snapshot", "track", "promote", "risks"}
    assert json.loads(json.dumps(report.describe()))["cutoff"] == str(LAST)


def test_the_spec_that_ships_trains_in_worker_processes(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=120, threads=2)
    report = home.train(spec=None)
    assert report.name == "spend"
    assert report.backtest["cutoffs"] >= 3
    snapshot = home.store.open(report.snapshot_id)
    assert np.isfinite(snapshot.node_paths[0]).all()
    one = make_home(tmp_path / "one", days=120, threads=1)
    assert one.train(spec=None).snapshot_id == report.snapshot_id  # the number of processes changes nothing
    home.close()
    one.close()


def test_a_cutoff_hides_everything_after_it(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=100)
    report = home.train(cutoff="2026-09-30")
    assert report.cutoff == date(2026, 9, 30)
    snapshot = home.store.open(report.snapshot_id)
    assert str(snapshot.history_ds[-1]) == "2026-09-30"
    assert str(snapshot.recent["ds"].max().date()) == "2026-09-30"
    with pytest.raises(InputError, match="after the last day of spend 2026-10-31"):
        home.train(cutoff="2026-12-01")
    with pytest.raises(InputError, match="cutoff is not a day"):
        home.train(cutoff="yesterday")
    with pytest.raises(InsufficientHistoryError, match="first day is 2026-07-24"):
        home.train(cutoff="2026-01-01")
    home.close()


def test_too_short_a_history_says_how_long_it_has_to_be_and_changes_nothing(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=60)
    with pytest.raises(InsufficientHistoryError, match="There are 10 days of spend from 2026-09-02 to 2026-09-11; 14 are needed") as caught:
        home.train(cutoff="2026-09-11")
    assert (caught.value.days, caught.value.needed) == (10, 14)
    assert home.store.ids() == []
    assert home.records.snapshots() == []
    assert home.records.latest_snapshot() is None
    home.close()


def test_a_short_history_trains_and_says_what_could_not_be_judged(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=60)
    two_weeks = home.train(cutoff="2026-09-15")
    assert two_weeks.days == 14
    assert two_weeks.backtest["cutoffs"] == 0
    assert "too short" in two_weeks.backtest["method"]
    month = home.train(cutoff="2026-10-05")
    assert month.backtest["horizon_days"] == 7
    assert any("of 6 cutoffs" in note for note in month.notes)
    assert any("28, 91 days could not be judged" in note for note in month.notes)
    home.close()


def test_a_run_that_fails_leaves_the_champion_as_it_was(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=60)
    first = home.train()
    (tmp_path / "is_a_file").write_text("")
    broken = home.settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path}/is_a_file/mlflow.db"})
    worse = TrainingHome(broken, home.ledger, home.records, home.store)
    with pytest.raises((ConfigError, OSError)):
        worse.train(cutoff="2026-10-20")
    record = home.records.latest_snapshot()
    assert record is not None
    assert record.id == first.snapshot_id
    assert home.records.champion().version == first.version
    home.close()


def test_both_costs_have_a_current_snapshot_of_their_own(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=60)
    effective, billed = home.train(), home.train(cost="billed")
    assert effective.snapshot_id != billed.snapshot_id
    found = {cost: home.records.latest_snapshot(cost) for cost in ("effective", "billed")}
    assert found["effective"] is not None
    assert found["billed"] is not None
    assert found["effective"].id == effective.snapshot_id
    assert found["billed"].id == billed.snapshot_id
    with pytest.raises(InputError, match="cost 'list' is not known"):
        home.train(cost="list")
    home.close()


def test_only_the_last_snapshots_keep_their_paths(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=60)
    reports = [home.train(cutoff=LAST - timedelta(days=number), now=NOW + timedelta(hours=number)) for number in range(4)]
    with pytest.raises(NotFoundError, match="no longer has its paths"):
        home.store.open(reports[0].snapshot_id).scope_paths(Scope())
    assert home.store.open(reports[1].snapshot_id).scope_paths(Scope()).shape[1] == 100
    home.close()


def test_the_snapshot_that_a_saved_scenario_was_made_on_keeps_its_paths(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=60)
    plan = {"start": "2026-11-01", "end": "2026-12-01", "levers": [{"type": "scale_usage", "factor": 2.0}]}
    cutoffs = [LAST - timedelta(days=number) for number in range(5, 0, -1)]
    made_on = home.store.open(home.train(cutoff=cutoffs[0], now=NOW).snapshot_id)
    saved, _ = home.records.put_scenario("growth", plan, now=NOW)
    home.records.put_scenario_run(run_scenario(made_on, saved, now=NOW))
    others = [home.train(cutoff=cutoff, now=NOW + timedelta(hours=1 + number)) for number, cutoff in enumerate(cutoffs[1:])]
    assert home.store.open(made_on.id).scope_paths(Scope()).shape[1] == 100
    with pytest.raises(NotFoundError, match="no longer has its paths"):
        home.store.open(others[0].snapshot_id).scope_paths(Scope())
    home.records.delete_scenario("growth")
    home.train(cutoff=LAST, now=NOW + timedelta(hours=9))
    with pytest.raises(NotFoundError, match="no longer has its paths"):
        home.store.open(made_on.id).scope_paths(Scope())
    home.close()


def test_a_parameter_that_the_forecaster_does_not_have_is_named(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=60)
    with pytest.raises(ConfigError, match="RunRate has no parameter 'trees'"):
        home.train(spec=Spec(QUICK.name, QUICK.forecaster, {"trees": 5}))
    home.close()


def test_training_as_of_a_moment_uses_what_was_known_then_and_what_serves_stays(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    before = home.train()
    restated = generate(seed=3, days=200, teams=1).rows
    restated["EffectiveCost"] = 2 * restated["EffectiveCost"]
    restated["BilledCost"] = 2 * restated["BilledCost"]
    rows = tmp_path / "rows.parquet"
    restated.to_parquet(rows)
    later = datetime(2026, 11, 5, 9, 0, tzinfo=UTC)
    home.ledger.ingest([rows], received_at=later, replace=True)
    now = home.train(now=later)
    then = home.train(now=later, as_of=NOW)
    snapshots = {name: home.store.open(report.snapshot_id) for name, report in (("before", before), ("now", now), ("then", then))}
    totals = {name: float(snapshot.leaf_history.sum()) for name, snapshot in snapshots.items()}
    assert totals["then"] == pytest.approx(totals["before"])
    assert totals["now"] > 1.5 * totals["before"]
    assert then.snapshot_id == before.snapshot_id  # the same knowledge is the same bytes
    current = home.records.latest_snapshot()
    assert current is not None
    assert current.id == now.snapshot_id
    assert home.records.champion().version == now.version
    assert any("what serves stays" in note for note in then.notes)
    with pytest.raises(InputError, match="No bill had come in by 2026-01-01"):
        home.train(as_of=datetime(2026, 1, 1, tzinfo=UTC))
    assert home.train(now=later, as_of=later).snapshot_id == now.snapshot_id
    latest = home.records.latest_snapshot()
    assert latest is not None
    assert latest.id == now.snapshot_id  # what serves goes on to serve
    home.close()
