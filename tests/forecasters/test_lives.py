"""How series begin and end: silences longer than any before, newcomers, and what is said about them."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.forecasters.baselines import RunRate
from forecast.forecasters.endings import USUAL_RETURNS, Endings, end, relative_silence
from forecast.forecasters.history import History, history_of
from forecast.forecasters.newcomers import believed_spread, learned_scale, unsettle, youth_of
from forecast.forecasters.notes import notes_of
from forecast.spend.panel import to_matrix
from tests.contracts.panels import autoregressive_panel, long_panel


def history(values: np.ndarray, freq: str = "D") -> History:
    return history_of(to_matrix(long_panel(values), freq))


def test_relative_silence_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(2)
    values = np.where(rng.random((6, 150)) < 0.12, 10.0, 0.0)
    values[:, 0] = 1.0
    found = relative_silence(history(values))
    for row in range(6):
        longest = silent = spent = latest = 0
        for day in range(150):
            if values[row, day]:
                longest, silent, latest, spent = max(longest, silent), 0, day, spent + 1
            else:
                silent += 1
            least = np.clip(6.0 * (latest + 1 + 28) / spent, 7.0, 35.0)
            assert found[row, day + 1] == pytest.approx(silent / max(longest, least))


def test_what_comes_once_a_month_has_not_ended_between_two_times() -> None:
    values = np.zeros((1, 120))
    values[0, 2::31] = 500.0
    assert relative_silence(history(values)).max() < 1.0


def test_a_weekend_of_hours_is_no_end() -> None:
    ds = np.arange(24 * 7)
    values = np.where((ds // 24 < 5)[None, :], 3.0, 0.0)
    panel = long_panel(values).assign(ds=np.datetime64("2026-01-05") + ds.astype("timedelta64[h]"))
    assert relative_silence(history_of(to_matrix(panel, "h"))).max() < 1.0


def test_unknown_days_are_no_silence() -> None:
    values = np.full((2, 100), 10.0)
    values[0, 60:99] = np.nan
    assert relative_silence(history(values)).max() == 0.0


def test_returns_are_learned_from_all_series() -> None:
    """Where every pause of a month ends, a pause of a month is no ending; where none does, it is one."""
    back = np.full((30, 300), 10.0)
    gone = back.copy()
    for row in range(30):
        back[row, 100 + row : 128 + row] = 0.0
        gone[row, 100 + row :] = 0.0
    hopeful, grim = Endings.of(history(back)).returns, Endings.of(history(gone)).returns
    assert hopeful[:3].min() > 0.5
    assert grim.max() < 0.1
    assert (np.diff(Endings(np.array(USUAL_RETURNS)).alive(np.array([0.5, 1.2, 2.0, 3.0, 5.0, 50.0]))) < 0).all()


def test_ended_paths_are_nothing_as_often_as_said() -> None:
    paths = np.ones((2, 5, 4000), dtype=np.float32)
    end(paths, np.array([1.0, 0.3]), np.random.default_rng(0))
    assert (paths[0] == 1).all()
    assert (paths[1].std(axis=0) == 0).all()
    assert paths[1, 0].mean() == pytest.approx(0.3, abs=0.03)


def test_newcomers_are_less_certain_the_younger_they_are_and_old_panels_not_at_all() -> None:
    values = autoregressive_panel(1, 6, 200)
    for row, age in enumerate((1, 3, 9, 30, 80)):
        values[row, :-age] = 0.0
    found = youth_of(history(values), 1.0)
    assert (np.diff(found[:5]) < 0).all()
    assert found[0] == pytest.approx(0.7, abs=0.05)
    assert found[4] == found[5] == 0.0
    # In a young panel everybody is as young as everybody: the record of errors knows it already.
    assert (youth_of(history(autoregressive_panel(1, 3, 20)), 1.0) == 0.0).all()


def test_medians_stay_where_they_were() -> None:
    paths = np.full((2, 3, 20001), 50.0, dtype=np.float32)
    unsettle(paths, np.array([0.0, 0.7]), np.random.default_rng(1))
    assert (paths[0] == 50).all()
    assert np.median(paths[1]) == pytest.approx(50.0, rel=0.03)
    assert np.log(paths[1, 0]).std() == pytest.approx(0.7, rel=0.05)


def test_newcomers_of_a_wild_panel_are_less_certain_than_those_of_a_calm_one() -> None:
    rng = np.random.default_rng(4)
    values = np.full((40, 300), 20.0)
    for row in range(30):
        values[row, : 60 + 5 * row] = 0.0
    wild = values.copy()
    for row in range(30):
        wild[row, 67 + 5 * row :] *= np.exp(rng.normal(0, 1.5))
    assert learned_scale(history(values)) < 0.6
    assert learned_scale(history(wild)) > 1.5
    assert float(believed_spread(history(values), np.array(7))) == pytest.approx(0.5, abs=0.05)


def test_notes_name_what_is_not_ordinary_and_are_silent_otherwise() -> None:
    values = autoregressive_panel(3, 8, 300) + 20.0
    assert RunRate().fit(long_panel(values)).notes_ == []
    values[0, :-5] = 0.0
    values[1, 200:] = 0.0
    values[2] = 0.0
    values[3] *= -1.0
    values[4, 150] = 0.5
    panel = long_panel(values)
    panel.loc[panel.index[5 * 300 + 100 : 5 * 300 + 104], "y"] = np.nan
    panel = panel.drop(panel.index[6 * 300 + 297 : 7 * 300])
    fitted = RunRate().fit(panel)
    text = "\n".join(fitted.notes_)
    for said in (
        "nothing: series-02",
        "series-00 (5)",
        "series-01 (0.",
        "negative: series-03",
        "series-04 on 2026-05-31",
        "series-05 (4)",
        "series-06",
    ):
        assert said in text, said
    assert "series-07" not in text
    assert RunRate.from_state(fitted.state()).notes_ == fitted.notes_


def test_notes_count_what_they_do_not_name() -> None:
    values = np.zeros((9, 60))
    values[0] = 1.0
    note = notes_of(history(values), np.ones(9))[0]
    assert note.endswith("series-01, series-02, series-03 and 5 more")


def test_notes_say_that_a_season_is_missing() -> None:
    values = autoregressive_panel(3, 4, 60)
    panel = long_panel(values)
    panel["ds"] = panel["ds"].min() + 7 * (panel["ds"] - panel["ds"].min())
    assert any("two seasons of 52" in note for note in RunRate(freq="W").fit(panel).notes_)


def test_notes_follow_an_update() -> None:
    values = autoregressive_panel(3, 4, 120) + 20.0
    values[0, 80:] = 0.0
    panel = long_panel(values)
    last = panel["ds"].max()
    fitted = RunRate().fit(panel[panel["ds"] < last])
    assert "series-00" in " ".join(fitted.notes_)
    back = panel[panel["ds"] == last].assign(y=50.0)
    assert fitted.update(back).notes_ == []
