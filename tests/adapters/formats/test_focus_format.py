"""FOCUS as a format: its columns stand for themselves, and the provider's two names stand for each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forecast.adapters.formats.focus import FocusFormat
from forecast.errors import SchemaError
from tests.adapters.formats.pages_for_tests import found, read, sample, written
from tests.adapters.ledger_rows import row, write_csv, write_ndjson


def test_a_file_is_recognised_by_its_columns_whatever_their_case(tmp_path: Path) -> None:
    lowered = {name.lower(): value for name, value in row().items()}
    for path in (write_csv(tmp_path / "a.csv", [row()]), write_csv(tmp_path / "b.csv", [lowered]), write_ndjson(tmp_path / "c.json", [row()])):
        assert FocusFormat().recognise(sample(found(path))) == "it has 11 columns of FOCUS 1.0, BilledCost among them"


def test_a_file_that_lacks_required_columns_is_still_recognised(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [row(ProviderName=None)], columns=["EffectiveCost", "ChargePeriodStart", "ChargePeriodEnd", "Tags"])
    assert FocusFormat().recognise(sample(found(path))) is not None


@pytest.mark.parametrize("names", [["cost", "date", "team"], ["Tags", "ResourceId", "ServiceName", "BillingCurrency"], ["BilledCost", "Tags"]])
def test_other_tables_are_not_taken_for_it(tmp_path: Path, names: list[str]) -> None:
    assert FocusFormat().recognise(sample(found(write_csv(tmp_path / "a.csv", [dict.fromkeys(names, "1")])))) is None


def test_columns_come_under_their_name_and_additions_under_their_own(tmp_path: Path) -> None:
    given = row() | {"x_Own": "kept", "Id": "7"}
    folded = {("billedcost" if name == "BilledCost" else name): value for name, value in given.items()}
    (found_row,) = read(FocusFormat(), found(write_csv(tmp_path / "a.csv", [folded])))
    assert found_row == {"row_number": 1, **given}


@pytest.mark.parametrize(("provider", "service_provider", "meant"), [("", "Acme", "Acme"), ("Old", "Acme", "Old"), ("NULL", "Acme", "Acme")])
def test_the_service_provider_stands_for_a_missing_provider(tmp_path: Path, provider: str, service_provider: str, meant: str) -> None:
    values = row(ProviderName=provider, ServiceProviderName=service_provider)
    for path in (write_csv(tmp_path / "a.csv", [values]), write_ndjson(tmp_path / "a.json", [values])):
        (found_row,) = read(FocusFormat(), found(path))
        assert found_row["ProviderName"] == meant


def test_a_file_of_version_1_3_without_the_old_column_has_a_provider(tmp_path: Path) -> None:
    values = {name: value for name, value in row(ServiceProviderName="Acme", HostProviderName="AWS").items() if name != "ProviderName"}
    path = write_csv(tmp_path / "a.csv", [values])
    assert FocusFormat().recognise(sample(found(path))) == "it has 12 columns of FOCUS 1.3, BilledCost among them"
    (found_row,) = read(FocusFormat(), found(path))
    assert (found_row["ProviderName"], found_row["ServiceProviderName"], found_row["HostProviderName"]) == ("Acme", "Acme", "AWS")


@pytest.mark.parametrize("header", ["BilledCost,billedcost,Tags", "BilledCost,x_a,X_A"])
def test_a_column_that_stands_there_twice_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n1,2,3\n")
    with pytest.raises(SchemaError, match="twice"):
        read(FocusFormat(), found(path))


def test_tags_as_an_object_stay_an_object(tmp_path: Path) -> None:
    (found_row,) = read(FocusFormat(), written(tmp_path / "a.json", row(Tags={"team": "ads"})))
    assert json.loads(str(found_row["Tags"])) == {"team": "ads"}
