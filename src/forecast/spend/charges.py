"""What kind of charge a line is, and what a forecaster may do with it: a table of rules over FOCUS columns.

The specification's own five categories do not say it: a purchase may be a seat, a prepaid year or a commitment's monthly fee, and usage may
be the part of a commitment that nobody used. The first rule whose conditions all hold names the `charge_kind`. The rules are data: they
become one SQL expression (`kind_sql`), and a slow reading of the same table in plain Python is the test's oracle.

`treatment` says what the kind means for learning. Every line counts in actuals, budgets and cash, whatever its treatment.

    learn       a level that a forecaster learns: usage, recurring credits, corrections of a day's usage
    one_off     happened once: an upfront purchase, a true-up, a refund, a promotion
    scheduled   known beforehand and projected from its schedule: seats, licences, a commitment's fee

EffectiveCost is the cost for trends (amortised), BilledCost the one for cash: a commitment's fee costs nothing in the one and the covered
usage nothing in the other, so a line may be `scheduled` in one of them and empty in the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from forecast.spend import focus
from forecast.spend.currency import CURRENCIES

ChargeKind = Literal[
    "usage",
    "commitment_purchase",
    "commitment_fee",
    "commitment_unused",
    "tax",
    "credit",
    "refund",
    "correction",
    "one_time",
    "subscription",
    "virtual_currency",
    "other",
]
CHARGE_KINDS: tuple[ChargeKind, ...] = get_args(ChargeKind)

Treatment = Literal["learn", "one_off", "scheduled"]
TREATMENTS: tuple[Treatment, ...] = get_args(Treatment)


def _focus(name: str) -> str:
    """The specification's spelling of a column; a misspelt one fails on import and not in a query."""
    return next(column.name for column in focus.COLUMNS if column.name.lower() == name)


CHARGE_CLASS = _focus("chargeclass")
CHARGE_DESCRIPTION = _focus("chargedescription")
CHARGE_FREQUENCY = _focus("chargefrequency")
COMMITMENT_ID = _focus("commitmentdiscountid")
COMMITMENT_STATUS = _focus("commitmentdiscountstatus")
RESERVATION_STATUS = _focus("capacityreservationstatus")
PRICING_CURRENCY = _focus("pricingcurrency")
PRICING_UNIT = _focus("pricingunit")


