"""A forecaster that knows what spend follows: requests, users, GPUs, prices, as they were and as they are planned.

The spend of a leaf is taken apart into intensity × driver^(weight·β). The forecaster inside learns the intensity as it learns any spend; its paths
are multiplied with paths of the driver (`driver_paths.py`), and β is drawn path by path. Whether a leaf has a driver, which one, and with what
weight is decided by `driver_use.py` inside the history: with several drivers in a leaf the one whose gain is surest takes part. Leaves without a
driver are forecast by a forecaster that has never heard of drivers: their bytes are those of a forecast without them.

Nothing is known that was not known on the last day of the panel that is given to `fit` (`Driver.known_at`), so a backtest that cuts the panel cuts
the drivers and their plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError, NotFittedError, UnknownScopeError
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.driver_paths import Plan, driver_paths, plan_of
from forecast.forecasters.driver_report import Elasticity, sentence
from forecast.forecasters.driver_use import LEAST_OVERLAP, Use, filled, index_of, judge_use, scale_of
from forecast.forecasters.scheduled import InnerForecaster
from forecast.paths import SpendPaths
from forecast.spend.drivers import Driver, names_of, on_grid
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.panel import SpendMatrix, to_matrix

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST_INDEX = 1000.0
"""In references: what a driver may come to."""
Z90 = 1.2815515655446004
_DOUBTS, _DRIVERS = 2, 3
"""Streams of the seed: doubts about plans and exponents, and the drivers' own forecast."""


@dataclass(frozen=True, eq=False)
class Driving:
    """What `fit` found, as arrays. k leaves that have a driver, d drivers that are used.

    row : (k,) row numbers in the panel's ids, sorted. driver : (k,) number of its driver. exponent, common, own : (k,) weight·β, and the parts of its
    error that the leaves of a driver share and that they do not. reference, floor : (d,) see `index_of`. plans : of each driver.
    """

    row: Ints
    driver: Ints
    exponent: Floats
    common: Floats
    own: Floats
    reference: Floats
    floor: Floats
    plans: tuple[Plan, ...]

    def state(self) -> dict[str, Any]:
        return {**vars(self), "plans": [plan.state() for plan in self.plans]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Driving:
        plans = tuple(Plan(*(np.asarray(plan[name], dtype=np.float64) for name in ("value", "low", "high"))) for plan in state["plans"])
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in state.items() if name != "plans"}
        return cls(**arrays, plans=plans)


