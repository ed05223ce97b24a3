"""Kinds of levers on usage, prices and drivers, and on tokens."""

from __future__ import annotations

from forecast.scenarios.kind_fields import (
    AMOUNT,
    CHOICE,
    FACTOR,
    LARGEST_FACTOR,
    PERCENT,
    PLACE,
    SHARE,
    TEXT,
    YES,
    Field,
    Kind,
    amount_field,
    factor_field,
    share_field,
)

RESPONSES = ("elastic", "steps", "fixed")
_ELASTICITY = Field("elasticity", AMOUNT, "cost goes with usage to this power, in place of what is known of the spend", 0.0, 3.0, uncertain=True)
_RESPONSE = Field("response", CHOICE, "how cost follows usage, in place of what is known of the spend", choices=RESPONSES)

USAGE = (
    Kind(
        "scale_usage",
        "usage",
        "usage is multiplied; cost follows as each part of the spend does",
        (factor_field("2.0 doubles, 0.5 halves, 0 ends"), _ELASTICITY, _RESPONSE),
    ),
    Kind("change_price", "usage", "prices are multiplied", (factor_field("0.9 is a discount of 10 %", example=0.9),)),
    Kind(
        "scale_driver",
        "usage",
        "a driver (requests, users) is multiplied; spend follows by the measured relation, with its uncertainty",
        (
            Field("driver", TEXT, "name of a driver that the forecast knows", needed=True, example="requests"),
            factor_field("of the driver, over what is forecast of it"),
        ),
    ),
    Kind(
        "grow",
        "usage",
        "usage grows faster or slower than forecast",
        (
            Field(
                "percent_a_month",
                PERCENT,
                "growth on top of the forecast's, compounding by day",
                -100.0,
                1000.0,
                needed=True,
                uncertain=True,
                unit="%",
                example=5.0,
            ),
        ),
    ),
    Kind(
        "switch_off",
        "usage",
        "usage ends; what does not follow usage stays unless it is said to end too",
        (
            amount_field("exit_cost", "paid once, on the first day", "money", default=0.0),
            Field("keeps_fixed", YES, "licences, commitments and other fixed cost go on", default=True),
        ),
    ),
    Kind(
        "downsize",
        "usage",
        "smaller machines or fewer of them: running cost is multiplied",
        (Field("factor", SHARE, "0.6 leaves 60 % of the running cost", 0.0, 1.0, needed=True, uncertain=True, example=0.6),),
    ),
    Kind(
        "schedule",
        "usage",
        "what runs all the time only runs some hours of the week",
        (
            Field(
                "hours_a_week",
                AMOUNT,
                "hours that it still runs, spread over the days as they are now",
                0.0,
                168.0,
                uncertain=True,
                unit="hours",
                example=60.0,
            ),
            Field(
                "nights_and_weekends", YES, "off from 20 to 8 and on Saturdays and Sundays: 60 hours a week, none of them on a weekend", default=False
            ),
        ),
        ways=(("hours_a_week",), ("nights_and_weekends",)),
    ),
)

TOKENS = (
    Kind(
        "move_share",
        "tokens",
        "a share of the spend moves to another AI model, provider, region or way of paying",
        (
            Field("to", PLACE, "where it goes: what it names changes, the rest stays", needed=True, example="ai_model=gpt-4o-mini"),
            share_field("share", "part of the scope's spend that moves", needed=True),
            Field(
                "price_ratio",
                FACTOR,
                "price there ÷ price here; without it from the prices of both, as billed or listed",
                0.0,
                LARGEST_FACTOR,
                uncertain=True,
                example=0.1,
            ),
            Field("token_ratio", FACTOR, "tokens there ÷ tokens here for the same work", 0.0, 1000.0, 1.0, uncertain=True),
            share_field("retry_rate", "part of the moved work that is done again for want of quality", default=0.0),
        ),
    ),
    Kind(
        "tokens_per_request",
        "tokens",
        "requests stay, tokens of each are multiplied",
        (factor_field("0.7 is prompts and answers 30 % shorter", example=0.7),),
    ),
    Kind(
        "cache_hit_rate",
        "tokens",
        "a larger or smaller share of input tokens comes from a cache",
        (
            share_field("to", "share of input tokens from the cache", needed=True, example=0.6),
            share_field("from_share", "share now; without it as billed"),
            share_field("discount", "part of the price that a cached token saves; without it from the bill's own prices"),
        ),
    ),
    Kind(
        "batch_share",
        "tokens",
        "a share of the work is sent in batches at a discount",
        (
            share_field("to", "share of the work in batches", needed=True),
            share_field("from_share", "share now", default=0.0),
            share_field("discount", "part of the price that a batch saves", default=0.5),
        ),
    ),
)
