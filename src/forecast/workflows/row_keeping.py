"""What rows that were sent to be kept say of incidents that are known already: spend of their scopes is normal again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from forecast.alerts.identity import scope_text
from forecast.alerts.incident import Incident
from forecast.alerts.life_cycle import CALM
from forecast.snapshot import Snapshot
from forecast.spend.provisional import Watermarks
from forecast.workflows.detection import SUFFICIENT
from forecast.workflows.row_places import places_of
from forecast.workflows.spike_scores import sources_of
from forecast.workflows.spikes import SpendRow, scope_values

_DAY = timedelta(days=1)


def calm_through(snapshot: Snapshot, rows: Sequence[SpendRow], answer: Mapping[str, Any], now: datetime) -> dict[str, datetime]:
    """For the text of a scope the end of its last day, of those that were sent, that is over, known well enough and not strange.

    answer : what `spikes.anomaly_answer` said of the rows. now : when their costs were known, UTC. A day counts by the last of its rows.
    """
    of_day = {(row.scope, row.day): not said["is_anomaly"] for row, said in zip(rows, answer["rows"], strict=True) if said["expected"] is not None}
    moment = now.astimezone(UTC)
    ends = {place: datetime(place[1].year, place[1].month, place[1].day, tzinfo=UTC) + _DAY for place, calm in of_day.items() if calm}
    calm = [place for place, end in ends.items() if end <= moment]
    if not calm:
        return {}
    enough = np.ones(len(calm), dtype=bool)
    if snapshot.watermarks is not None:
        marks = Watermarks.of(snapshot.watermarks)
        places, codes = places_of(snapshot, [scope for scope, _ in calm])
        ages = marks.ages(np.array([day for _, day in calm], dtype="datetime64[D]"), np.datetime64(moment.replace(tzinfo=None), "us"))
        for number, read in enumerate(places):
            here = codes == number
            enough[here] = marks.shares(sources_of(snapshot, read.leaves), ages[here])[0] >= SUFFICIENT
    found: dict[str, datetime] = {}
    for place, known in zip(calm, enough.tolist(), strict=True):
        if known:
            text = scope_text(scope_values(place[0]))
            found[text] = max(found.get(text, ends[place]), ends[place])
    return found


def over(incidents: Collection[Incident], calm: Mapping[str, datetime]) -> dict[str, datetime]:
    """Of active incidents those that are over, by id, and through when their scope was seen to be calm."""
    found = {incident.id: calm[text] for incident in incidents if incident.is_active and (text := scope_text(incident.scope)) in calm}
    ends = {incident.id: incident.end for incident in incidents}
    return {name: through for name, through in found.items() if through >= ends[name] + CALM}