class DrivenForecaster:
    """Joint sample paths of daily series, as `base.Forecaster` gives them.

    forecaster : an unfitted one (None: SpendForecaster()); copies of it learn the spend, and the intensity where a driver is used.
    drivers : see `spend/drivers.py`.
    """

    def __init__(self, forecaster: InnerForecaster | None = None, drivers: Sequence[Driver] = ()) -> None:
        self.forecaster = forecaster
        self.drivers = drivers

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"forecaster": self.forecaster, "drivers": self.drivers}

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None) -> Self:
        """Learn from a daily panel (`unique_id, ds, y`).

        hierarchy : says which leaves lie in a driver's scope; without it a scope is empty (all series) or the id of a series.
        Ends in `elasticities_` (one a driver), `forecaster_` (of the spend) and, where a driver is used, `intensity_` and `driver_forecaster_`.
        Raises what the forecaster inside raises, and InputError for two drivers of one name. A driver that cannot be used is none, with a note.
        """
        names_of(self.drivers)
        matrix = to_matrix(panel, "D")
        self.forecaster_ = self._unfitted().fit(panel, hierarchy=hierarchy)
        self.ids_ = matrix.ids
        self.driving_: Driving | None = None
        self.intensity_: Any = None
        self.driver_forecaster_: Any = None
        judged = [_judged(driver, matrix, hierarchy) for driver in self.drivers]
        chosen, use_of = _chosen(judged, matrix.n_series)
        self.elasticities_ = tuple(_report(one, number, chosen, matrix) for number, one in enumerate(judged))
        if (chosen >= 0).any():
            self._drive(matrix, hierarchy, judged, chosen, use_of)
        return self

    def _drive(self, matrix: SpendMatrix, hierarchy: Hierarchy | None, judged: Sequence[_Judged], chosen: Ints, use_of: dict[str, Floats]) -> None:
        """Learn the intensities of the leaves that have a driver, beside all others as they are, and the drivers themselves."""
        used = np.unique(chosen[chosen >= 0])
        rows = np.flatnonzero(chosen >= 0)
        number = np.searchsorted(used, chosen[rows])
        pasts = [judged[place].past for place in used]
        scales = np.array([scale_of(past) for past in pasts])
        weight, value, error, own = (use_of[name][rows] for name in ("weight", "value", "error", "own_error"))
        self.driving_ = Driving(
            row=rows.astype(np.int64),
            driver=number.astype(np.int64),
            exponent=weight * value,
            common=weight * np.sqrt(np.maximum(error**2 - own**2, 0.0)),
            own=weight * own,
            reference=scales[:, 0],
            floor=scales[:, 1],
            plans=tuple(judged[place].plan for place in used),
        )
        indices = np.stack([np.log(index_of(past, *scale)) for past, scale in zip(pasts, scales, strict=True)])
        intensity = matrix.values.copy()
        intensity[rows] *= np.exp(-self.driving_.exponent[:, None] * indices[number])
        # All series once more and not only the driven ones: the same past origins then make both sets of paths, so that spend that moved together
        # goes on to do so.
        self.intensity_ = self._unfitted().fit(_long(matrix.ids, matrix.ds, intensity), hierarchy=hierarchy)
        names = tuple(self.drivers[place].name for place in used)
        self.driver_forecaster_ = SpendForecaster(freq="D").fit(_long(names, matrix.ds, np.stack(pasts)))

    def simulate(self, horizon: int, n_paths: int = 1000, seed: int = 0) -> SpendPaths:
        """`n_paths` joint futures of `horizon` days. Same seed, same bytes.

        Ends in `moved_`: mean money that each driver adds to (or takes from) a leaf by moving away from its mean of the last four weeks, columns
        driver, unique_id, ds, effect; None where no driver is used.
        """
        if not hasattr(self, "forecaster_"):
            raise NotFittedError("DrivenForecaster is not fitted: call fit(panel) before simulate")
        self.moved_: pd.DataFrame | None = None
        paths: SpendPaths = self.forecaster_.simulate(horizon, n_paths, seed)
        driving = self.driving_
        if driving is None:
            return paths
        place = pd.Index(paths.ids).get_indexer(pd.Index(self.ids_))[driving.row]
        intensity = self.intensity_.simulate(horizon, n_paths, seed)
        moved = np.zeros((len(place), horizon))
        rng = np.random.default_rng(np.random.SeedSequence([seed, _DOUBTS]))
        indices = self._indices(driving, horizon, n_paths, seed, rng)
        shared = rng.standard_normal((len(driving.reference), n_paths))
        for number, row in enumerate(place):
            driver = driving.driver[number]
            exponent = driving.exponent[number] + driving.common[number] * shared[driver] + driving.own[number] * rng.standard_normal(n_paths)
            paths.values[row] = intensity.values[row] * np.exp(exponent * indices[driver]).astype(np.float32)
            # An index of one is the driver's mean of the last four weeks: without it moving, spend would be the intensity.
            moved[number] = paths.values[row].mean(axis=1, dtype=np.float64) - intensity.values[row].mean(axis=1, dtype=np.float64)
        self.moved_ = pd.DataFrame(
            {
                "driver": np.repeat(np.array(self.driver_names_, dtype=object)[driving.driver], horizon),
                "unique_id": np.repeat(np.array(paths.ids, dtype=object)[place], horizon),
                "ds": np.broadcast_to(paths.starts, (len(paths.ids), paths.horizon))[place].ravel(),
                "effect": moved.ravel(),
            }
        )
        return paths

    def _indices(self, driving: Driving, horizon: int, n_paths: int, seed: int, rng: np.random.Generator) -> list[Floats]:
        """Logarithm of each used driver in its reference, (horizon, n_paths) each."""
        own_seed = int(np.random.SeedSequence([seed, _DRIVERS]).generate_state(1)[0])
        forecast = self.driver_forecaster_.simulate(horizon, n_paths, own_seed)
        rows = pd.Index(forecast.ids).get_indexer(pd.Index(self.driver_names_))
        found = []
        for number, row in enumerate(rows):
            future = driver_paths(forecast.values[row].astype(np.float64), driving.plans[number], rng)
            index = index_of(future, float(driving.reference[number]), float(driving.floor[number]))
            found.append(np.log(np.minimum(index, LARGEST_INDEX)))
        return found

    @property
    def driver_names_(self) -> tuple[str, ...]:
        """Names of the drivers that are used, in their order in `driving_`."""
        return tuple(one.driver for one in self.elasticities_ if one.leaves > 0)

    @property
    def card_(self) -> dict[str, Any]:
        """Facts for the model card: those of the forecaster inside, and every driver in a phrase."""
        return {**getattr(_learner(self.forecaster_), "card_", {}), "drivers": {one.driver: sentence(one) for one in self.elasticities_}}

    def state(self) -> dict[str, Any]:
        """What was learned as plain data; drivers and planned events stay in the records, and their wrappers inside are left out."""
        if not hasattr(self, "forecaster_"):
            raise NotFittedError("DrivenForecaster is not fitted: call fit(panel) before state")
        parts = {"intensity": self.intensity_, "driver_forecaster": self.driver_forecaster_}
        return {
            "forecaster": type(self).__name__,
            "inside": _learner(self.forecaster_).state(),
            "ids": list(self.ids_),
            "elasticities": [one.describe() for one in self.elasticities_],
            "driving": None if self.driving_ is None else self.driving_.state(),
            **{name: None if part is None else _learner(part).state() for name, part in parts.items()},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The forecaster that `state` was taken from; it simulates the same bytes."""
        inside = restored(state["inside"])
        self = cls(type(inside)(**inside.get_params(deep=False)))
        self.forecaster_ = inside
        self.ids_ = tuple(state["ids"])
        self.elasticities_ = tuple(Elasticity.of_plain(one) for one in state["elasticities"])
        self.driving_ = None if state["driving"] is None else Driving.from_state(state["driving"])
        self.intensity_ = None if state["intensity"] is None else restored(state["intensity"])
        self.driver_forecaster_ = None if state["driver_forecaster"] is None else restored(state["driver_forecaster"])
        return self

    def _unfitted(self) -> Any:
        chosen = SpendForecaster(freq="D") if self.forecaster is None else self.forecaster
        return type(chosen)(**deepcopy(chosen.get_params(deep=False)))


def _learner(fitted: Any) -> Any:
    """What learnt, without what is known around it."""
    while not hasattr(fitted, "state"):
        fitted = fitted.forecaster_
    return fitted


def restored(state: dict[str, Any]) -> Any:
    """A forecaster from its state. The names of classes are a closed list: no data decides what is imported."""
    from forecast.forecasters.baselines import RunRate, SeasonalNaive
    from forecast.forecasters.boosting import BoostingForecaster
    from forecast.forecasters.reconciliation import ReconciledForecaster
    from forecast.forecasters.structural import StructuralForecaster

    classes: tuple[Any, ...] = (ReconciledForecaster, SpendForecaster, SeasonalNaive, RunRate, BoostingForecaster, StructuralForecaster)
    known = {one.__name__: one for one in classes}
    if state.get("forecaster") not in known:
        raise InputError(f"No forecaster inside is called {state.get('forecaster')!r}", field="forecaster", allowed=", ".join(known))
    return known[state["forecaster"]].from_state(state)


@dataclass(frozen=True, eq=False)
class _Judged:
    """A driver beside the panel.

    rows : leaves it was judged in. past : (T,) without gaps; empty where it cannot be used, and `note` says why. gain_if_known : of each leaf.
    """

    driver: Driver
    rows: Ints
    past: Floats
    plan: Plan
    use: Use | None
    gain_if_known: Floats
    note: str = ""


def _judged(driver: Driver, matrix: SpendMatrix, hierarchy: Hierarchy | None) -> _Judged:
    cutoff = matrix.ds[-1]
    nothing = np.empty(0)

    def useless(note: str) -> _Judged:
        return _Judged(driver, np.empty(0, dtype=np.int64), nothing, Plan(nothing, nothing, nothing), None, nothing, note)

    rows = _rows_of(driver, matrix, hierarchy)
    if isinstance(rows, str):
        return useless(rows)
    values = matrix.values[rows]
    # Of credits no share can be taken, and what has ended needs no driver.
    usable = np.isfinite(values[:, -1]) & ~(np.nan_to_num(values) < 0).any(axis=1) & (np.nan_to_num(values[:, -28:]) > 0).any(axis=1)
    rows = rows[usable]
    if not len(rows):
        return useless(f"no leaf of {driver.scope or 'the company'} has spend that goes on and is nowhere negative")
    known = driver.known_at(cutoff)
    came = on_grid(known[known.index <= cutoff], matrix.ds)
    days = int((np.isfinite(came) & np.isfinite(values).any(axis=0)).sum())
    if days < LEAST_OVERLAP:
        return useless(f"{days} days of it lie beside spend without a gap of more than two weeks; {LEAST_OVERLAP} are needed")
    past = filled(came)
    if past is None:
        return useless(f"its values end more than two weeks before {cutoff:%Y-%m-%d}")
    plan = plan_of(driver, past, cutoff)
    came_only = replace(driver, values=driver.values[driver.values["known_from"] >= driver.values["ds"]])
    relation = judge_use(matrix.values[rows], came_only, matrix.ds, planned=True)
    past_plans = bool(((driver.values["known_from"] < driver.values["ds"]) & (driver.values["ds"] <= cutoff)).any())
    same = not plan.is_empty and not past_plans  # today's plan has no ancestors that could be judged
    use = relation if same else judge_use(matrix.values[rows], driver, matrix.ds, planned=not plan.is_empty)
    if use is None or relation is None:
        return useless("it was nothing in the last four weeks")
    notes = ["values of weeks or months are spread over their days"] if known["average"].any() else []
    if not (use.weight > 0).any():
        hope = "; a plan of it would help" if plan.is_empty and (relation.weight > 0).any() else ""
        notes.insert(0, f"no clear gain in the backtest{hope}" if use.origins else "too little history for a backtest")
    return _Judged(driver, rows, past, plan, use, relation.gain, "; ".join(notes))


def _rows_of(driver: Driver, matrix: SpendMatrix, hierarchy: Hierarchy | None) -> Ints | str:
    """Rows of the driver's leaves in the matrix, or why there are none."""
    scope = driver.scope
    if scope.is_company:
        return np.arange(matrix.n_series)
    if hierarchy is None:
        return f"without a hierarchy the scope {scope} names no series"
    if not hierarchy.covers(scope):
        return f"its scope {scope} is finer than the leaves ({', '.join(hierarchy.dimensions)})"
    try:
        mask = hierarchy.leaf_mask(scope)
    except UnknownScopeError as error:
        return str(error)
    found = pd.Index(matrix.ids).get_indexer(pd.Index(hierarchy.leaf_ids)[mask])
    return np.sort(found[found >= 0]).astype(np.int64)


def _chosen(judged: Sequence[_Judged], n_series: int) -> tuple[Ints, dict[str, Floats]]:
    """(n,) number of each leaf's driver, -1 without one: of several the one whose gain is surest; and what is known of it in that leaf."""
    chosen, best = np.full(n_series, -1, dtype=np.int64), np.zeros(n_series)
    found = {name: np.zeros(n_series) for name in ("weight", "value", "error", "own_error", "gain")}
    for number, one in enumerate(judged):
        if one.use is None:
            continue
        better = (one.use.weight > 0) & (one.use.bound > best[one.rows])
        rows = one.rows[better]
        chosen[rows], best[rows] = number, one.use.bound[better]
        for name, values in (
            ("weight", one.use.weight),
            ("gain", one.use.gain),
            ("value", one.use.found.value),
            ("error", one.use.found.error),
            ("own_error", one.use.found.own_error),
        ):
            found[name][rows] = values[better]
    return chosen, found


def _report(one: _Judged, number: int, chosen: Ints, matrix: SpendMatrix) -> Elasticity:
    driver = one.driver
    said: dict[str, Any] = {"driver": driver.name, "scope": str(driver.scope), "unit": driver.unit, "kind": driver.kind}
    if one.use is None:
        return Elasticity(**said, value=None, low=None, high=None, gain=0.0, origins=0, note=one.note)
    use, found = one.use, one.use.found
    money = np.nan_to_num(matrix.values[one.rows, -28:]).sum(axis=1)
    share = money / money.sum()
    used = chosen[one.rows] == number
    value = float(share @ found.value)
    common = share @ np.sqrt(np.maximum(found.error**2 - found.own_error**2, 0.0))
    error = float(np.sqrt(common**2 + np.square(share * found.own_error).sum()))
    planned = np.flatnonzero(np.isfinite(one.plan.value))
    until = (matrix.ds[-1] + pd.Timedelta(days=int(planned[-1]) + 1)).date() if len(planned) else None
    note = one.note
    if (use.weight > 0).any() and not used.any():
        note = "; ".join(["other drivers of the same leaves are surer", *([note] if note else [])])
    return Elasticity(
        **said,
        value=value,
        low=value - Z90 * error,
        high=value + Z90 * error,
        gain=float(share @ np.where(used, use.gain, 0.0)),
        origins=use.origins,
        gain_if_known=float(share @ one.gain_if_known),
        weight=float(share @ np.where(used, use.weight, 0.0)),
        leaves=int(used.sum()),
        leaves_in_scope=len(one.rows),
        planned_until=until,
        note=note,
    )


def _long(ids: Sequence[str], ds: pd.DatetimeIndex, values: Floats) -> pd.DataFrame:
    """Long panel of what is known."""
    rows, columns = np.nonzero(np.isfinite(values))
    return pd.DataFrame({"unique_id": np.array(ids, dtype=object)[rows], "ds": ds.to_numpy()[columns], "y": values[rows, columns]})
