"""What charge lines say of strange spend beside its amount: changed unit prices, kinds of tokens, what is new, new machines that never
rest, lines that came twice."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from forecast.adapters import duck
from forecast.adapters.duck import quoted_name
from forecast.adapters.hour_lines import UNITS, read_day_hours
from forecast.adapters.ledger import Ledger
from forecast.adapters.spend_history import SpendHistory
from forecast.anomalies.signs import AMOUNTS, UNCHANGED_MOST
from forecast.spend import focus
from forecast.spend.dimensions import UNKNOWN

SIGN_DAYS = 520
"""Days before the cutoff that a snapshot keeps: ten months of record, and those on which thresholds are learnt."""
BEFORE = 84
"""Days that are read before the first one wanted: what is new and what a price was is told from them."""
PRICE_BACK = 28
"""Days whose median is the usual price."""
NEW_AFTER = 56
"""What was not seen for so many days is new; a resource that was, in whatever leaf, is not: it only lost or gained a tag."""
NEW_FOR = 7
"""Days for which it is."""
SAME, SERVES_AFTER = 0.02, 28
"""How far the largest machine time (or cost, where a market makes the price) of a new machine's whole days may lie above the least; and days after
which it is not new any more: what serves for good runs on, too."""
MARKET = "Dynamic"
"""Pricing category of what costs what a market asks: that its price moves says nothing."""

_CONSUMED = (focus.CONSUMED_QUANTITY, focus.CONSUMED_UNIT)
_PRICED = (focus.PRICING_QUANTITY, focus.PRICING_UNIT)
_MACHINE_TIME = "hour|minute|second"
_RESOURCE = f"'resource ' || nullif(resource, '{UNKNOWN}')"
_NEW = (
    _RESOURCE,
    f"CASE WHEN region <> '{UNKNOWN}' THEN concat_ws(chr(31), 'region', team, provider, region) END",
    "concat_ws(chr(31), 'service', team, provider, service)",
    f"'model ' || nullif(ai_model, '{UNKNOWN}')",
    # A team that turns to a model which others know is adoption, unless no key is named of which one could ask whether it is new.
    f"CASE WHEN resource = '{UNKNOWN}' AND ai_model <> '{UNKNOWN}' THEN concat_ws(chr(31), 'model', team, ai_model) END",
)
"""What is new where it was not seen before: a resource or AI model in the company, a region or service in a team."""
_OUTPUT, _INPUT = "output|completion|generated", "input|prompt|cache"


def read_sign_lines(
    ledger: Ledger, dimensions: tuple[str, ...], start: dt.date, end: dt.date, *, cost: str = "effective", as_of: dt.datetime | None = None
) -> pd.DataFrame:
    """Of the days [start, end), one row a day and value combination of the dimensions: `ds`, the dimensions, `spend` and the columns of
    `anomalies.signs.AMOUNTS`, all in the ledger's currency.

    spend : of lines that are learnt from (not what came once or by a schedule), and all else is said of those lines only.
    """
    first = start - dt.timedelta(days=BEFORE)
    finer = ["provider", "service", "team", "ai_model", "meter", "sku", "resource", "region"]
    names = list(dict.fromkeys([*dimensions, *finer, "charge_treatment"]))
    columns = [*names, *_CONSUMED, *_PRICED, focus.PRICING_CATEGORY, focus.CHARGE_START, focus.CHARGE_END, focus.BILLING_CURRENCY, focus.COSTS[cost]]
    billed = ledger.charges(start=first, end=end, columns=columns, as_of=as_of)
    connection = duck.connect()
    try:
        connection.register("billed", billed)
        charges = ledger.in_one_currency(connection, "billed", [focus.COSTS[cost]])
        duck.execute(connection, f"CREATE TEMP TABLE lines AS {_lines(charges, names, cost)}")
        frame: pd.DataFrame = connection.execute(_amounts([quoted_name(name) for name in dimensions], start)).df()
    finally:
        connection.close()
    frame["ds"] = pd.to_datetime(frame["ds"]).astype("datetime64[s]")
    return frame[["ds", *dimensions, "spend", *AMOUNTS]]


def read_signs(ledger: Ledger, history: SpendHistory, *, cost: str = "effective", as_of: dt.datetime | None = None) -> pd.DataFrame:
    """What a snapshot keeps of them: columns `leaf` (row number), `ds` and AMOUNTS, of days on which some amount is not nothing; where there are
    lines of single hours also those of `hour_lines.read_day_hours`, and rows of nodes, in which all else is nothing."""
    dimensions = history.hierarchy.dimensions
    end = history.matrix.ds[-1].date() + dt.timedelta(days=1)
    start = max(history.matrix.ds[0].date(), end - dt.timedelta(days=SIGN_DAYS))
    lines = read_sign_lines(ledger, dimensions, start, end, cost=cost, as_of=as_of).merge(history.leaf_of, on=list(dimensions), how="inner")
    found = lines.groupby(["leaf", "ds"], sort=True, as_index=False)[list(AMOUNTS)].sum()
    found = found[(found[list(AMOUNTS)] != 0.0).any(axis=1)].reset_index(drop=True)
    hours = read_day_hours(ledger, history, start, cost=cost, as_of=as_of)
    if hours.empty:
        return found
    return found.merge(hours, on=["leaf", "ds"], how="outer").fillna(0.0).sort_values(["leaf", "ds"], ignore_index=True)


def _lines(charges: str, names: list[str], cost: str) -> str:
    """Lines that are learnt from, those equal in everything as one with their number."""
    known = ", ".join(f"coalesce({quoted_name(name)}, '{UNKNOWN}') AS {quoted_name(name)}" for name in names if name != "charge_treatment")
    said = [[quoted_name(name) for name in pair] for pair in (_CONSUMED, _PRICED)]
    quantity, unit = (" ".join(f"WHEN {pair[0]} IS NOT NULL AND {pair[1]} IS NOT NULL THEN {pair[place]}" for pair in said) for place in (0, 1))
    begins, ends, category = (quoted_name(name) for name in (focus.CHARGE_START, focus.CHARGE_END, focus.PRICING_CATEGORY))
    return f"""
        SELECT {known}, {begins}::DATE AS ds, {begins} AS begins, {ends} AS ends, {_whole(quoted_name(focus.COSTS[cost]))} AS cost,
               coalesce({category}, '') AS category,
               CASE {unit} ELSE '' END AS unit, {_whole(f"CASE {quantity} ELSE 0 END")} AS quantity, count(*) AS times
        FROM {charges} WHERE charge_treatment = 'learn' GROUP BY ALL
    """


def _whole(amount: str) -> str:
    return f"round(({amount})::DOUBLE * {UNITS})::HUGEINT"


def _amounts(leaf: list[str], start: dt.date) -> str:
    own = ", ".join(leaf)
    priced = "ai_model, meter, sku, region, unit, category"
    things = ", ".join(_NEW)
    window = f"RANGE BETWEEN INTERVAL {PRICE_BACK} DAY PRECEDING AND INTERVAL 1 DAY PRECEDING"
    return f"""
        WITH days AS (
            SELECT ds, {own}, sum(cost * times) AS spend,
                   sum(cost * times) FILTER (regexp_matches(lower(meter), '{_OUTPUT}') AND NOT regexp_matches(lower(meter), '{_INPUT}')) AS output,
                   sum(cost * times) FILTER (regexp_matches(lower(meter), '{_INPUT}')) AS input,
                   sum(cost * (times - 1)) AS duplicates
            FROM lines WHERE ds >= DATE '{start}' GROUP BY ALL
        ), metered AS (
            SELECT ds, {own}, {priced}, sum(cost * times) AS cost, sum(quantity * times) AS quantity
            FROM lines WHERE quantity > 0 AND category <> '{MARKET}' GROUP BY ALL
        ), priced AS (
            SELECT ds, {own}, quantity::DOUBLE AS quantity, cost::DOUBLE / quantity::DOUBLE AS price,
                   median(cost::DOUBLE / quantity::DOUBLE) OVER (PARTITION BY {own}, {priced} ORDER BY ds {window}) AS usual
            FROM metered WHERE cost > 0
        ), prices AS (
            SELECT ds, {own}, sum(round(quantity * (price - usual))::HUGEINT) AS price
            FROM priced WHERE usual IS NOT NULL AND ds >= DATE '{start}' GROUP BY ALL
        ), timed AS (
            SELECT ds, {own}, {_RESOURCE} AS thing, sku, sum(cost * times) AS cost, sum(quantity * times) AS quantity
            FROM lines WHERE quantity > 0 AND resource <> '{UNKNOWN}' AND regexp_matches(lower(unit), '{_MACHINE_TIME}') GROUP BY ALL
        ), seen AS (
            SELECT ds, {own}, [{things}] AS things, sum(cost * times) AS cost FROM lines GROUP BY ALL
        ), gaps AS (
            SELECT *, lag(ds) OVER (PARTITION BY thing ORDER BY ds) AS before FROM (SELECT DISTINCT ds, unnest(things) AS thing FROM seen)
            WHERE thing IS NOT NULL
        ), begun AS (
            SELECT ds, thing, max(CASE WHEN before IS NULL OR ds - before > {NEW_AFTER} THEN ds END)
                                  OVER (PARTITION BY thing ORDER BY ds ROWS UNBOUNDED PRECEDING) AS began
            FROM gaps
        ), new AS (
            SELECT ds, thing, began, ds - began AS age FROM begun WHERE began > (SELECT min(ds) FROM lines) + {NEW_AFTER // 2}
        ), young AS (
            SELECT ds, list(thing) AS things FROM new WHERE age < {NEW_FOR} GROUP BY ds
        ), fresh AS (
            SELECT ds, {own}, sum(cost) AS newcomers FROM seen JOIN young USING (ds)
            WHERE ds >= DATE '{start}' AND list_has_any(seen.things, young.things) GROUP BY ALL
        ), runs AS (
            SELECT ds, {own}, cost, age, count(*) OVER life AS days, min(quantity) OVER life AS least, max(quantity) OVER life AS most,
                   min(cost) OVER life AS cheapest, max(cost) OVER life AS dearest
            FROM timed JOIN new USING (ds, thing) WHERE age > 0
            WINDOW life AS (PARTITION BY {own}, thing, sku, began ORDER BY ds ROWS UNBOUNDED PRECEDING)
        ), same AS (
            SELECT ds, {own}, sum(cost) AS constant, sum(cost * least(age, {UNCHANGED_MOST})) AS constant_days FROM runs
            WHERE days = age AND age BETWEEN 2 AND {SERVES_AFTER} AND ds >= DATE '{start}'
                  AND (most - least <= {SAME} * most OR dearest - cheapest <= {SAME} * dearest) GROUP BY ALL
        )
        SELECT ds, {own}, {", ".join(f"coalesce({name}, 0)::DOUBLE / {UNITS} AS {name}" for name in ("spend", *AMOUNTS))}
        FROM days LEFT JOIN prices USING (ds, {own}) LEFT JOIN fresh USING (ds, {own}) LEFT JOIN same USING (ds, {own}) ORDER BY ALL
    """
