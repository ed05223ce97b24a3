"""What kind of charge a line is: named cases, and the rules' SQL against a slow twin on any line."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.spend import focus
from forecast.spend.charges import CHARGE_KINDS, COLUMNS, RULES, TREATMENTS, item_sql, kind_sql, treatment_sql
from tests.oracles.charge_kinds import kind_of

DAY = dt.datetime(2026, 3, 1)


def charge(days: int = 1, **changes: Any) -> dict[str, Any]:
    """A line of metered usage; keyword arguments replace columns."""
    line: dict[str, Any] = dict.fromkeys(COLUMNS)
    line |= {"ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based", "ChargeDescription": "model input", "PricingUnit": "1M Tokens"}
    line |= {"BilledCost": Decimal("4.5"), "EffectiveCost": Decimal("4.5"), "PricingCurrency": "USD", "BillingCurrency": "USD"}
    line |= {"ChargePeriodStart": DAY, "ChargePeriodEnd": DAY + dt.timedelta(days=days)}
    return line | changes


def kinds_of(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """By the rules, in DuckDB, with the ledger's types."""
    types = {"decimal": "DECIMAL(38, 12)", "timestamp": "TIMESTAMP", "string": "VARCHAR"}
    columns = ", ".join(f'CAST("{name}" AS {types[focus.BY_NAME[name].kind]}) AS "{name}"' for name in COLUMNS)
    frame = pd.DataFrame(lines, columns=list(COLUMNS)).astype(object)
    with duckdb.connect() as connection:
        connection.register("given", frame)
        connection.execute(f"CREATE TABLE charges AS SELECT {columns} FROM given")
        return connection.execute(f"SELECT {kind_sql()}, {treatment_sql(table='charges')} FROM charges").fetchall()


CASES: list[tuple[str, dict[str, Any], tuple[str, str]]] = [
    ("metered use", charge(), ("usage", "learn")),
    ("use that a discount makes negative", charge(BilledCost=Decimal(-2), EffectiveCost=Decimal(-2)), ("usage", "learn")),
    ("use under a commitment", charge(CommitmentDiscountId="c", CommitmentDiscountStatus="Used", BilledCost=Decimal(0)), ("usage", "learn")),
    ("what of a commitment nobody used", charge(CommitmentDiscountStatus="Unused"), ("commitment_unused", "learn")),
    ("capacity that nobody used", charge(CapacityReservationStatus="Unused"), ("commitment_unused", "learn")),
    ("true-up of an agreement", charge(31, ChargeFrequency="One-Time", ChargeDescription="Annual unused fee"), ("commitment_unused", "one_off")),
    (
        "year of a commitment paid at once",
        charge(365, ChargeCategory="Purchase", ChargeFrequency="One-Time", CommitmentDiscountId="c", EffectiveCost=Decimal(0)),
        ("commitment_purchase", "scheduled"),
    ),
    (
        "hour's fee of a commitment",
        charge(ChargeCategory="Purchase", ChargeFrequency="Recurring", CommitmentDiscountId="c"),
        ("commitment_fee", "scheduled"),
    ),
    ("seats of a month", charge(31, ChargeCategory="Purchase", ChargeFrequency="Recurring", PricingUnit="Seats"), ("subscription", "scheduled")),
    ("seats used on a day", charge(PricingUnit="Seat-Days"), ("subscription", "scheduled")),
    ("licence for a year", charge(365, ChargeCategory="Purchase", ChargeFrequency="One-Time", PricingUnit="Count"), ("subscription", "scheduled")),
    (
        "prepaid year used up on other lines",
        charge(365, ChargeCategory="Purchase", ChargeFrequency="One-Time", PricingUnit="Count", EffectiveCost=Decimal(0)),
        ("commitment_purchase", "scheduled"),
    ),
    (
        "tokens bought for a year",
        charge(365, ChargeCategory="Purchase", ChargeFrequency="One-Time", PricingUnit="Token", EffectiveCost=Decimal(0)),
        ("virtual_currency", "one_off"),
    ),
    ("tokens of that purchase used", charge(PricingCurrency="Token", BilledCost=Decimal(0)), ("virtual_currency", "learn")),
    ("units that look like a currency", charge(PricingCurrency="DBU"), ("virtual_currency", "learn")),
    ("tax", charge(ChargeCategory="Tax", ChargeFrequency="Recurring"), ("tax", "learn")),
    ("grant", charge(ChargeCategory="Credit", ChargeFrequency="One-Time", BilledCost=Decimal(-9)), ("credit", "one_off")),
    ("discount that goes on", charge(ChargeCategory="Credit", BilledCost=Decimal(-9)), ("credit", "learn")),
    ("refund called a credit", charge(ChargeCategory="Credit", ChargeDescription="Refund of March"), ("refund", "one_off")),
    (
        "refund",
        charge(ChargeCategory="Adjustment", ChargeFrequency="One-Time", BilledCost=Decimal(-9), EffectiveCost=Decimal(-9)),
        ("refund", "one_off"),
    ),
    ("purchase given back", charge(ChargeCategory="Purchase", BilledCost=Decimal(-9), EffectiveCost=Decimal(0)), ("refund", "one_off")),
    ("rounding added later", charge(ChargeCategory="Adjustment", ChargeFrequency="One-Time"), ("one_time", "one_off")),
    ("day put right", charge(ChargeClass="Correction", BilledCost=Decimal(-1)), ("correction", "learn")),
    ("month put right in a lump", charge(31, ChargeClass="Correction"), ("correction", "one_off")),
    ("purchase put right", charge(ChargeClass="Correction", ChargeCategory="Purchase"), ("correction", "one_off")),
    ("use given back", charge(ChargeDescription="refund of a day", BilledCost=Decimal(-1), EffectiveCost=Decimal(-1)), ("refund", "one_off")),
    ("support by the month", charge(31, ChargeFrequency="Recurring", PricingUnit="Months"), ("subscription", "scheduled")),
    (
        "commitment of a term that nobody says",
        charge(ChargeCategory="Purchase", ChargeFrequency="One-Time", CommitmentDiscountId="c", PricingUnit="USD"),
        ("commitment_purchase", "one_off"),
    ),
    ("campaign invoiced once", charge(ChargeFrequency="One-Time", ChargeDescription="training campaign"), ("one_time", "one_off")),
    ("machine bought", charge(ChargeCategory="Purchase", ChargeFrequency="One-Time", PricingUnit="Units"), ("one_time", "one_off")),
    ("category of another world", charge(ChargeCategory="Gift"), ("other", "learn")),
]


