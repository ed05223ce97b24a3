"""Noise that hangs on a charge and not on the order in which charges are drawn.

Hours of a day, lateness and corrections are decided for one charge after another, and incidents add and remove charges. Each decision
is therefore a hash of who is concerned and when, so that the decisions about all other charges stay as they were.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.company.span import Floats, Integers

Cells = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_IDENTITY = (
    "provider_name", "billing_account_id", "sub_account_id", "service_name", "region_id", "resource_id", "sku_price_id",
    "charge_category", "charge_description", "pricing_category", "commitment_discount_status",
)  # fmt: skip
"""What tells one line from another for as long as it lives; tags may be lost and found."""


def mixed(cell: Cells) -> Cells:
    """Each number as a hash of 64 bits, one to one: the finaliser of SplitMix64."""
    found = cell * _GOLDEN
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(factor)
    found ^= found >> np.uint64(31)
    return np.asarray(found, dtype=np.uint64)


def uniform(cell: Cells, rng: np.random.Generator) -> Floats:
    """Uniform noise in [0, 1) that depends on the cell's number and the generator alone, whichever other cells there are."""
    salted = mixed(cell + rng.integers(0, 2**62, dtype=np.uint64))
    return np.asarray((salted >> np.uint64(11)).astype(np.float64) / float(1 << 53))


def identities(attributes: pd.DataFrame) -> Cells:
    """(lines,) a number that names each line for ever, and no other; lines that are alike in everything are told apart by order."""
    return _numbers(attributes, _IDENTITY)


def resources(attributes: pd.DataFrame) -> Cells:
    """(lines,) a number for the resource of each line; all lines of a resource have the same."""
    text = _text(attributes, ("provider_name", "resource_id"))
    return pd.util.hash_array(text, categorize=False)


def at(cell: Cells, when: npt.NDArray[np.datetime64] | Integers) -> Cells:
    """The cells of charges at moments; both (n,)."""
    return mixed(cell ^ mixed(np.asarray(when).astype(np.int64).astype(np.uint64)))


def _numbers(attributes: pd.DataFrame, names: tuple[str, ...]) -> Cells:
    text = pd.Series(_text(attributes, names))
    again = text.groupby(text, sort=False).cumcount()
    return pd.util.hash_array((text + "\x1f" + again.astype("str")).to_numpy(dtype=object), categorize=False)


def _text(attributes: pd.DataFrame, names: tuple[str, ...]) -> npt.NDArray[np.object_]:
    columns = [attributes[name].astype("str").fillna("").tolist() for name in names]
    return np.array(["\x1f".join(values) for values in zip(*columns, strict=True)], dtype=object)
