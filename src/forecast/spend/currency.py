"""Currencies: dated exchange rates, exact conversion, and splitting money without losing any.

A bill stays in the currency in which it was billed. Conversion happens when a question is asked, charge by charge, by the
newest rate on or before the charge's day; rates are exact fractions and nothing is rounded before the end. A rate that is
missing is an error: taking 1.0 in its place would turn 100 yen into 100 dollars.
"""

from __future__ import annotations

import datetime as dt
import difflib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

from forecast.errors import InputError, SpendDataError

_CODES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLF CLP CNH CNY COP CRC CUP
    CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS
    KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB
    PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS
    UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES: frozenset[str] = frozenset(_CODES.split())
"""Codes of ISO 4217 that money is paid in, and CNH. Metals, funds and test codes are not money; tokens and credits have a price, not a rate."""

_CODES_BY_PLACES: Mapping[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF",
}
_PLACES: Mapping[str, int] = {code: places for places, codes in _CODES_BY_PLACES.items() for code in codes.split()}

MOST_PLACES = 18
"""Decimals that a rate may have."""
MOST = Decimal(10) ** 9
"""A rate this large is taken for a mistake; so is its inverse."""
MAX_AGE_DAYS = 7
"""A rate that is older than this is no rate: long enough for a weekend with holidays, too short to miss a month."""


def places_of(currency: str) -> int:
    """Decimals of the smallest unit: 2 for USD, 0 for JPY, 3 for KWD."""
    return _PLACES.get(check_currency(currency), 2)


def check_currency(code: str, field: str = "currency") -> str:
    """The code in capitals. Raises InputError for one that is not in `CURRENCIES`, with the nearest that are."""
    plain = code.strip().upper() if isinstance(code, str) else ""
    if plain not in CURRENCIES:
        near = ", ".join(difflib.get_close_matches(plain, sorted(CURRENCIES), 3, 0.5)) or "USD, EUR, GBP"
        raise InputError(f"{field} is not a currency: got {code!r}, allowed are ISO 4217 codes such as {near}", field=field, got=code, allowed=near)
    return plain


@dataclass(frozen=True, order=True)
class DatedRate:
    """One unit of `base_currency` (source) is `rate` units of `quote_currency` from `day` on. source : who said so."""

    base_currency: str
    quote_currency: str
    day: dt.date
    rate: Decimal
    source: str = ""


@dataclass(frozen=True)
class Quote:
    """What one unit of a currency is in another on a day. rate : exact. day : of the rate, not of the question; of the older leg of a cross rate."""

    rate: Fraction
    day: dt.date
    source: str
    way: str

    @property
    def decimal(self) -> Decimal:
        """The rate with at most 18 decimals, as answers show it."""
        return rounded(self.rate, MOST_PLACES).normalize()