@pytest.mark.parametrize(("line", "expected"), [(line, expected) for _, line, expected in CASES], ids=[name for name, _, _ in CASES])
def test_line_is_the_kind_that_its_name_says(line: dict[str, Any], expected: tuple[str, str]) -> None:
    assert kinds_of([line]) == [expected]
    assert kind_of(line) == expected


def test_every_kind_has_a_case() -> None:
    assert {expected[0] for _, _, expected in CASES} == set(CHARGE_KINDS)


def test_every_rule_is_needed_by_some_case() -> None:
    """A rule that can be left out without changing any answer is not a rule."""
    lines = [line for _, line, _ in CASES]
    types = pd.DataFrame(lines, columns=list(COLUMNS)).astype(object)
    with duckdb.connect() as connection:
        connection.register("charges", types)

        def read(rules: tuple[Any, ...]) -> list[tuple[str, str]]:
            return connection.execute(f"SELECT {kind_sql(rules)}, {treatment_sql(rules)} FROM charges").fetchall()

        whole = read(RULES)
        needless = [rule for number, rule in enumerate(RULES) if read((*RULES[:number], *RULES[number + 1 :])) == whole]
    assert needless == []


TEXTS: dict[str, list[str | None]] = {
    "ChargeCategory": ["Usage", "Purchase", "Tax", "Credit", "Adjustment", "usage"],
    "ChargeClass": [None, None, None, "Correction"],
    "ChargeFrequency": [None, "One-Time", "Recurring", "Usage-Based"],
    "ChargeDescription": [None, "", "input tokens", "Refund for March", "refunds", "monthly unused fee", "shortfall", "Seats"],
    "CommitmentDiscountId": [None, "", " ", "commitment-1"],
    "CommitmentDiscountStatus": [None, "Used", "Unused"],
    "CapacityReservationStatus": [None, "Used", "Unused"],
    "PricingCurrency": [None, "", "USD", "eur", "Token", "DBU"],
    "PricingUnit": [None, "Hours", "Tokens", "Seat-Months", "USERS", "Credits", "superusers", "GB"],
}
COSTS = [Decimal(-3), Decimal("-0.000000000001"), Decimal(0), Decimal("0.5"), Decimal(1200)]
LINES = st.fixed_dictionaries(
    {name: st.sampled_from(values) for name, values in TEXTS.items()}
    | {"BillingCurrency": st.sampled_from(["USD", "EUR"])}
    | {name: st.sampled_from(COSTS) for name in ("BilledCost", "EffectiveCost")}
    | {
        "ChargePeriodStart": st.just(DAY),
        "ChargePeriodEnd": st.sampled_from([DAY + dt.timedelta(hours=hours) for hours in (1, 24, 25, 744, 745, 8760)]),
    }
)


@given(st.lists(LINES, min_size=1, max_size=40))
@settings(max_examples=25, deadline=None)
def test_sql_of_the_rules_says_what_the_slow_twin_says(lines: list[dict[str, Any]]) -> None:
    found = kinds_of(lines)
    assert found == [kind_of(line) for line in lines]
    assert all(kind in CHARGE_KINDS and treatment in TREATMENTS for kind, treatment in found)


def test_item_is_the_commitment_then_the_resource_then_the_sku_then_the_words() -> None:
    rows = [("c", "r", "s", "w"), (None, "r", "s", "w"), ("", " ", "s", "w"), (None, None, None, "w"), (None, None, None, None)]
    frame = pd.DataFrame(rows, columns=["CommitmentDiscountId", "ResourceId", "SkuId", "ChargeDescription"]).astype(object)
    with duckdb.connect() as connection:
        connection.register("charges", frame)
        assert [row[0] for row in connection.execute(f"SELECT {item_sql()} FROM charges").fetchall()] == ["c", "r", "s", "w", ""]
