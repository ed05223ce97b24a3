"""The parts of training that need no home: specs, cutoffs, cards, plots, metric names, workers."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecast.errors import ConfigError, InputError, InsufficientHistoryError, NotFoundError
from forecast.evaluation.backtest import Backtest, backtest
from forecast.evaluation.cutoffs import rolling_cutoffs
from forecast.evaluation.reliability import coverage_table
from tests.evaluation.tiny import WeekdayBootstrap, make_panel
from tests.snapshots_for_tests import make_snapshot
from tests.training.homes import QUICK, TrainingHome, make_home
from training.backtest import plan_cutoffs, run_backtest
from training.cards import metrics_of, model_card, write_cards
from training.executors import cores, workers
from training.plots import backtest_pictures, fan_chart
from training.specs import Spec, load_spec
from training.tracking import metric_name
from training.train import TrainReport


@pytest.fixture(scope="module")
def result() -> Backtest:
    panel, hierarchy = make_panel()
    return backtest(
        WeekdayBootstrap(),
        panel,
        cutoffs=rolling_cutoffs("2026-10-31", 3, 28, 28),
        totals=(7, 28),
        n_paths=100,
        hierarchy=hierarchy,
        budgets=(0.9, 1.1),
    )


def test_without_files_the_default_spec_is_the_forecaster_that_ships(tmp_path: Path) -> None:
    spec = load_spec(models=tmp_path)
    assert (spec.name, spec.forecaster, dict(spec.params)) == ("spend", "SpendForecaster", {})
    assert load_spec("spend", tmp_path) == spec
    assert type(spec.build(threads=2)).__name__ == "SpendForecaster"
    assert spec.build(threads=2).threads == 2


def test_the_spec_in_the_repository_is_the_packages_default() -> None:
    """A wheel has no models/: what it trains must be what the checkout trains."""
    assert load_spec().describe() == Spec().describe()


def test_a_spec_file_names_class_and_parameters(tmp_path: Path) -> None:
    (tmp_path / "lean").mkdir()
    (tmp_path / "champion.toml").write_text('spec = "lean"\n')
    (tmp_path / "lean" / "spec.toml").write_text('[forecaster]\nclass = "SeasonalNaive"\n[forecaster.params]\nfreq = "W"\n')
    spec = load_spec(models=tmp_path)
    assert type(spec.build()).__name__ == "SeasonalNaive"
    assert spec.build().freq == "W"
    assert spec.describe()["params"]["freq"] == "W"


@pytest.mark.parametrize(
    ("text", "message"),
    [("[forecaster", "is not TOML"), ("[model]\nclass = 'x'\n", "needs \\[forecaster\\]"), ("[forecaster]\nclass = 5\n", "needs \\[forecaster\\]")],
)
def test_a_file_that_is_not_a_spec_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "spec.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_spec("odd", tmp_path)
    with pytest.raises(ConfigError, match="No spec is called 'other'; there are odd"):
        load_spec("other", tmp_path)
    with pytest.raises(NotFoundError, match=r"No forecaster class is called 'os\.system'"):
        Spec("x", "os.system").build()


@pytest.mark.parametrize(
    ("days", "horizon", "number"),
    [(548, 28, 6), (224, 28, 6), (180, 28, 6), (100, 28, 6), (70, 28, 3), (60, 7, 6), (40, 7, 6), (31, 7, 4), (21, 7, 1), (20, 7, 0), (14, 7, 0)],
)
def test_cutoffs_are_as_many_and_as_far_apart_as_history_allows(days: int, horizon: int, number: int) -> None:
    last = pd.Timestamp("2026-10-31")
    first = last - pd.Timedelta(days=days - 1)
    found = plan_cutoffs(first, last)
    assert len(found) == number
    assert found == sorted(found)
    for cutoff in found:
        assert cutoff <= last - pd.Timedelta(days=horizon)
        assert (cutoff - first).days + 1 >= 14


def test_a_model_card_tells_what_it_was_trained_on_and_how_good_it_was(result: Backtest) -> None:
    summary = result.summary()
    card = model_card(Spec().describe(), {"days": 200, "currency": "USD"}, summary, coverage_table(result.rows), {"members": {"a": 0.25}}, ["short"])
    assert card.startswith("# spend: SpendForecaster\n")
    company = summary.query("level == 'company' and days == 28").iloc[0]
    assert f"| company | 28 | 1 | 3 | {100 * company['wape']:.1f} % |" in card
    assert "- currency: USD" in card
    assert "- members: a 0.25" in card
    assert "- short" in card
    assert "nan" not in card
    metrics = metrics_of(summary, "made_v1")
    assert metrics["made_v1/company/28d"]["wape"] == round(float(company["wape"]), 6)
    assert not [name for name in metrics if "provider,team" in name]


def test_the_benchmark_writes_card_and_metrics_that_do_not_depend_on_the_day(tmp_path: Path) -> None:
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "spec.toml").write_text('[forecaster]\nclass = "RunRate"\n')
    first = write_cards("quick", tmp_path, seeds=(1,), days=80, teams=1)
    before = {path.name: path.read_bytes() for path in (tmp_path / "quick").iterdir()}
    assert set(before) == {"spec.toml", "card.md", "metrics.json", "coverage.png", "reliability.png", "pit.png"}
    for picture in re.findall(r"\((\w+\.png)\)", before["card.md"].decode()):
        assert picture in before
    assert write_cards("quick", tmp_path, seeds=(1,), days=80, teams=1) == first
    assert {path.name: path.read_bytes() for path in (tmp_path / "quick").iterdir()} == before
    assert first["company_548d_v2/pooled/company/28d"]["n"] == first["company_548d_v2/seed1/company/28d"]["n"]


def test_plots_are_png_files_and_the_same_twice(result: Backtest) -> None:
    snapshot = make_snapshot(n_paths=50)
    coverage = coverage_table(result.rows)
    first, second = ([fan_chart(snapshot), *backtest_pictures(result.rows, coverage).values()] for _ in range(2))
    for picture in first:
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 5000
    assert first == second


def test_plots_without_a_backtest_are_drawn_empty(result: Backtest) -> None:
    nothing = result.rows.iloc[:0]
    for picture in backtest_pictures(nothing, coverage_table(nothing)).values():
        assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("place", "name"),
    [("company", "wape_28d/company"), ("provider=A,team=x", "wape_28d/provider:A_team:x"), ("team=ürgh (none)|$", "wape_28d/team:_rgh _none___")],
)
def test_metric_names_hold_what_mlflow_takes(place: str, name: str) -> None:
    assert metric_name("wape", place, 28) == name
    assert re.fullmatch(r"[\w\-./: ]+", metric_name("wape", place * 100, 28), re.ASCII)
    assert len(metric_name("wape", place * 100, 28)) <= 250


def threads_of_worker(_: int) -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def test_workers_have_one_thread_each_and_leave_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with workers(2) as pool:
        assert pool is not None
        assert list(pool.map(threads_of_worker, [1, 2])) == ["1", "1"]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    with workers(1) as pool:
        assert pool is None
    assert cores(1) == 1
    assert 1 <= cores(10_000) == cores(0)


def test_backtest_command_body_judges_without_changing_anything(trained: tuple[TrainingHome, TrainReport, Any]) -> None:
    home, report, _ = trained
    before = sorted(path for path in home.settings.home.rglob("*"))
    found = run_backtest(home.settings, home.ledger, spec=QUICK)
    assert sorted(path for path in home.settings.home.rglob("*")) == before
    assert found.record == report.backtest
    assert found.cutoff == report.cutoff
    fewer = run_backtest(home.settings, home.ledger, spec=QUICK, cutoffs=2)
    assert fewer.record["cutoffs"] == 2
    with pytest.raises(InputError, match="after the last day"):
        run_backtest(home.settings, home.ledger, cutoff="2031-01-01")


def test_a_backtest_of_too_short_a_history_is_an_error(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=60)
    with pytest.raises(InsufficientHistoryError, match="A backtest needs 21 days of history; there are 15"):
        run_backtest(home.settings, home.ledger, spec=QUICK, cutoff="2026-09-16")
    home.close()
