"""What a bill calls an item and counts it in says how its cost follows usage."""

from __future__ import annotations

import pytest

from forecast.scenarios.response_rules import is_energy, is_machine_hours, response_of
from forecast.scenarios.responses import ELASTIC, FIXED, MEASURED, STEPS


@pytest.mark.parametrize(
    ("meter", "unit", "expected"),
    [
        ("Input Tokens", "Tokens", ELASTIC),
        ("Cached Input Tokens", "1M Tokens", ELASTIC),
        ("Read Units", "Read Units", ELASTIC),
        ("Data Transfer Out", "GB", ELASTIC),
        ("Processing", "Hours", ELASTIC),
        ("Instance Hours", "Hours", STEPS),
        ("BoxUsage:p5.48xlarge", "Hrs", STEPS),
        ("Hosting", "Hours", STEPS),
        ("GPU Node", "1 Hour", STEPS),
        ("Storage", "GB-Hours", FIXED),
        ("TimedStorage-ByteHrs", "GB-Mo", FIXED),
        ("Commitment", "USD", FIXED),
        ("Reserved Instance Fee", "Hours", FIXED),
        ("Business Seats", "user-months", FIXED),
        ("Node Days", "Node-Days", FIXED),
        ("Energy", "kWh", MEASURED),
        ("(none)", "", MEASURED),
    ],
)
def test_meters_and_units(meter: str, unit: str, expected: int) -> None:
    assert response_of(meter, unit) == expected


def test_hours_of_machines_and_energy_are_told_apart() -> None:
    assert is_machine_hours("Spot Instance Hours", "Hours")
    assert not is_machine_hours("Audio transcription", "Hours")
    assert is_energy(" kWh ")
    assert not is_energy("GB-Hours")