@dataclass(frozen=True)
class Is:
    """The column holds one of the values, as the specification writes them or all in lower or upper case; the ledger has taken blanks off."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Given:
    """The column says something: it is neither null nor blank."""

    column: str


@dataclass(frozen=True)
class Speaks:
    """The column has one of the words, as a whole word of letters; upper and lower case are not told apart."""

    column: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Negative:
    """One of the two costs is below zero and neither above: money comes back."""


@dataclass(frozen=True)
class Prepaid:
    """Billed and without effective cost: it is used up later, on other lines."""


@dataclass(frozen=True)
class Lasts:
    """The charge period is longer than so many days."""

    days: int


@dataclass(frozen=True)
class NotMoney:
    """The column names something that is no currency: tokens, credits, DBU."""

    column: str


Condition = Is | Given | Speaks | Negative | Prepaid | Lasts | NotMoney


@dataclass(frozen=True)
class Rule:
    """A line for which all of `conditions` hold is of this kind, where no rule before it says otherwise. why : in words."""

    kind: ChargeKind
    treatment: Treatment
    conditions: tuple[Condition, ...]
    why: str


SEATS = ("seat", "seats", "licence", "licences", "license", "licenses", "subscription", "subscriptions", "user", "users", "member", "members")
"""Words in a unit or a kind of resource that speak of seats and licences."""
VIRTUAL_UNITS = ("token", "tokens", "credit", "credits", "coin", "coins", "point", "points")
"""Units of prepaid virtual currencies. Language models are *metered* in tokens too, so only a purchase is judged by them."""

_USAGE = Is(focus.CHARGE_CATEGORY, ("Usage",))
_PURCHASE = Is(focus.CHARGE_CATEGORY, ("Purchase",))
_ADJUSTMENT = Is(focus.CHARGE_CATEGORY, ("Adjustment",))
_CREDIT = Is(focus.CHARGE_CATEGORY, ("Credit",))
_CORRECTION = Is(CHARGE_CLASS, ("Correction",))
_ONE_TIME = Is(CHARGE_FREQUENCY, ("One-Time",))
_RECURRING = Is(CHARGE_FREQUENCY, ("Recurring",))
_UNUSED = Speaks(CHARGE_DESCRIPTION, ("unused", "shortfall"))
_REFUND = Speaks(CHARGE_DESCRIPTION, ("refund", "refunded", "reimbursement", "chargeback"))
_UNIT_OF_SEATS = Speaks(PRICING_UNIT, SEATS)

RULES: tuple[Rule, ...] = (
    Rule("correction", "one_off", (_CORRECTION, Lasts(1)), "a lump for more than a day cannot be laid to days"),
    Rule("correction", "learn", (_CORRECTION, _USAGE), "puts right the day that it is about"),
    Rule("correction", "one_off", (_CORRECTION,), "corrects an invoice that is closed"),
    Rule("tax", "learn", (Is(focus.CHARGE_CATEGORY, ("Tax",)),), "follows what is billed; month-ends are found by `recurring.py`"),
    Rule("refund", "one_off", (_CREDIT, _REFUND), "money that comes back once"),
    Rule("credit", "one_off", (_CREDIT, _ONE_TIME), "a promotion or grant that ends"),
    Rule("credit", "learn", (_CREDIT,), "a discount that goes on as usage does"),
    Rule("refund", "one_off", (_ADJUSTMENT, Negative()), "money that comes back once"),
    Rule("refund", "one_off", (_PURCHASE, Negative()), "a purchase given back"),
    Rule("refund", "one_off", (Negative(), _REFUND), "money that comes back once"),
    Rule("one_time", "one_off", (_ADJUSTMENT,), "added after the fact"),
    Rule("commitment_unused", "learn", (Is(COMMITMENT_STATUS, ("Unused",)),), "paid for and not used, day by day"),
    Rule("commitment_unused", "learn", (Is(RESERVATION_STATUS, ("Unused",)),), "capacity kept and not used, day by day"),
    Rule("commitment_unused", "one_off", (_ONE_TIME, _UNUSED), "a true-up of an agreement"),
    Rule("virtual_currency", "learn", (_USAGE, NotMoney(PRICING_CURRENCY), Given(PRICING_CURRENCY)), "use paid in a virtual currency"),
    Rule("commitment_fee", "scheduled", (_PURCHASE, Given(COMMITMENT_ID), _RECURRING), "the same every month until the term ends"),
    Rule("commitment_purchase", "scheduled", (_PURCHASE, Given(COMMITMENT_ID), Lasts(31)), "a commitment paid upfront, up for renewal at its end"),
    Rule("commitment_purchase", "one_off", (_PURCHASE, Given(COMMITMENT_ID)), "a commitment paid upfront, for a term that nobody says"),
    Rule("virtual_currency", "one_off", (_PURCHASE, Speaks(PRICING_UNIT, VIRTUAL_UNITS)), "tokens or credits bought, used up later"),
    Rule("subscription", "scheduled", (_PURCHASE, _RECURRING), "a licence that renews"),
    Rule("commitment_purchase", "scheduled", (_PURCHASE, Prepaid(), Lasts(31)), "an agreement paid upfront, used up on other lines"),
    Rule("subscription", "scheduled", (_PURCHASE, Lasts(31)), "a term that may be renewed at its end"),
    Rule("one_time", "one_off", (_PURCHASE,), "bought once"),
    Rule("subscription", "scheduled", (_USAGE, _UNIT_OF_SEATS), "seats in use: constant but for hires"),
    Rule("subscription", "scheduled", (_USAGE, _RECURRING), "a fee by its own word"),
    Rule("one_time", "one_off", (_USAGE, _ONE_TIME), "a campaign or a service invoiced once"),
    Rule("usage", "learn", (_USAGE,), "metered"),
)
"""In order. What no rule names is `other`, and learnt: a level that is not understood is still a level."""

COLUMNS: tuple[str, ...] = (
    focus.CHARGE_CATEGORY,
    CHARGE_CLASS,
    CHARGE_DESCRIPTION,
    CHARGE_FREQUENCY,
    COMMITMENT_ID,
    COMMITMENT_STATUS,
    RESERVATION_STATUS,
    PRICING_CURRENCY,
    PRICING_UNIT,
    focus.BILLING_CURRENCY,
    focus.BILLED_COST,
    focus.EFFECTIVE_COST,
    focus.CHARGE_START,
    focus.CHARGE_END,
)
"""What the rules read of a line."""

ITEM_COLUMNS: tuple[str, ...] = (COMMITMENT_ID, focus.RESOURCE_ID, focus.SKU_ID, CHARGE_DESCRIPTION)
"""What a recurring item is known by, in order of preference: a commitment, a resource, a SKU, the words of the invoice."""


def number_sql(rules: Sequence[Rule] = RULES, table: str = "") -> str:
    """SQL of the number of the first rule that holds, from 1; 0 where none does. table : alias of the lines, where they have one.

    Kind and treatment of a line are both read off it, so rules are tried once for the two.
    """
    cases = " ".join(f"WHEN {' AND '.join(_sql(one, table) for one in rule.conditions)} THEN {place}" for place, rule in enumerate(rules, start=1))
    return f"CAST(CASE {cases} ELSE 0 END AS UTINYINT)" if cases else "0"


def kind_of_number_sql(number: str, rules: Sequence[Rule] = RULES) -> str:
    """SQL of the `charge_kind` that the rule with this number names. number : SQL of what `number_sql` says."""
    return _chosen(number, ["other", *(rule.kind for rule in rules)])


def treatment_of_number_sql(number: str, rules: Sequence[Rule] = RULES) -> str:
    """SQL of the `treatment` that goes with the rule with this number."""
    return _chosen(number, ["learn", *(rule.treatment for rule in rules)])


def kind_sql(rules: Sequence[Rule] = RULES, table: str = "") -> str:
    """SQL of a line's `charge_kind`, from columns of the ledger (of `table`, where one is named)."""
    return kind_of_number_sql(number_sql(rules, table), rules)


