"""One plain sentence, made from the numbers and nothing else."""

from __future__ import annotations

from forecast.anomalies.attribution import Contributor
from forecast.anomalies.attribution_words import sentence

DAY = ("2026-12-11", "2026-12-11")


def test_first_contributor_its_share_and_its_driver_are_named() -> None:
    cause = Contributor({"team": "ads", "ai_model": "large"}, 900.0, 0.9, 0.0, 900.0, 0.0)
    assert sentence("team=ads", DAY, 1500.0, 500.0, "USD", [cause]) == (
        "team=ads cost 1,500.00 USD on 2026-12-11, 1,000.00 above the expected 500.00 USD (200%); 90% of that is ai_model=large, mostly volume."
    )


def test_switch_of_models_is_said() -> None:
    cause = Contributor({"team": "ads"}, 1000.0, 1.0, 0.0, 50.0, 950.0, switched=("mini", "large"))
    assert sentence("", DAY, 1500.0, 500.0, "USD", [cause]).endswith("100% of that is team=ads, because usage moved from mini to large (mix).")
    assert sentence("", DAY, 1500.0, 500.0, "USD", [cause.as_dict()]).endswith("from mini to large (mix).")


def test_incident_is_not_named_as_its_own_cause() -> None:
    cause = Contributor({"provider": "Anthropic", "team": "ads"}, 1000.0, 1.0)
    text = sentence("provider=Anthropic,team=ads", DAY, 1500.0, 500.0, "USD", [cause])
    assert text.endswith("above the expected 500.00 USD (200%).")
    cause = Contributor({"team": "ads"}, 1000.0, 1.0, 950.0, 50.0, 0.0)
    assert sentence("team=ads", DAY, 1500.0, 500.0, "USD", [cause]).endswith("500.00 USD (200%), mostly price.")


def test_fall_over_days_of_the_whole_company_without_a_cause() -> None:
    text = sentence("", ("2026-12-10", "2026-12-11"), 300.0, 500.0, "EUR", [])
    assert text == "The whole company cost 300.00 EUR from 2026-12-10 to 2026-12-11, 200.00 below the expected 500.00 EUR (40%)."


def test_nothing_expected_has_no_percentage() -> None:
    assert sentence("team=new", DAY, 300.0, 0.0, "USD", []).endswith("300.00 above the expected 0.00 USD.")
