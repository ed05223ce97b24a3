from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from forecast.company import organisation
from forecast.company.generate import Company
from forecast.company.lines import ChargeLines
from forecast.company.lookalikes import renamed, with_careless_tags, with_new_resources
from forecast.company.organisation import Organisation
from forecast.company.simulation import Simulation
from forecast.company.span import Span
from forecast.company.stretch import Streams, Stretch

DAYS = 400


@pytest.fixture(scope="module")
def plain() -> tuple[ChargeLines, Organisation, Streams]:
    """Charge lines as the processes leave them."""
    streams = Streams(17)
    company = organisation.found(streams, DAYS, 6)
    span = Span(date(2026, 11, 1) - timedelta(days=DAYS), date(2026, 11, 1))
    lines, _ = Simulation.drawn(company, streams, DAYS).happen(Stretch.beginning(span, streams, DAYS))
    return lines.used(), company, streams


@pytest.fixture(scope="module")
def renewed(plain: tuple[ChargeLines, Organisation, Streams]) -> ChargeLines:
    return with_new_resources(*plain)


def by_leaf(lines: ChargeLines) -> pd.DataFrame:
    keys = [lines.attributes["leaf"], lines.attributes["sku_id"].fillna("-"), lines.attributes["pricing_category"].fillna("-")]
    return pd.DataFrame(lines.effective_cost().T).groupby([key.to_numpy() for key in keys]).sum()


def test_new_resources_change_no_cost_of_any_leaf_model_or_day(plain: tuple[ChargeLines, Organisation, Streams], renewed: ChargeLines) -> None:
    before, after = by_leaf(plain[0]), by_leaf(renewed)
    pd.testing.assert_frame_equal(before, after, rtol=0.0, atol=1e-6)
    assert (renewed.quantity[:, (plain[0].attributes["charge_category"] == "Usage").to_numpy().sum() :] >= 0.0).all()
    whole = renewed.attributes["whole"].to_numpy(dtype=np.bool_)
    assert (renewed.quantity[:, whole] % 1.0 == 0.0).all()
    assert renewed.quantity.any(axis=0).all()


def test_new_resources_come_all_the_time_and_in_every_family(renewed: ChargeLines) -> None:
    first = pd.Series(renewed.quantity.any(axis=1).argmax() + (renewed.quantity != 0.0).argmax(axis=0))
    fresh = pd.DataFrame({"resource": renewed.attributes["resource_id"], "type": renewed.attributes["resource_type"], "first": first})
    fresh = fresh.groupby(["resource", "type"])["first"].min().reset_index()
    late = fresh[fresh["first"] > 30]
    assert (late.groupby("type").size().reindex(["API Key", "Project", "Instance Pool", "Vector Index"]) >= 3).all()
    assert late["first"].lt(DAYS / 2).any()
    assert late["first"].gt(DAYS / 2).any()


def test_every_training_campaign_is_a_resource_of_its_own(plain: tuple[ChargeLines, Organisation, Streams], renewed: ChargeLines) -> None:
    training = np.isin(renewed.attributes["leaf"], plain[1].of_kind("gpu_training"))
    assert training.sum() > 20
    for line in np.flatnonzero(training):
        days = np.flatnonzero(renewed.quantity[:, line])
        assert (np.diff(days) == 1).all()
    assert renewed.attributes["resource_id"][training].is_unique


def test_a_project_is_scattered_over_many_now_and_then(renewed: ChargeLines) -> None:
    projects = renewed.attributes[renewed.attributes["resource_type"] == "Project"]
    assert projects.groupby("first_id")["resource_id"].nunique().max() > 20


def test_a_resource_is_renamed_in_one_way_and_moved_within_its_provider(
    plain: tuple[ChargeLines, Organisation, Streams], renewed: ChargeLines
) -> None:
    own = renewed.attributes[renewed.attributes["provider_name"] == "AWS"].dropna(subset=["resource_id"]).head(5)
    moved = renamed(own, ["00000a"] * len(own), [True] * len(own))
    assert (moved["resource_id"] == own["first_id"] + "-00000a").all()
    assert (moved["region_id"] != own["region_id"]).all()
    assert (moved["sku_price_id"] == moved["sku_id"] + "." + moved["region_id"]).all()
    stayed = renamed(own, ["00000b"] * len(own), [False] * len(own))
    assert (stayed["region_id"] == own["region_id"]).all()
    again = with_new_resources(*plain)
    pd.testing.assert_frame_equal(again.attributes, renewed.attributes)


def test_careless_tags_still_say_the_same_to_whoever_ignores_case(renewed: ChargeLines) -> None:
    written = with_careless_tags(renewed, Streams(17)).attributes["tags"]
    changed = written.notna() & (written != renewed.attributes["tags"])
    assert changed.any()

    def read(text: str) -> dict[str, str]:
        return {key.lower(): value.lower() for key, value in json.loads(text).items()}

    for now, before in zip(written[changed], renewed.attributes["tags"][changed], strict=True):
        assert read(now) == read(before)
        assert set(json.loads(now)) & {"project", "workload"} == {"project", "workload"}


def test_about_one_resource_in_a_hundred_is_untagged_or_mis_cased(renewed: ChargeLines) -> None:
    untagged, keys, stages, teams, count = 0, 0, 0, 0, 0
    for seed in range(12):
        found = with_careless_tags(renewed, Streams(seed)).attributes.assign(before=renewed.attributes["tags"])
        assert len(found.drop_duplicates(["resource_id", "tags"])) == len(found.drop_duplicates("resource_id"))
        found = found[found["before"].notna()].drop_duplicates("resource_id")
        tags = [json.loads(text) for text in found["tags"].dropna()]
        count += len(found)
        untagged += int(found["tags"].isna().sum())
        keys += sum("env" not in tag for tag in tags)
        stages += sum(next(value for key, value in tag.items() if key.lower() == "env") not in ("dev", "test", "prod") for tag in tags)
        teams += sum(next(value for key, value in tag.items() if key.lower() == "team")[0].isupper() for tag in tags)
    for number, share in ((untagged, 0.012), (keys, 0.01), (stages, 0.01), (teams, 0.003)):
        assert abs(number - share * count) < 4.0 * (share * count) ** 0.5


def test_a_generated_bill_has_careless_tags(company: Company) -> None:
    tags = company.rows["Tags"]
    assert 0.0 < tags[company.rows["SubAccountName"].notna()].isna().mean() < 0.05
    assert 0.0 < tags.str.contains('"(?:Env|ENV)"', regex=True).mean() < 0.05
    assert 0.0 < tags.str.contains('"(?:Prod|PROD|Dev|DEV|Test|TEST)"', regex=True).mean() < 0.05
