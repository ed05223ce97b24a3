"""A board: what a replay looks at on one of its days. Leaves and the nodes above them, their spend, the signs on it, and what of it is strange.

All that is scored of a day comes from the days before it (`anomalies.signs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.anomalies.hours import DayHours
from forecast.anomalies.incidents import Flag
from forecast.anomalies.sign_thresholds import Thresholds
from forecast.anomalies.signs import (
    ABOVE,
    GROWTH,
    HOURS,
    HOURS_ABOVE,
    OF_NODES,
    SPEND,
    Sign,
    above_sign,
    hours_above_sign,
    leaf_signs,
    usual,
    usual_day,
)
from forecast.spend.dimensions import OTHER, UNKNOWN
from forecast.spend.scope import Scope
from forecast.workflows.lessons import Lesson, learnt

Floats = NDArray[np.float64]

MOST_UNKNOWN = 1
"""A leaf with more dimensions that nobody said is what was not tagged: it gains what other leaves lose."""
PART_OF_EPISODE = 0.2
"""Part of the largest excess of its episode that a day must have to belong to it."""
OWN_DAYS = 7
"""Flags of one scope that are so many days apart at most are one incident: weekends interrupt, and adoption comes in steps."""
WORTH_MERGING = 0.5
"""Part of the minimum impact that a scope's flags must come to before they are looked at: thousands of small leaves have thousands of trifles."""
FEWEST_SHARED, MOST_OF_NODE = 3, 0.5
"""Leaves of a node, and the part of its usual spend, that are strange together where the node is."""
NEAR = 2
"""Flagged days of a series that are so many days apart at most are one episode."""


@dataclass(frozen=True)
class Found:
    """A scope's flagged days, one entry a day: strongest sign, days that it looks back on, and whether the day itself raised it."""

    flag: Flag
    sign: str
    window: int
    direct: bool


