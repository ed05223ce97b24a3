"""Which response a metered item has, from what its bill calls it and counts it in.

The first rule that fits stands: what is kept (storage, seats, commitments, hardware by the day) does not follow usage, machines that run by the hour
follow it in whole machines, all else follows it in proportion. What a bill gives no unit for is unknown: a driver's relation says how it follows,
if there is one. Electricity follows by a power below 1.
"""

from __future__ import annotations

import re

from forecast.scenarios.responses import ELASTIC, FIXED, MEASURED, STEPS

_KEPT = re.compile(
    r"\bstor(age|ed)\b|\bsnapshots?\b|\bbackups?\b|\bretention\b|\bdisks?\b|\bcommit(ment|ted)?\b|\breserv(ed|ation)s?\b|\bunused\b|\bupfront\b"
    r"|\bseats?\b|\blicen[cs]es?\b|\bsubscriptions?\b|\bsupport\b|\bdepreciation\b|\bip address(es)?\b"
)
_KEPT_UNITS = re.compile(
    r"\b(gb|gib|tb|tib)[- ]?(hours?|hrs?|mo|months?|days?)\b|\b(users?|seats?|licen[cs]es?|nodes?|racks?)[- ](months?|mo|days?)\b"
)
_ENERGY = re.compile(r"(k|m)?w[- ]?h(ours?|rs?)?|(kilo|mega)?watt[- ]?hours?")
_MACHINES = re.compile(
    r"\b(instances?|gpus?|machines?|nodes?|hosting|endpoints?|servers?|vms?|boxusage|compute|accelerators?|tpus?|clusters?|provisioned|dedicated|replicas?)\b"
)
_HOURS = re.compile(r"\b(hours?|hrs?|hour|h)\b")


def response_of(meter: str, unit: str) -> int:
    """One of `responses.NAMES`, by number."""
    name, counted = (re.sub(r"[_\-/:]+", " ", re.sub(r"([a-z])([A-Z])", r"\1 \2", text)).lower() for text in (meter, unit))
    if _KEPT.search(name) or _KEPT_UNITS.search(counted) or _KEPT_UNITS.search(unit.lower()):
        return FIXED
    if is_machine_hours(meter, unit):
        return STEPS
    return MEASURED if not unit or is_energy(unit) else ELASTIC


def is_machine_hours(meter: str, unit: str) -> bool:
    """Whether hours of machines are counted, so that cost ÷ hours is what a machine costs."""
    name = re.sub(r"[_\-/:]+", " ", meter).lower()
    return bool(_HOURS.search(re.sub(r"[_\-/]+", " ", unit).lower()) and _MACHINES.search(name))


def is_energy(unit: str) -> bool:
    """Whether electricity is counted: machines draw it when they are idle too."""
    return bool(_ENERGY.fullmatch(unit.strip().lower()))
