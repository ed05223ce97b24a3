"""One default company for the tests that only look at it."""

from __future__ import annotations

import pytest

from forecast.company.generate import Company, generate


@pytest.fixture(scope="package")
def company() -> Company:
    return generate(7)