@dataclass(frozen=True)
class RatesUsed:
    """What an answer shows of the rates behind it: pair, days of the first and last charge, smallest and largest rate, and who said so.

    oldest_rate, newest_rate : days of the rates, not of the charges. oldest_in_days : the most days that a rate was older than its charge.
    """

    from_currency: str
    to_currency: str
    first_day: dt.date
    last_day: dt.date
    lowest: Decimal
    highest: Decimal
    oldest_rate: dt.date
    newest_rate: dt.date
    oldest_in_days: int
    source: str
    way: str

    @property
    def sentence(self) -> str:
        """`1 EUR is 1.0834 to 1.0871 USD (rates of 2026-02-20 to 2026-02-23, central bank; charges of 2026-02-20 to 2026-02-25)`."""
        amounts = dict.fromkeys(format(amount, "f") for amount in (self.lowest, self.highest))
        days = dict.fromkeys(day.isoformat() for day in (self.oldest_rate, self.newest_rate))
        charged = dict.fromkeys(day.isoformat() for day in (self.first_day, self.last_day))
        about = ", ".join(part for part in (" to ".join(days), "" if self.way == "quoted" else self.way, self.source) if part)
        return f"1 {self.from_currency} is {' to '.join(amounts)} {self.to_currency} (rates of {about}; charges of {' to '.join(charged)})"

    def as_json(self) -> dict[str, str | int]:
        """Plain values; rates as decimal text, because a float would not be the rate that was used."""
        return {
            "from": self.from_currency,
            "to": self.to_currency,
            "first_day": self.first_day.isoformat(),
            "last_day": self.last_day.isoformat(),
            "lowest": format(self.lowest, "f"),
            "highest": format(self.highest, "f"),
            "oldest_rate": self.oldest_rate.isoformat(),
            "newest_rate": self.newest_rate.isoformat(),
            "oldest_in_days": self.oldest_in_days,
            "source": self.source,
            "way": self.way,
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class Step:
    """A rate that holds for charges of the days from `first` to `last`, both included."""

    first: dt.date
    last: dt.date
    quote: Quote


@dataclass(frozen=True)
class Rates:
    """A table of dated rates, and which rates may be made from it.

    rows : as given; `Rates.of` checks them. inverse : a pair that is quoted the other way round may be turned round. base : currency over
    which two quoted pairs may be joined to a cross rate; None allows none. max_age_days : how old a rate may be on the charge's day.

    A pair has one way for all days: quoted, else turned round, else over the base. Answers name it.
    """

    rows: tuple[DatedRate, ...]
    inverse: bool = False
    base: str | None = None
    max_age_days: int = MAX_AGE_DAYS

    @classmethod
    def of(cls, rows: Iterable[DatedRate], *, inverse: bool = False, base: str | None = None, max_age_days: int = MAX_AGE_DAYS) -> Rates:
        """Checked: known currencies, positive finite rates of at most 18 decimals, one rate a pair and day.

        Raises InputError for a code or an option, SpendDataError for rows that cannot be or contradict each other.
        """
        if isinstance(max_age_days, bool) or not isinstance(max_age_days, int) or not 0 <= max_age_days <= 366:
            message = f"max_age_days is not usable: got {max_age_days!r}, allowed are whole days from 0 to 366"
            raise InputError(message, field="max_age_days", got=max_age_days, allowed="0 to 366")
        checked = tuple(sorted(_checked(row) for row in rows))
        for one, other in pairwise(checked):
            if _key(one) == _key(other):
                message = f"{one.base_currency}→{one.quote_currency} has two rates for {one.day}: {one.rate:f} and {other.rate:f}"
                raise SpendDataError(message, field="rate", got=[str(one.rate), str(other.rate)], allowed="one rate a pair and day")
        found = cls(checked, bool(inverse), None if base is None else check_currency(base, "base"), max_age_days)
        both = next((pair for pair in found._quoted if inverse and pair[::-1] in found._quoted), None)
        if both:
            message = f"{both[0]}→{both[1]} is quoted in both directions, so that turning one round would contradict the other"
            raise SpendDataError(message, field="inverse", got=True, allowed="inverse = false, or one direction a pair")
        return found

    @cached_property
    def _quoted(self) -> dict[tuple[str, str], tuple[list[dt.date], list[DatedRate]]]:
        found: dict[tuple[str, str], tuple[list[dt.date], list[DatedRate]]] = {}
        for row in self.rows:
            days, rows = found.setdefault((row.base_currency, row.quote_currency), ([], []))
            days.append(row.day)
            rows.append(row)
        return found

    @property
    def currencies(self) -> tuple[str, ...]:
        """All currencies that the table names, sorted."""
        return tuple(sorted({code for pair in self._quoted for code in pair}))

    def rate(self, from_currency: str, to_currency: str, day: dt.date) -> Quote:
        """The newest rate on or before `day`; exactly 1 for a currency in itself.

        Raises InputError for an unknown currency, SpendDataError where there is no rate that is fresh enough: never 1.0 instead.
        """
        source, target = check_currency(from_currency, "from"), check_currency(to_currency, "to")
        if source == target:
            return Quote(Fraction(1), day, "", "same")
        legs, way = self._legs(source, target)
        return _joined([self._leg(*leg, day, f"{source}→{target}") for leg in legs], way)

    def convert(self, amount: Decimal, from_currency: str, to_currency: str, day: dt.date, places: int = 12) -> Decimal:
        """`amount` in another currency, rounded once, half away from zero; 12 decimals are the ledger's."""
        return rounded(Fraction(amount) * self.rate(from_currency, to_currency, day).rate, places)

    def steps(self, from_currency: str, to_currency: str) -> tuple[Step, ...]:
        """The rates of a pair as stretches of days in order; days between them, and before the first, have none."""
        legs, way = self._legs(check_currency(from_currency, "from"), check_currency(to_currency, "to"))
        days = sorted({day for leg in legs for day in self._quoted[leg[:2]][0]})
        ends = [*(day - dt.timedelta(days=1) for day in days[1:]), dt.date.max]
        found: list[Step] = []
        for first, end in zip(days, ends, strict=True):
            rows = [self._newest(*leg[:2], first) for leg in legs]
            if any(row is None for row in rows):
                continue
            last = min(end, *(row.day + dt.timedelta(days=self.max_age_days) for row in rows if row))
            if last >= first:
                quote = _joined([_quote(row, turned) for row, (_, _, turned) in zip(rows, legs, strict=True) if row], way)
                found.append(Step(first, last, quote))
        return tuple(found)

    def used(self, from_currency: str, to_currency: str, days: Iterable[dt.date]) -> RatesUsed:
        """What an answer about charges of these days shows. Raises as `rate` does, for the first day that has none."""
        asked = sorted(set(days))
        if not asked:
            raise InputError("No days to convert", field="days", got=[], allowed="at least one day")
        quotes = [self.rate(from_currency, to_currency, day) for day in asked]
        sources = dict.fromkeys(name for quote in quotes for name in quote.source.split("; ") if name)
        return RatesUsed(
            check_currency(from_currency),
            check_currency(to_currency),
            asked[0],
            asked[-1],
            min(quote.decimal for quote in quotes),
            max(quote.decimal for quote in quotes),
            min(quote.day for quote in quotes),
            max(quote.day for quote in quotes),
            max((day - quote.day).days for day, quote in zip(asked, quotes, strict=True)),
            "; ".join(sources),
            quotes[0].way,
        )

    def _legs(self, source: str, target: str) -> tuple[list[tuple[str, str, bool]], str]:
        """The quoted pairs that the rate is made of, each with whether it is turned round, and the way in words."""
        direct = self._pair(source, target)
        if direct:
            return [direct], "inverse" if direct[2] else "quoted"
        if self.base and self.base not in (source, target):
            first, second = self._pair(source, self.base), self._pair(self.base, target)
            if first and second:
                return [first, second], f"over {self.base}"
        known = ", ".join(f"{one}→{other}" for one, other in sorted(self._quoted)) or "none"
        turned = "pairs may be turned round" if self.inverse else "pairs may not be turned round (inverse = false)"
        over = f"joined over {self.base}" if self.base else "not joined (no base)"
        message = f"no rate {source}→{target}: the table has {known}; {turned} and {over}"
        raise SpendDataError(message, field="rates", got=f"{source}→{target}", allowed=known)

    def _pair(self, source: str, target: str) -> tuple[str, str, bool] | None:
        if (source, target) in self._quoted:
            return source, target, False
        return (target, source, True) if self.inverse and (target, source) in self._quoted else None

    def _newest(self, base_currency: str, quote_currency: str, day: dt.date) -> DatedRate | None:
        days, rows = self._quoted[base_currency, quote_currency]
        place = bisect_right(days, day)
        return rows[place - 1] if place else None

    def _leg(self, base_currency: str, quote_currency: str, turned: bool, day: dt.date, pair: str) -> Quote:
        row = self._newest(base_currency, quote_currency, day)
        if row is None or (day - row.day).days > self.max_age_days:
            first = self._quoted[base_currency, quote_currency][0][0]
            near = f"the first of {base_currency}→{quote_currency} is of {first}" if row is None else f"newest is {row.day}"
            message = f"no rate {pair} for {day}: {near}, and at most {self.max_age_days} days old is allowed"
            raise SpendDataError(message, field="rates", got=day.isoformat(), allowed=f"a rate at most {self.max_age_days} days old")
        return _quote(row, turned)


def rounded(amount: Decimal | Fraction, places: int) -> Decimal:
    """`amount` to so many decimals, half away from zero, whatever its size: as DuckDB casts decimals."""
    exact = Fraction(amount) * 10**places
    units = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return _decimal(units if exact >= 0 else -units, places)


def allocate(amount: Decimal, weights: Sequence[Decimal | Fraction | int], places: int = 2) -> list[Decimal]:
    """`amount` split in proportion to `weights`, each part with `places` decimals; the parts add up to `amount` to the last unit.

    Largest remainder: each part is rounded down (towards zero), the units left over go to the largest remainders, the earlier first where
    they are equal. An amount may be negative. Weights are not negative and not all zero; a weight of zero gets nothing.
    Raises InputError otherwise, and for an amount that has more decimals than the parts may have.
    """
    exact = Fraction(amount) * 10**places if isinstance(amount, Decimal) and amount.is_finite() else None
    if exact is None or exact.denominator != 1:
        message = f"amount cannot be split into units of 10^-{places}: got {amount!r}, allowed is a finite Decimal of at most {places} decimals"
        raise InputError(message, field="amount", got=str(amount), allowed=f"at most {places} decimals")
    if not all(_is_weight(weight) for weight in weights) or not any(weights):
        message = f"weights are not usable: got {[str(weight) for weight in weights]}, allowed are exact numbers of 0 or more, not all 0"
        raise InputError(message, field="weights", got=[str(weight) for weight in weights], allowed="0 or more, not all 0")
    shares = [Fraction(weight) for weight in weights]
    units, total = abs(exact.numerator), sum(shares)
    parts = [share * units / total for share in shares]
    whole = [part.numerator // part.denominator for part in parts]
    order = sorted(range(len(parts)), key=lambda place: (whole[place] - parts[place], place))
    for place in order[: units - sum(whole)]:
        whole[place] += 1
    return [_decimal(part if exact >= 0 else -part, places) for part in whole]


def _is_weight(weight: object) -> bool:
    if isinstance(weight, Decimal):
        return weight.is_finite() and weight >= 0
    return isinstance(weight, int | Fraction) and not isinstance(weight, bool) and weight >= 0


def _decimal(units: int, places: int) -> Decimal:
    """units · 10^-places, without the arithmetic context's rounding."""
    return Decimal((0 if units >= 0 else 1, tuple(map(int, str(abs(units)))), -places))


def _key(row: DatedRate) -> tuple[str, str, dt.date]:
    return row.base_currency, row.quote_currency, row.day


def _checked(row: DatedRate) -> DatedRate:
    source, target = check_currency(row.base_currency, "from"), check_currency(row.quote_currency, "to")
    where = f"{source}→{target} on {row.day}"
    if source == target:
        raise SpendDataError(f"{where} is a rate of a currency in itself", field="to", got=target, allowed="another currency")
    if not isinstance(row.day, dt.date) or isinstance(row.day, dt.datetime):
        raise SpendDataError(f"{where}: not a day", field="date", got=str(row.day), allowed="YYYY-MM-DD")
    try:
        rate = Decimal(row.rate)
    except (InvalidOperation, TypeError, ValueError):
        rate = Decimal("NaN")
    fine = isinstance(row.rate, Decimal) and rate.is_finite() and 1 / MOST < rate < MOST
    exponent = rate.as_tuple().exponent
    if not fine or not isinstance(exponent, int) or exponent < -MOST_PLACES:
        allowed = f"an exact decimal between 10^-9 and 10^9 with at most {MOST_PLACES} decimals"
        raise SpendDataError(f"{where}: the rate {row.rate} is not usable, allowed is {allowed}", field="rate", got=str(row.rate), allowed=allowed)
    return DatedRate(source, target, row.day, rate, row.source)


def _quote(row: DatedRate, turned: bool) -> Quote:
    rate = Fraction(row.rate)
    return Quote(1 / rate if turned else rate, row.day, row.source, "inverse" if turned else "quoted")


def _joined(legs: Sequence[Quote], way: str) -> Quote:
    rate = Fraction(1)
    for leg in legs:
        rate *= leg.rate
    return Quote(rate, min(leg.day for leg in legs), "; ".join(dict.fromkeys(leg.source for leg in legs if leg.source)), way)
