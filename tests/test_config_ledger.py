"""Settings of a ledger in an object store: what is passed on, what is refused, and that no secret is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forecast.config import load_settings
from forecast.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    for name in ("FORECAST_LEDGER", "FORECAST_LEDGER_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_ledger_in_a_folder_has_no_options(home: Path) -> None:
    settings = load_settings()
    assert (settings.ledger_store, settings.ledger_storage_options, settings.ledger_quarantine) == (None, None, None)
    assert settings.ledger_address == str(home / "ledger")


def test_options_come_from_the_file_and_the_environment_wins(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = '[ledger_options]\nendpoint = "https://file.example"\nallow_http = true\nMAX_RETRIES = 3\n'
    (home / "forecast.toml").write_text(f'ledger = "s3://bucket/ledger/"\n{options}')
    monkeypatch.setenv("FORECAST_LEDGER_OPTIONS", json.dumps({"endpoint": "https://environment.example"}))
    settings = load_settings()
    assert settings.ledger_address == "s3://bucket/ledger"
    assert settings.ledger_quarantine == home / "quarantine"
    assert settings.ledger_storage_options == {
        "endpoint": "https://environment.example",
        "allow_http": "true",
        "max_retries": "3",
        "conditional_put": "etag",
    }
    assert settings.describe()["ledger_options"] == settings.ledger_options


@pytest.mark.parametrize(
    ("address", "kind", "options"),
    [
        ("s3a://bucket/a/b", "s3", {"conditional_put": "etag"}),
        ("gs://bucket/ledger", "gs", {}),
        ("abfss://container@account.dfs.core.windows.net/ledger", "azure", {}),
        ("az://container/ledger", "azure", {}),
    ],
)
def test_kind_of_store_is_read_off_the_address(address: str, kind: str, options: dict[str, str], home: Path) -> None:
    settings = load_settings(ledger=address)
    assert (settings.ledger_store, settings.ledger_storage_options) == (kind, options)


@pytest.mark.parametrize(
    "address",
    [
        "s3://KEY:HIDDEN@bucket/ledger",
        "s3://KEY:HID/HIDDEN@bucket/ledger",
        "az://c/ledger?sig=HIDDEN",
        "s3://bucket",
        "s3:///x",
        "ftp://h/x",
        "S3://b/x",
    ],
)
def test_address_that_is_no_place_for_a_ledger_is_refused(address: str, home: Path) -> None:
    with pytest.raises(ConfigError, match=r"Setting ledger \(FORECAST_LEDGER or forecast.toml\)") as caught:
        load_settings(ledger=address)
    assert "HIDDEN" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aws_secret_access_key", "HIDDEN"),
        ("AWS_SECRET_ACCESS_KEY", "HIDDEN"),
        ("secret_access_key", "HIDDEN"),
        ("access_key_id", "HIDDEN"),
        ("session_token", "HIDDEN"),
        ("azure_storage_account_key", "HIDDEN"),
        ("azure_storage_sas_key", "HIDDEN"),
        ("sas_token", "HIDDEN"),
        ("client_secret", "HIDDEN"),
        ("google_service_account_key", "HIDDEN"),
        ("aws_sse_customer_encryption_key", "HIDDEN"),
        ("endpoint", "https://user:HIDDEN@store.example"),
        ("proxy_url", "http://user:HIDDEN@proxy.example"),
        ("conditional_put", "disabled"),
        ("aws_s3_allow_unsafe_rename", "true"),
    ],
)
def test_option_that_is_a_secret_or_makes_writers_unsafe_is_refused(name: str, value: str, home: Path) -> None:
    (home / "forecast.toml").write_text(f'ledger = "s3://bucket/ledger"\n[ledger_options]\n{name} = "{value}"\n')
    with pytest.raises(ConfigError, match=name.lower()) as caught:
        load_settings()
    assert "HIDDEN" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ['aws_secret_access_key = "HIDDEN"', '[ledger_option]\nsecret = "HIDDEN"', '[ledger_options]\nendpoint = ["HIDDEN"]']
)
def test_value_of_a_wrong_name_is_not_shown(text: str, home: Path) -> None:
    (home / "forecast.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert "HIDDEN" not in str(caught.value)
