"""What people have called real before a training leaves the declared rate to false incidents after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from forecast.adapters.snapshots import SnapshotStore
from forecast.alerts.incident import Detection
from forecast.alerts.spans import Part
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from forecast.workflows.lessons import confirmed_of
from forecast.workflows.watch import false_incidents, thresholds_in
from tests.training.homes import NOW, make_home


def replayed_incidents(snapshot: Snapshot) -> list[Detection]:
    """Incidents of the replay, as if they had been found then."""
    arrays = snapshot.detector
    columns = (arrays[f"replayed_{name}"].tolist() for name in ("scopes", "ways", "from", "to"))
    found = []
    for text, way, first, last in zip(*columns, strict=True):
        scope = {clause.dimension: clause.values[0] for clause in Scope.parse(text).clauses}
        start = datetime(first.year, first.month, first.day, tzinfo=UTC)
        end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
        found.append(Detection("spike" if way == "up" else "drop", way, scope, (Part(start, end, 900.0 if way == "up" else 0.0, 100.0),), 1e-6))
    return found


def test_training_takes_confirmed_incidents_out_of_its_replay(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=150, false_alarms_per_month=10.0)
    store = SnapshotStore(home.settings.snapshots_folder)
    before = store.open(home.train().snapshot_id)
    real = [detection for detection in replayed_incidents(before) if detection.direction == "up"][:10]
    incidents = [home.records.put_detections([detection], now=NOW).incidents[0] for detection in real]
    for incident in incidents:
        home.records.give_feedback(incident.id, "unexpected", now=NOW + timedelta(hours=2))
    later = home.train(now=NOW + timedelta(days=1))
    after = store.open(later.snapshot_id)
    entries = home.records.feedback()
    rates = false_incidents(after, confirmed=confirmed_of(incidents, entries))
    assert rates["confirmed"] > 0.0
    assert rates["replayed"] <= 10.0
    assert sum(thresholds_in(after)[0].of_sign.values()) < sum(thresholds_in(before)[0].of_sign.values())
    then = store.open(home.train(now=NOW + timedelta(days=1), as_of=NOW + timedelta(hours=1)).snapshot_id)
    assert thresholds_in(then)[0].of_sign == thresholds_in(before)[0].of_sign, "nobody had said it by then"
    home.close()
