"""What an excess counts by how often a series is in use, growth in both measures, and machine time that does not rest."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.anomalies.signs import LEAST_REGULAR, constant_sign, growth_sign, regularity

DAYS = 300


def test_what_is_used_every_day_counts_in_full_and_what_is_new_hardly() -> None:
    values = np.zeros((3, DAYS))
    values[0] = 10.0
    values[1, ::2] = 10.0
    values[2, -5:] = 10.0
    found = regularity(values, 5.0)[:, -1]
    assert found[0] == pytest.approx(1.0)
    assert found[1] == pytest.approx((LEAST_REGULAR + (1.0 - LEAST_REGULAR) * 0.5) ** 2, rel=0.02)
    assert found[2] == pytest.approx(LEAST_REGULAR**2)


def test_days_of_an_incident_do_not_make_a_series_regular() -> None:
    values = np.zeros((1, DAYS))
    values[0, ::3] = 10.0
    hit = values.copy()
    hit[0, -7:] = 500.0
    assert regularity(hit, 5.0)[0, -1] == regularity(values, 5.0)[0, -1]


def test_steady_growth_stands_out_of_a_steady_series_and_not_of_a_restless_one() -> None:
    rng = np.random.default_rng(4)
    steady = 100.0 * np.exp(0.05 * rng.normal(size=DAYS))
    restless = 100.0 * np.exp(np.repeat(0.9 * rng.normal(size=DAYS // 15), 15))
    values = np.stack([steady, restless])
    values[:, 260:] *= 1.04 ** np.arange(1, DAYS - 259)
    strength = growth_sign(values, 1.0).strength[:, 260:].max(axis=1)
    assert strength[0] > 3.0 > 1.8 > strength[1]


def test_a_new_machine_that_runs_on_unchanged_is_stranger_each_day_and_what_it_took_over_is_not() -> None:
    constant, days, values = np.zeros((2, DAYS)), np.zeros((2, DAYS)), np.full((2, DAYS), 200.0)
    age = np.arange(2, 16)
    constant[:, 250:264], days[:, 250:264] = 80.0, np.minimum(age, 14)
    values[0, 248:264] += 80.0
    found = constant_sign(constant, constant * days, values, 10.0)
    assert found.strength[0, 250:262] == pytest.approx(80.0 / 10.0 * (days[0, 250:262] / 7.0) ** 2)
    assert (found.excess[0, 255], found.window[0, 255], found.way[0, 255]) == (80.0, 7, 1)
    assert (found.strength[1] == 0.0).all()
