"""What a token costs at the place that work moves to, against what it costs where it is: as billed, else as listed.

Each kind of token (in, from a cache, out) is compared with its like, weighted by what is used of it: a model that is cheap in and dear out is
not the same bargain for long answers as for long prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import cast

from forecast.scenarios.metered import CACHED, INPUT, OUTPUT, TOKEN_KINDS, Items
from forecast.scenarios.world import World
from forecast.spend.prices import PriceTable

PRICED = frozenset({"provider", "service", "region", "ai_model", "sku", "meter", "resource"})
"""Dimensions on which a price may hang; work that moves between others (teams, projects) costs what it cost."""

COMPARED = frozenset({"provider", "service", "ai_model"})
"""Those of which prices can be told apart here."""

LEAST_COMPARED = 0.5
"""Part of the moved money that must have a price at both places for their ratio to be told."""

Quote = Callable[[str, str], float | None]
"""(AI model, kind of token) → price of one token."""


@dataclass(frozen=True)
class PriceRatio:
    """value : price there ÷ price here. source : in words, where it is from. compared : part of the moved money that it was told from."""

    value: float
    source: str
    compared: float = 1.0


def price_ratio(here: Items, there: Items, ai_model: str | None, world: World) -> PriceRatio | None:
    """The ratio for the tokens used `here`; None where too little of it has a price at both places.

    there : what is billed at the place it moves to. ai_model : that it moves to, None where it stays.
    """
    used = here.of(TOKEN_KINDS).prices()
    paid = {key: cost / quantity for key, (quantity, cost) in used.items()}
    billed = {key: cost / quantity for key, (quantity, cost) in there.of(TOKEN_KINDS).prices().items()}
    now: Quote = lambda model, kind: paid[model, kind]  # noqa: E731
    found = _ratio(used, now, _kinds(lambda model, kind: billed.get((ai_model or model, kind))), "as billed")
    if found is not None:
        return found
    if ai_model is None:
        usual = {kind: there.of({kind}).price for kind in TOKEN_KINDS}
        return _ratio(used, now, _kinds(lambda _, kind: usual[kind]), "as its AI models are billed on average")
    if world.prices is None or not world.n_days:
        return None
    table, day = world.prices, cast(date, world.days[0].astype("datetime64[D]").item())
    listed = _kinds(lambda model, kind: list_price(table, model, kind, day, world.currency))
    at = _kinds(lambda _, kind: list_price(table, ai_model, kind, day, world.currency))
    # Like with like: list prices of both, so that an agreed discount does not look like a dear model; else what is paid here.
    return _ratio(used, listed, at, "as listed") or _ratio(used, now, at, "listed there, billed here")


def _ratio(used: Mapping[tuple[str, str], tuple[float, float]], here: Quote, there: Quote, source: str) -> PriceRatio | None:
    before = after = compared = 0.0
    for (model, kind), (quantity, cost) in used.items():
        now, then = here(model, kind), there(model, kind)
        if now is not None and then is not None:
            before, after, compared = before + quantity * now, after + quantity * then, compared + cost
    whole = sum(cost for _, cost in used.values())
    if before <= 0.0 or compared < LEAST_COMPARED * whole:
        return None
    return PriceRatio(after / before, source, compared / whole)


def _kinds(quote: Quote) -> Quote:
    """Tokens from a cache cost what others cost where there is no price of their own."""

    def with_caches(model: str, kind: str) -> float | None:
        found = quote(model, kind)
        return quote(model, INPUT) if found is None and kind == CACHED else found

    return with_caches


def list_price(table: PriceTable, ai_model: str, kind: str, day: date, currency: str) -> float | None:
    """List price of one token of an AI model on a day, at the first provider that lists it in this currency; None where none does."""
    for provider in dict.fromkeys(entry.provider for entry in table.entries):
        found = table.find(provider, ai_model, kind, "Tokens", day)
        if found is not None and found.currency == currency:
            return float(found.of_one)
    return None


def provider_of(table: PriceTable, ai_model: str, day: date) -> str | None:
    """The first provider that lists tokens of an AI model on a day."""
    providers = dict.fromkeys(entry.provider for entry in table.entries)
    return next((name for name in providers for kind in (INPUT, OUTPUT) if table.find(name, ai_model, kind, "Tokens", day)), None)
