"""Programs that write the records at the same time, and one that is killed in the middle: each write is there whole, or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from forecast.adapters.records import Records
from forecast.scenarios.saved import digest_of

WRITER = """
import sys
from datetime import UTC, datetime, date
from forecast.adapters.records import Records
from forecast.alerts.incident import Detection
from forecast.alerts.spans import Part
from forecast.scenarios.saved import ScenarioRun
address, name, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
records, now = Records(address), datetime(2026, 12, 11, tzinfo=UTC)
for number in range(1, most + 1):
    plan = {"period": "2027-Q1", "levers": [{"type": "scale_usage", "factor": number, "name": "x" * 200}] * 50}
    saved, _ = records.put_scenario(name, plan, now=now, by=name)
    records.put_scenario_run(ScenarioRun(name, saved.version, "s" * 64, date(2026, 12, 10), "effective", "USD", now, {"number": number}))
    parts = tuple(Part(datetime(2026, 11, day, tzinfo=UTC), datetime(2026, 11, day + 1, tzinfo=UTC), 9.0, 1.0) for day in range(1, 20))
    found = records.put_detections([Detection("spike", "up", {"team": f"{name}-{number}"}, parts, 0.001)], now=now)
    records.give_feedback(found.incidents[0].id, "expected", now=now, by=name)
    print(number, flush=True)
"""


def writer(address: str, name: str, most: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", WRITER, address, name, str(most)], stdout=subprocess.PIPE, text=True)


def test_two_programs_write_at_once_and_one_is_killed_in_the_middle(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'records.db'}"
    Records(address).close()
    done = 0
    with writer(address, "killed", 100_000) as killed, writer(address, "goes-on", 40) as going_on:
        assert killed.stdout is not None
        for line in killed.stdout:
            done = int(line)
            if done == 25:
                killed.kill()
                break
        killed.wait()
        assert going_on.wait(timeout=60) == 0, "nobody is left waiting for the lock of a program that is gone"
    records = Records(address)
    with records._readers.connect() as connection:
        assert connection.execute(sa.text("PRAGMA integrity_check")).scalar() == "ok"
        assert connection.execute(sa.text("PRAGMA foreign_key_check")).all() == []
    for name, least in (("killed", done), ("goes-on", 40)):
        versions = records.scenario_versions(name)
        assert [one.version for one in versions] == list(range(len(versions), 0, -1))
        assert len(versions) >= least
        assert all(one.plan["levers"][49]["factor"] == one.version and one.digest == digest_of("", one.plan) for one in versions)
        runs = records.scenario_runs(name)
        assert [run.summary["number"] for run in runs] == [run.version for run in runs]
        assert len(versions) - 1 <= len(runs) <= len(versions)
    incidents = records.incidents(limit=1000).incidents
    assert all(len(incident.parts) == 19 for incident in incidents)
    judged = {entry.incident_id for entry in records.feedback()}
    assert len(judged) >= done + 40
    assert sum(incident.suppressed is None for incident in incidents) == len(incidents) - len(judged) <= 1
    records.close()
