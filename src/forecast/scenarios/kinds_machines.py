"""Kinds of levers on machines and on commitments."""

from __future__ import annotations

from forecast.scenarios.kind_fields import (
    AMOUNT,
    COUNT,
    DAYS,
    FACTOR,
    SCOPE,
    Field,
    Kind,
    amount_field,
    share_field,
    target_field,
)

GPUS = (
    Kind(
        "gpus",
        "gpus",
        "rented GPUs that come on top: count × hours × price",
        (
            Field(
                "count",
                COUNT,
                "GPUs or machines, as the price counts them; negative takes some away",
                -1e6,
                1e6,
                needed=True,
                uncertain=True,
                example=16,
            ),
            Field("hours_a_day", AMOUNT, "hours that each runs", 0.0, 24.0, 24.0, uncertain=True, unit="hours"),
            amount_field("price_an_hour", "of one", "money", example=2.5),
            Field("like", SCOPE, "or: at the price an hour of this spend", example="service=Compute Engine"),
            share_field("utilisation", "share of the hours that do work; says what an hour of work costs", default=1.0),
            target_field(),
        ),
        ways=(("price_an_hour",), ("like",)),
        scoped=False,
    ),
    Kind(
        "spot_share",
        "gpus",
        "a share of the machine hours is bought as spot capacity",
        (
            share_field("to", "share of the hours on spot", needed=True),
            share_field("from_share", "share now; without it as billed"),
            share_field("discount", "part of the price that spot saves", needed=True, example=0.6),
            share_field("interruption_overhead", "hours that interruptions cost again, as a share of spot hours", default=0.05),
        ),
    ),
    Kind(
        "own_hardware",
        "gpus",
        "hardware is bought in place of renting the scope's machines",
        (
            amount_field("purchase", "price of all of it", "money", needed=True, example=2_000_000),
            Field("months", DAYS, "over which it is written off", 1, 240, needed=True, unit="months", example=48),
            amount_field("kilowatts", "power of all of it under load", "kW", needed=True, example=80),
            amount_field("price_a_kwh", "of electricity", "money", needed=True, example=0.18),
            Field("hours_a_day", AMOUNT, "under load", 0.0, 24.0, 24.0, uncertain=True, unit="hours"),
            Field("pue", FACTOR, "power of the building ÷ power of the machines", 1.0, 5.0, 1.3, uncertain=True),
            amount_field("staff", "people and space, a month", "money", default=0.0),
            share_field("replaces", "share of the scope's running cost that ends", default=1.0),
            target_field(),
        ),
    ),
)

COMMITMENTS = (
    Kind(
        "commit",
        "commitments",
        "a commitment is bought: what it covers is cheaper, what is not used is paid too",
        (
            amount_field("a_day", "committed, at the committed price", "money a day", example=5000),
            amount_field("a_month", "committed, at the committed price", "money a month", example=150_000),
            share_field("share_of_usage", "committed, of what the scope costs lately at list price"),
            share_field("discount", "part of the price that the commitment saves", needed=True, example=0.3),
            amount_field("upfront", "paid on the first day; the rest day by day", "money", default=0.0),
            Field("term_days", DAYS, "how long it binds, beyond the lever's days too", 1, 3660, 365, unit="days"),
            target_field(),
        ),
        ways=(("a_day",), ("a_month",), ("share_of_usage",)),
    ),
    Kind(
        "minimum_fee",
        "commitments",
        "what the scope costs in a month is raised to a minimum",
        (amount_field("a_month", "the least that is paid", "money a month", needed=True, example=50_000), target_field()),
    ),
)
