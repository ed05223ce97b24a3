"""The whole service in process: BentoML's application with all its middlewares on a home with a snapshot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forecast.config import Settings
from tests.serving.homes import TestClient, make_home, service_app


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_home(tmp_path_factory.mktemp("served") / "home")


@pytest.fixture(scope="session")
def client(home: Settings) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FORECAST_HOME", str(home.home))
        with TestClient(service_app()) as client:
            yield client
