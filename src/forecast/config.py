"""Settings, read once by entry points from the environment (`FORECAST_*`) and from `forecast.toml` in the home folder.

The environment wins over the file. Secrets (a database password inside an address) come from the environment only and
are never printed: `describe` hides them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError, TomlConfigSettingsSource

from forecast.errors import ConfigError
from forecast.spend.dimensions import LEAF_DIMENSIONS


class Settings(BaseSettings):
    """Where state lives and how large a snapshot is. All paths default to places inside `home`."""

    model_config = SettingsConfigDict(env_prefix="FORECAST_", extra="forbid", frozen=True)

    home: Path = Field(default=Path(".forecast"), description="folder of all state")
    ledger: str | None = Field(default=None, description="folder or s3://, gs://, abfss:// address of the Delta table")
    records: str | None = Field(default=None, description="SQLAlchemy address of the records; PostgreSQL or SQLite")
    mlflow_tracking_uri: str | None = Field(default=None, description="MLflow tracking store or server")
    fiscal_start: int = Field(default=1, ge=1, le=12, description="first month of the fiscal year")
    leaf_dimensions: tuple[str, ...] = Field(default=LEAF_DIMENSIONS, min_length=1, description="what one leaf of the hierarchy stands for")
    most_leaves: int = Field(default=2000, ge=1, le=20_000)
    paths: int = Field(default=1000, ge=100, le=10_000, description="simulated futures per snapshot; 500 at most above 1,000 leaves")
    daily_steps: int = Field(default=120, ge=1, le=400, description="days that a snapshot sees one by one")
    months: int = Field(default=18, ge=1, le=36, description="calendar months that a snapshot sees")
    seed: int = Field(default=7, ge=0)
    false_alarms_per_month: float = Field(default=1.0, gt=0, le=1000)
    threads: int = Field(default=0, ge=0, description="0: all cores")

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @property
    def ledger_address(self) -> str:
        return self.ledger or str(self.home / "ledger")

    @property
    def records_address(self) -> str:
        return self.records or f"sqlite:///{self.home / 'records.db'}"

    @property
    def tracking_address(self) -> str:
        return self.mlflow_tracking_uri or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def tracking_artifacts(self) -> Path:
        return self.home / "mlartifacts"

    @property
    def snapshots_folder(self) -> Path:
        return self.home / "snapshots"

    @property
    def models_folder(self) -> Path:
        return self.home / "models"

    def describe(self) -> dict[str, Any]:
        """The settings as plain data with passwords hidden."""
        shown = self.model_dump(mode="json")
        shown.update(ledger=self.ledger_address, records=self.records_address, mlflow_tracking_uri=self.tracking_address)
        return {name: hide_password(value) if isinstance(value, str) else value for name, value in shown.items()}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = init_settings().get("home") or env_settings().get("home") or ".forecast"
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(home) / "forecast.toml")


def load_settings(**overrides: Any) -> Settings:
    """Settings with `overrides` (None means not given); a bad value is a ConfigError that names the setting."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "settings"
        raise ConfigError(
            f"Setting {name} (FORECAST_{name.upper()} or forecast.toml) cannot be used: {first['msg']}; got {hide_password(str(first['input']))!r}"
        ) from None
    except SettingsError as error:
        raise ConfigError(
            f'A FORECAST_ variable or forecast.toml cannot be read: {error}; lists are written as JSON, such as ["provider", "team"]'
        ) from None


def hide_password(address: str) -> str:
    """`postgresql://user:***@host/db` for an address with a password in it."""
    return re.sub(r"(://[^:/@]+:)[^@/]+@", r"\1***@", address)