def treatment_sql(rules: Sequence[Rule] = RULES, table: str = "") -> str:
    """SQL of a line's `treatment`; by the same rules as its kind."""
    return treatment_of_number_sql(number_sql(rules, table), rules)


def item_sql(table: str = "") -> str:
    """SQL of what a line's recurring item is known by within its leaf and kind; '' where a line names nothing."""
    return f"coalesce({', '.join(f'''nullif(trim({_column(name, table)}), '')''' for name in ITEM_COLUMNS)}, '')"


def _chosen(number: str, names: Sequence[str]) -> str:
    """SQL of the name in the place of a number that counts from 0."""
    return f"(CAST([{', '.join(map(_text, names))}] AS VARCHAR[]))[{number} + 1]"


def _sql(condition: Condition, table: str) -> str:
    """A condition as SQL; where it is null it does not hold, as in any CASE. Functions of texts are what costs, so most lines are spared them."""
    billed, effective = _column(focus.BILLED_COST, table), _column(focus.EFFECTIVE_COST, table)
    match condition:
        case Is(column, values):
            spelled = dict.fromkeys(text for value in values for text in (value, value.lower(), value.upper()))
            return f"{_column(column, table)} IN ({', '.join(map(_text, spelled))})"
        case Given(column):
            return f"trim({_column(column, table)}) <> ''"
        case Speaks(column, words):
            return f"regexp_matches({_column(column, table)}, {_text('(^|[^a-z])(' + '|'.join(words) + ')([^a-z]|$)')}, 'i')"
        case Negative():
            return f"(least({billed}, {effective}) < 0 AND greatest({billed}, {effective}) <= 0)"
        case Prepaid():
            return f"({billed} <> 0 AND {effective} = 0)"
        case Lasts(days):
            return f"({_column(focus.CHARGE_END, table)} - {_column(focus.CHARGE_START, table)} > INTERVAL {int(days)} DAY)"
        case NotMoney(column):
            name = _column(column, table)
            codes = ", ".join(map(_text, sorted(CURRENCIES)))
            return f"({name} IS DISTINCT FROM {_column(focus.BILLING_CURRENCY, table)} AND upper(trim({name})) NOT IN ({codes}))"


def _column(name: str, table: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    return f"{table}.{quoted}" if table else quoted


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
