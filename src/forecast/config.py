"""Settings, read once by entry points from the environment (`FORECAST_*`) and from `forecast.toml` in the home folder.

The environment wins over the file. Secrets come from the environment only and are never printed: `describe` hides a database password inside
an address, and the keys of an object store are no settings at all, the store's library reads its own variables (`AWS_SECRET_ACCESS_KEY` …).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError, TomlConfigSettingsSource

from forecast.errors import ConfigError, InputError
from forecast.spend.dimensions import LEAF_DIMENSIONS
from forecast.spend.fiscal import FiscalCalendar, Pattern, Rule, Weekday
from forecast.spend.zones import check_zone

STORES: Mapping[str, str] = {"s3": "s3", "s3a": "s3", "gs": "gs", "abfss": "azure", "abfs": "azure", "az": "azure"}
"""Schemes of object stores' addresses, and the kind of store."""

_SECRET = re.compile(r"secret|token|password|credential|signature|(^|_)sas(_|$)|(access|account|master|storage|encryption)_key")

PREFIX = "FORECAST_"
OUTSIDE_SETTINGS = ("FORECAST_TRACEBACK", "FORECAST_REQUIRE_SERVICES")
"""Variables that are no settings and are heard all the same: by the command line, and by the tests."""

_OF_A_CLUSTER = re.compile(r"FORECAST_(SERVICE_(HOST|PORT(_.*)?)|PORT(_\d+_.*)?)")
"""What Kubernetes puts into every container beside a service that is called forecast."""