@dataclass(frozen=True)
class Board:
    """leaves : (n, dimensions) values. values : (n, n_days) spend that can be learnt from. amounts : as `anomalies.signs.AMOUNTS`.
    members : leaves of each node. first_day : of the columns. hours : of leaves, then of nodes; None where no hours are known."""

    leaves: pd.DataFrame
    values: Floats
    amounts: Mapping[str, Floats]
    nodes: Sequence[Scope]
    members: Sequence[NDArray[np.int64]]
    first_day: np.datetime64
    hours: DayHours | None = None

    @property
    def days(self) -> NDArray[np.datetime64]:
        return self.first_day + np.arange(self.values.shape[1])

    @cached_property
    def scopes(self) -> list[Scope]:
        """Of leaves, then of nodes."""
        names = list(self.leaves.columns)
        own = [Scope.parse(dict(zip(names, [[value] for value in row], strict=True))) for row in self.leaves.itertuples(index=False, name=None)]
        return [*own, *self.nodes]

    @cached_property
    def row_of(self) -> dict[Scope, int]:
        """Number of each scope's row among leaves and nodes; a node that is a leaf as well has the node's."""
        return {scope: row for row, scope in enumerate(self.scopes)}

    @cached_property
    def node_values(self) -> Floats:
        if not len(self.nodes):
            return np.zeros((0, self.values.shape[1]))
        return np.stack([self.values[rows].sum(axis=0) for rows in self.members])

    @cached_property
    def usual_day(self) -> float:
        return usual_day(self.values.sum(axis=0))

    @cached_property
    def signs(self) -> list[Sign]:
        n_leaves, hours = len(self.values), self.hours or DayHours.nothing(*self.all_values.shape)
        told_apart = (self.leaves.isin([UNKNOWN, OTHER])).sum(axis=1).to_numpy() <= MOST_UNKNOWN
        named = np.array([not any({UNKNOWN, OTHER} & set(clause.values) for clause in node.clauses) for node in self.nodes], dtype=bool)
        return [
            *leaf_signs(self.values, self.amounts, self.first_day, self.usual_day, told_apart, (hours.amount[:n_leaves], hours.most[:n_leaves])),
            above_sign(self.node_values, self.first_day, self.usual_day),
            hours_above_sign(self.node_values, hours.amount[n_leaves:], hours.most[n_leaves:], self.first_day, self.usual_day, named),
        ]

    @cached_property
    def usual(self) -> Floats:
        """(n_leaves + n_nodes, n_days) what was usual before each day."""
        return usual(self.all_values)

    @cached_property
    def all_values(self) -> Floats:
        """(n_leaves + n_nodes, n_days)."""
        return np.concatenate([self.values, self.node_values])

    def flags(
        self,
        flagged: Mapping[str, NDArray[np.bool_]],
        first: int,
        last: int,
        thresholds: Thresholds | None = None,
        lessons: Sequence[Lesson] = (),
        minimum_impact: float = 0.0,
    ) -> list[Found]:
        """The flagged days of columns [first, last), by row and day. flagged : by sign, over all columns. Without thresholds p-values are 0.
        lessons : what was said to be as expected, and is therefore no news. minimum_impact : of an incident; what is far from it is left out."""
        parts = [
            part
            for number, sign in enumerate(self.signs)
            if sign.name in flagged
            for part in self._looked_back(number, sign, flagged[sign.name], (first, last), thresholds, lessons)
        ]
        if not parts:
            return []
        frame = pd.concat(parts, ignore_index=True).sort_values(["row", "column", "rank"], kind="stable")
        frame = frame.drop_duplicates(["row", "column"], keep="last", ignore_index=True)
        row, column = frame["row"].to_numpy(), frame["column"].to_numpy()
        begins = np.ones(len(frame), dtype=bool)
        begins[1:] = (np.diff(row) != 0) | (np.diff(column) > NEAR)
        start = column[np.maximum.accumulate(np.where(begins, np.arange(len(frame)), 0))]
        frame["cost"] = self.all_values[row, column]
        # What was usual before the trouble began: its own days must not make it usual.
        frame["excess"] = frame["cost"] - np.nan_to_num(self.usual[row, start])
        self._of_signs(frame, thresholds)
        growth = [number for number, sign in enumerate(self.signs) if sign.name == GROWTH]
        frame = self._with_shared(frame[_takes_part(frame, np.cumsum(begins), growth)])
        return self._found(frame if minimum_impact == 0.0 else _worth_it(frame, WORTH_MERGING * minimum_impact))

    def _looked_back(
        self,
        number: int,
        sign: Sign,
        flagged: NDArray[np.bool_],
        columns: tuple[int, int],
        thresholds: Thresholds | None,
        lessons: Sequence[Lesson],
    ) -> list[pd.DataFrame]:
        """A sign's flagged days, and with them the days that their windows look back on. rank : strength, small where a later day raised it."""
        row, column = np.nonzero(flagged[:, columns[0] : columns[1]])
        column = column + columns[0]
        strength, window, way = sign.strength[row, column], sign.window[row, column], sign.way[row, column]
        rank = strength if thresholds is None else strength / thresholds.of_sign[sign.name]
        place = row + (len(self.values) if sign.name in OF_NODES else 0)
        if lessons and thresholds is not None and len(row):
            news = ~learnt(lessons, sign, (row, column), [self.scopes[one] for one in place], self.days, thresholds.of_sign[sign.name])
            place, column, rank, window, way = place[news], column[news], rank[news], window[news], way[news]
        found = []
        for back in range(int(window.max(initial=0))):
            here = (window > back) & (column - back >= 0)
            found.append(
                pd.DataFrame(
                    {
                        "row": place[here],
                        "column": column[here] - back,
                        "rank": rank[here] * (1.0 if back == 0 else 1e-6),
                        "window": window[here],
                        "sign": number,
                        "direct": back == 0,
                        "way": way[here],
                    }
                )
            )
        return found

    def _of_signs(self, frame: pd.DataFrame, thresholds: Thresholds | None) -> None:
        """Add p-values, and the excess as the sign has it where that is more than the whole spend's."""
        row, column = frame["row"].to_numpy(), frame["column"].to_numpy()
        excess, p_value = frame["excess"].to_numpy().copy(), np.zeros(len(frame))
        for number, sign in enumerate(self.signs):
            here = (frame["sign"] == number).to_numpy()
            if not here.any():
                continue
            own = row[here] - (len(self.values) if sign.name in OF_NODES else 0)
            if sign.name not in (SPEND, ABOVE):
                said = sign.excess[own, column[here]]
                excess[here] = np.where(said != 0.0, said, excess[here])
            if thresholds is not None:
                p_value[here] = thresholds.p_values(sign.name, sign.strength[own, column[here]])
        frame["excess"], frame["p_value"] = excess, p_value
        self._of_hours(frame)

    def _of_hours(self, frame: pd.DataFrame) -> None:
        """Of days that are going on, the money is that of the hours known so far, beyond what is usual by then, and not beyond a whole day."""
        if self.hours is None or frame.empty:
            return
        row, column = frame["row"].to_numpy(), frame["column"].to_numpy()
        names = np.array([sign.name for sign in self.signs])[frame["sign"].to_numpy(dtype=np.int64)]
        so_far = np.where(np.isin(names, (SPEND, ABOVE, HOURS, HOURS_ABOVE)), self.hours.so_far[row, column], 0.0)
        more = so_far > np.maximum(frame["excess"].to_numpy(), 0.0)
        frame["cost"] = np.where(more, self.hours.spent[row, column], frame["cost"])
        frame["excess"] = np.where(more, so_far, frame["excess"])

    def _with_shared(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The flags, and those of nodes most of whose leaves are strange on the same day: that is one trouble, and not one of each leaf."""
        leaves = frame.loc[frame["row"] < len(self.values), ["row", "column", "way", "p_value", "sign", "window", "direct", "excess"]]
        if len(leaves) < FEWEST_SHARED:
            return frame
        # Its kind is that of the leaf with the most money.
        leaves = leaves.sort_values("excess", key=np.abs, ascending=False, kind="stable").drop(columns="excess")
        leaves = leaves.assign(usual=np.abs(np.nan_to_num(self.usual[leaves["row"], leaves["column"]])))
        within = leaves.merge(self._nodes_of_leaves, on="row").groupby(["node", "column", "way"], as_index=False)
        shared = within.agg(
            leaves=("row", "size"),
            usual=("usual", "sum"),
            p_value=("p_value", "min"),
            sign=("sign", "first"),
            window=("window", "first"),
            direct=("direct", "first"),
        )
        shared["row"] = shared["node"] + len(self.values)
        level = np.nan_to_num(self.usual[shared["row"], shared["column"]])
        shared["cost"] = self.all_values[shared["row"], shared["column"]]
        shared["excess"] = shared["cost"] - level
        self._of_hours(shared)
        enough = (shared["leaves"] >= FEWEST_SHARED) & (shared["usual"] >= MOST_OF_NODE * np.abs(level)) & (shared["excess"] * shared["way"] > 0.0)
        more = shared.loc[enough].assign(rank=0.0)[list(frame.columns)]
        return pd.concat([frame, more], ignore_index=True).drop_duplicates(["row", "column"]).sort_values(["row", "column"], kind="stable")

    @cached_property
    def _nodes_of_leaves(self) -> pd.DataFrame:
        """Every leaf with every node above it: columns row, node."""
        sizes = [len(rows) for rows in self.members]
        rows = np.concatenate([*self.members, np.zeros(0, dtype=np.int64)])
        return pd.DataFrame({"row": rows, "node": np.repeat(np.arange(len(sizes)), sizes)})

    def _found(self, frame: pd.DataFrame) -> list[Found]:
        days = self.days[frame["column"].to_numpy()].astype("datetime64[D]").tolist()
        columns = (frame[name].tolist() for name in ("row", "cost", "excess", "p_value", "sign", "window", "direct"))
        return [
            Found(Flag(number, self.scopes[row], day, cost, cost - excess, p_value), self.signs[sign].name, window, direct)
            for number, (day, row, cost, excess, p_value, sign, window, direct) in enumerate(zip(days, *columns, strict=True))
        ]


def _takes_part(frame: pd.DataFrame, episode: NDArray[np.int64], growth: Sequence[int]) -> NDArray[np.bool_]:
    """Which flagged days belong to the trouble: those that raised it alone, and of windows those that have a due part of the money.

    The days after a spike do not, although windows that look back on it are still strange; nor is a quiet day within a rise a fall.
    growth : numbers of signs that compare weeks, and say nothing of a single day.
    """
    signed = (frame["excess"] * frame["way"]).to_numpy()
    largest = pd.Series(signed).groupby(episode).transform("max").to_numpy()
    alone = (frame["direct"] & (frame["window"] == 1) & ~frame["sign"].isin(growth)).to_numpy()
    return np.asarray((signed > 0.0) & (alone | (signed >= PART_OF_EPISODE * largest)))


def _worth_it(frame: pd.DataFrame, least: float) -> pd.DataFrame:
    """The flags of scopes whose days near each other come to enough money."""
    frame = frame.sort_values(["row", "way", "column"], kind="stable")
    row, way, column = (frame[name].to_numpy() for name in ("row", "way", "column"))
    begins = np.ones(len(frame), dtype=bool)
    begins[1:] = (np.diff(row) != 0) | (np.diff(way) != 0) | (np.diff(column) > OWN_DAYS)
    money = frame["excess"].groupby(np.cumsum(begins)).transform("sum").abs().to_numpy()
    return frame[money >= least].sort_values(["row", "column"], kind="stable")
