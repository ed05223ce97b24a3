"""Kinds of levers that bring what was not there: workloads, licences, people, money, currencies."""

from __future__ import annotations

from forecast.scenarios.kind_fields import (
    COUNT,
    CURRENCY,
    DAY,
    FACTOR,
    LARGEST_FACTOR,
    SCOPE,
    Field,
    Kind,
    amount_field,
    factor_field,
    money_field,
    share_field,
    target_field,
)

NEWCOMERS = (
    Kind(
        "new_workload",
        "newcomers",
        "a workload that was not there: like one that is, or from users × requests × tokens × price",
        (
            Field("like", SCOPE, "the spend that it resembles", example="workload=support-agent"),
            Field("scale", FACTOR, "size ÷ that spend", 0.0, LARGEST_FACTOR, 1.0, uncertain=True),
            amount_field("users", "who use it", "users", example=2000),
            amount_field("requests_a_user_a_day", "", "requests", example=6),
            amount_field("tokens_a_request", "in and out together", "tokens", example=1500),
            amount_field("price_a_million", "of a million of these tokens", "money", example=2.0),
            amount_field("input_tokens", "a request", "tokens", example=1200),
            amount_field("output_tokens", "a request", "tokens", example=300),
            amount_field("input_price", "of a million", "money", example=2.5),
            amount_field("output_price", "of a million", "money", example=10.0),
            target_field(needed=True),
        ),
        ways=(
            ("like", "scale"),
            ("users", "requests_a_user_a_day", "tokens_a_request", "price_a_million"),
            ("users", "requests_a_user_a_day", "input_tokens", "output_tokens", "input_price", "output_price"),
        ),
        scoped=False,
    ),
)

MONEY_KINDS = (
    Kind(
        "one_off",
        "money",
        "money once",
        (
            money_field("amount", "a cost, or negative: a credit", needed=True),
            Field("day", DAY, "the day; without it the lever's first"),
            target_field(),
        ),
        scoped=False,
    ),
    Kind(
        "licences",
        "money",
        "seats that come on top, or negative: that go",
        (
            Field("seats", COUNT, "seats", -1e7, 1e7, needed=True, uncertain=True, example=120),
            amount_field("price_a_month", "of a seat", "money", needed=True, example=30.0),
            target_field(),
        ),
        scoped=False,
    ),
    Kind(
        "people",
        "money",
        "people who come on top, or negative: who go",
        (
            Field("count", COUNT, "full-time people", -1e6, 1e6, needed=True, uncertain=True, example=2),
            amount_field("cost_a_month", "of one, all in", "money", needed=True, example=9000.0),
            target_field(),
        ),
        scoped=False,
    ),
    Kind(
        "currency",
        "money",
        "a currency gains or loses: spend billed in it costs more or less in the answer's",
        (
            Field("currency", CURRENCY, "that the spend is billed in", needed=True, example="EUR"),
            factor_field("1.1: it gains 10 %", example=1.1),
            share_field("share", "of the scope that is billed in it; without it as billed"),
        ),
    ),
)