class Settings(BaseSettings):
    """Where state lives and how large a snapshot is. All paths default to places inside `home`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    home: Path = Field(default=Path(".forecast"), description="folder of all state")
    ledger: str | None = Field(default=None, description="folder or s3://, gs://, abfss:// address of the Delta table")
    ledger_options: dict[str, str] = Field(default_factory=dict, description="what the object store of the ledger needs and is no secret")
    currency: str | None = Field(default=None, description="currency of answers; by default the ledger's first")
    rates: Path | None = Field(default=None, description="exchange rates (CSV or TOML); by default rates.csv in the home, if any")
    rules: Path | None = Field(default=None, description="rules file (TOML): what counts as AI spend, where dimensions come from")
    prices: Path | None = Field(default=None, description="price table (CSV) in place of the shipped list prices")
    records: str | None = Field(default=None, description="SQLAlchemy address of the records; PostgreSQL or SQLite")
    mlflow_tracking_uri: str | None = Field(default=None, description="MLflow tracking store or server")
    fiscal_start: int = Field(default=1, ge=1, le=12, description="first month of the fiscal year")
    fiscal_pattern: Pattern = Field(default="months", description="what a fiscal quarter is made of: months, or weeks such as 4-4-5")
    fiscal_week_end: Weekday = Field(default="saturday", description="weekday on which a fiscal year of weeks ends")
    fiscal_rule: Rule = Field(default="last", description="a year of weeks ends on the last such day of its month or nearest to the month's end")
    time_zone: str = Field(default="UTC", description="IANA name of the zone in which the company's days begin and end")
    leaf_dimensions: tuple[str, ...] = Field(default=LEAF_DIMENSIONS, min_length=1, description="what one leaf of the hierarchy stands for")
    most_leaves: int = Field(default=2000, ge=1, le=20_000)
    paths: int = Field(default=1000, ge=100, le=10_000, description="simulated futures per snapshot; 500 at most above 1,000 leaves")
    daily_steps: int = Field(default=120, ge=1, le=400, description="days that a snapshot sees one by one")
    months: int = Field(default=18, ge=1, le=36, description="calendar months that a snapshot sees")
    seed: int = Field(default=7, ge=0)
    false_alarms_per_month: float = Field(default=1.0, gt=0, le=1000)
    minimum_impact: float | None = Field(default=None, ge=0)
    sensitivity: Path | None = Field(default=None, description="rules (TOML) that say by scope which incidents are news")
    threads: int = Field(default=0, ge=0, description="0: all cores")

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @field_validator("ledger")
    @classmethod
    def _address(cls, ledger: str | None) -> str | None:
        if ledger is None or "://" not in ledger:
            return ledger
        scheme, _, place = ledger.partition("://")
        if scheme not in STORES:
            raise ValueError(f"addresses begin with {', '.join(f'{name}://' for name in STORES)}; a folder is given as its path")
        bucket, _, folder = place.rstrip("/").partition("/")
        if "?" in ledger or ":" in bucket or ("@" in bucket and STORES[scheme] != "azure"):
            raise ValueError("an address has no user, password, port or question mark; secrets come from the environment variables of the store")
        if not bucket or not folder:
            raise ValueError(f"an address names a bucket and a folder in it: {scheme}://BUCKET/FOLDER")
        return ledger.rstrip("/")

    @field_validator("ledger_options", mode="before")
    @classmethod
    def _as_text(cls, options: object) -> object:
        """A file writes `allow_http = true`; the library takes text."""
        if not isinstance(options, Mapping):
            return options
        return {name: str(value).lower() if isinstance(value, bool | int | float) else value for name, value in options.items()}

    @field_validator("ledger_options")
    @classmethod
    def _options(cls, options: dict[str, str]) -> dict[str, str]:
        found = {name.lower(): value for name, value in options.items()}
        for name, value in found.items():
            if _SECRET.search(name):
                raise ValueError(f"{name} is a secret, and secrets come from the environment variables of the store only")
            if "@" in value and "://" in value:
                raise ValueError(f"{name} has a user or password in it; secrets come from the environment variables of the store only")
            if name.endswith("unsafe_rename") or (name.endswith("conditional_put") and value == "disabled"):
                raise ValueError(f"{name} would let one of two deliveries that come at once overwrite the other")
        return found

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            return check_zone(name)
        except InputError as error:
            raise ValueError(str(error)) from None

    @property
    def calendar(self) -> FiscalCalendar:
        """The company's calendar."""
        return FiscalCalendar(self.fiscal_start, self.fiscal_pattern, self.fiscal_week_end, self.fiscal_rule)

    @property
    def ledger_address(self) -> str:
        return self.ledger or str(self.home / "ledger")

    @property
    def ledger_store(self) -> str | None:
        """The kind of object store that the ledger is in: s3, gs or azure; None where it is a folder."""
        scheme, mark, _ = self.ledger_address.partition("://")
        return STORES.get(scheme) if mark else None

    @property
    def ledger_storage_options(self) -> dict[str, str] | None:
        """What the store's library is told besides what it reads from the environment itself; None for a folder."""
        if self.ledger_store is None:
            return None
        given = dict(self.ledger_options)
        if self.ledger_store == "s3" and not any(name.endswith("conditional_put") for name in given):
            # Two commits of one version must not both succeed; the other stores refuse the second without being told.
            given["conditional_put"] = "etag"
        return given

    @property
    def ledger_quarantine(self) -> Path | None:
        """Folder of rows that cannot be counted, for a ledger in an object store; None: beside the ledger's folder."""
        return None if self.ledger_store is None else self.home / "quarantine"

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
        got = _shown(first)
        raise ConfigError(
            f"Setting {name} (FORECAST_{str(first['loc'][0]).upper() if first['loc'] else ''} or forecast.toml) cannot be used: {first['msg']}"
            + (f"; got {got!r}" if got else "")
        ) from None
    except SettingsError as error:
        raise ConfigError(
            f'A FORECAST_ variable or forecast.toml cannot be read: {error}; lists are written as JSON, such as ["provider", "team"]'
        ) from None


def unheard_variables(names: Iterable[str]) -> list[str]:
    """One sentence for every FORECAST_ variable among `names` of the environment that nothing listens to, with the nearest that is heard.

    Takes names only, so that no value, which may be a secret, can come into a message.
    """
    heard = [*(f"{PREFIX}{name.upper()}" for name in Settings.model_fields), *OUTSIDE_SETTINGS]
    found = []
    for name in sorted(names):
        plain = name.upper()
        if plain.startswith(PREFIX) and plain not in heard and not _OF_A_CLUSTER.fullmatch(plain):
            near = difflib.get_close_matches(plain, heard, 1, 0.8)
            found.append(f"{name} is set and nothing listens to it" + (f"; the nearest setting is {near[0]}" if near else ""))
    return found


def _shown(error: Mapping[str, Any]) -> str:
    """The value that was refused, without what may be a secret: anything under a wrong name, and whatever is said about the object store."""
    if error["type"] == "extra_forbidden" or (error["loc"] and str(error["loc"][0]).startswith("ledger")):
        return ""
    return hide_password(str(error["input"]))


def hide_password(address: str) -> str:
    """`postgresql://user:***@host/db` for an address with a password in it."""
    return re.sub(r"(://[^:/@]+:)[^@/]+@", r"\1***@", address)
