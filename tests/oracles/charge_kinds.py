"""Slow twin of `forecast.spend.charges`: the kind of one charge, as a person would read it off the invoice. Imports nothing of the package."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

SEATS = {"seat", "seats", "licence", "licences", "license", "licenses", "subscription", "subscriptions", "user", "users", "member", "members"}
VIRTUAL = {"token", "tokens", "credit", "credits", "coin", "coins", "point", "points"}
REFUND = {"refund", "refunded", "reimbursement", "chargeback"}
SOME_MONEY = {"USD", "EUR", "GBP", "JPY", "KWD"}
"""The currencies that tests use; everything else that they use is none."""


def words(text: Any) -> set[str]:
    return set(re.findall(r"[a-z]+", str(text or "").lower()))


def says(value: Any) -> bool:
    return value is not None and str(value).strip() != ""


def same(value: Any, wanted: str) -> bool:
    return says(value) and str(value).strip().lower() == wanted.lower()


def kind_of(charge: dict[str, Any]) -> tuple[str, str]:
    """(kind, treatment) of a charge given as FOCUS columns."""
    category, frequency = charge["ChargeCategory"], charge["ChargeFrequency"]
    usage, purchase = same(category, "Usage"), same(category, "Purchase")
    once, again = same(frequency, "One-Time"), same(frequency, "Recurring")
    billed, effective = charge["BilledCost"], charge["EffectiveCost"]
    lasts: dt.timedelta = charge["ChargePeriodEnd"] - charge["ChargePeriodStart"]
    comes_back = billed <= 0 and effective <= 0 and (billed < 0 or effective < 0)
    of_refund = bool(words(charge["ChargeDescription"]) & REFUND)
    if same(charge["ChargeClass"], "Correction"):
        return "correction", "learn" if usage and lasts <= dt.timedelta(days=1) else "one_off"
    if same(category, "Tax"):
        return "tax", "learn"
    if same(category, "Credit"):
        if of_refund:
            return "refund", "one_off"
        return "credit", "one_off" if once else "learn"
    if comes_back and (same(category, "Adjustment") or purchase or of_refund):
        return "refund", "one_off"
    if same(category, "Adjustment"):
        return "one_time", "one_off"
    if same(charge["CommitmentDiscountStatus"], "Unused") or same(charge["CapacityReservationStatus"], "Unused"):
        return "commitment_unused", "learn"
    if once and words(charge["ChargeDescription"]) & {"unused", "shortfall"}:
        return "commitment_unused", "one_off"
    if purchase:
        return _purchase(charge, lasts, once=once, again=again)
    if usage:
        if says(charge["PricingCurrency"]) and str(charge["PricingCurrency"]).strip().upper() not in SOME_MONEY:
            return "virtual_currency", "learn"
        if words(charge["PricingUnit"]) & SEATS or again:
            return "subscription", "scheduled"
        return ("one_time", "one_off") if once else ("usage", "learn")
    return "other", "learn"


def _purchase(charge: dict[str, Any], lasts: dt.timedelta, *, once: bool, again: bool) -> tuple[str, str]:
    long = lasts > dt.timedelta(days=31)
    if says(charge["CommitmentDiscountId"]):
        if again:
            return "commitment_fee", "scheduled"
        return "commitment_purchase", "scheduled" if long else "one_off"
    if words(charge["PricingUnit"]) & VIRTUAL:
        return "virtual_currency", "one_off"
    if again:
        return "subscription", "scheduled"
    if long:
        prepaid = charge["BilledCost"] != 0 and charge["EffectiveCost"] == 0
        return ("commitment_purchase" if prepaid else "subscription"), "scheduled"
    return "one_time", "one_off"
