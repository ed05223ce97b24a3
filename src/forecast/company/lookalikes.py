"""Benign look-alikes of incidents: keys, projects and pools come and go, and tags are written carelessly. No leaf's cost changes.

A new key in another region is what a leaked key looks like; here it is also what a rotated key looks like, and the new resources of
incidents get their names from the same function (`renamed`). Every resource has its own random stream, so that a change to one
leaves the others as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.company.catalogue import PROVIDERS
from forecast.company.lines import ChargeLines, details
from forecast.company.organisation import Organisation
from forecast.company.span import Floats, Integers
from forecast.company.stretch import Streams

REPLACEMENTS_A_YEAR = {"API Key": 1.2, "Instance Pool": 2.0, "Vector Index": 1.0, "Endpoint": 1.0, "Network Gateway": 0.4}
"""Rotation of keys; pools, indexes and endpoints that are built anew. By resource type, per resource."""
SECOND_PROJECTS_A_YEAR = 1.5
SECOND_PROJECT_DAYS = (15, 90)
SECOND_PROJECT_SHARE = (0.1, 0.7)
SCATTERS_A_YEAR = 0.06
"""Per project: the use goes over many projects for a while, as when every customer gets one."""
SCATTER_DAYS = (10, 45)
SCATTER_KEYS = (20, 40)
MOVES = 0.25
"""Part of the new resources that are in another region of the provider."""
CAMPAIGN_GAP = 1
"""Days without a charge after which a training pool counts as a new campaign."""

UNTAGGED_SHARE = 0.012
MISCASED_KEYS_SHARE = 0.01
MISCASED_STAGE_SHARE = 0.01
MISCASED_TEAM_SHARE = 0.003


@dataclass(frozen=True, eq=False)
class _Piece:
    """What the new resource `token` takes over from lines `positions` on days [first_day, first_day + len(quantity))."""

    positions: Integers
    first_day: int
    quantity: Floats
    token: str
    moved: bool


def token_of(rng: np.random.Generator) -> str:
    """What the name of a new resource ends with."""
    return f"{int(rng.integers(16**6)):06x}"


def renamed(attributes: pd.DataFrame, token: list[str], moved: list[bool]) -> pd.DataFrame:
    """Lines of new resources instead of those they were made from; `moved` ones are in another region of the provider, if it has one."""
    found = attributes.copy()
    found["resource_id"] = [f"{name}-{end}" for name, end in zip(attributes["first_id"], token, strict=True)]
    found["resource_name"] = [f"{name}-{end}" for name, end in zip(attributes["first_name"], token, strict=True)]
    move = np.flatnonzero(moved)
    for name in ("region_id", "region_name", "sku_price_id", "availability_zone"):
        found[name] = found[name].astype(object)
    columns = {name: found[name].tolist() for name in ("region_id", "region_name", "sku_price_id", "availability_zone")}
    providers, skus = found["provider_name"].tolist(), found["sku_id"].tolist()
    for row, end in ((int(row), token[row]) for row in move):
        others = [region for region in PROVIDERS[providers[row]].regions if region.id != columns["region_id"][row]]
        if others:
            region = others[int(end, 16) % len(others)]
            columns["region_id"][row], columns["region_name"][row] = region.id, region.name
            columns["sku_price_id"][row] = f"{skus[row]}.{region.id}"
            if columns["availability_zone"][row] is not None:
                columns["availability_zone"][row] = f"{region.id}a"
    return found.assign(**columns)


def with_new_resources(lines: ChargeLines, organisation: Organisation, streams: Streams) -> ChargeLines:
    """The same use, at resources that change: rotated keys, second projects, scattered use, campaigns, pools built anew.

    Adds the attributes `first_id` and `first_name`: what the resource was called before it was ever replaced.
    """
    attributes = lines.attributes.assign(first_id=lines.attributes["resource_id"], first_name=lines.attributes["resource_name"])
    quantity = lines.quantity.copy()
    whole = attributes["whole"].to_numpy(dtype=np.bool_)
    training = set(organisation.of_kind("gpu_training"))
    types, leaf = attributes["resource_type"].tolist(), attributes["leaf"].tolist()
    pieces: list[_Piece] = []
    for resource, members in attributes.groupby("resource_id", sort=True).indices.items():
        positions = np.asarray(members, dtype=np.int64)
        kind = str(types[positions[0]])
        rng = streams.of("look-alikes", str(resource))
        used = lines.quantity[:, positions]
        if leaf[positions[0]] in training:
            pieces += _campaigns(rng, positions, used)
        elif kind in REPLACEMENTS_A_YEAR:
            pieces += _replacements(rng, positions, used, REPLACEMENTS_A_YEAR[kind])
        elif kind == "Project":
            pieces += _projects(rng, positions, used, whole[positions])
    for piece in pieces:
        quantity[piece.first_day : piece.first_day + len(piece.quantity), piece.positions] -= piece.quantity
    return _joined(ChargeLines(attributes, quantity, lines.list_price, lines.contracted_price), pieces)


def _joined(lines: ChargeLines, pieces: list[_Piece]) -> ChargeLines:
    """Lines and pieces, without those that are not used."""
    if not pieces:
        return lines
    source = np.concatenate([piece.positions for piece in pieces])
    count = [len(piece.positions) for piece in pieces]
    taken = np.zeros((len(lines.quantity), len(source)))
    for piece, end in zip(pieces, np.cumsum(count), strict=True):
        taken[piece.first_day : piece.first_day + len(piece.quantity), end - len(piece.positions) : end] = piece.quantity
    token = [piece.token for piece in pieces for _ in piece.positions]
    moved = [piece.moved for piece in pieces for _ in piece.positions]
    every = np.concatenate([np.arange(len(lines.attributes)), source])
    quantity = np.concatenate([lines.quantity, taken], axis=1)
    kept = quantity.any(axis=0)
    attributes = pd.concat([lines.attributes, renamed(lines.attributes.iloc[source], token, moved)], ignore_index=True)
    every = every[kept]
    return ChargeLines(
        attributes.iloc[np.flatnonzero(kept)].reset_index(drop=True), quantity[:, kept], lines.list_price[:, every], lines.contracted_price[:, every]
    )


def _moments(rng: np.random.Generator, a_year: float, days: int) -> Iterator[int]:
    """Days of a Poisson process; whoever takes them may draw in between."""
    moment = 0.0
    while True:
        moment += rng.standard_exponential() * 365.25 / a_year
        if moment >= days:
            return
        yield int(moment)


def _replacements(rng: np.random.Generator, positions: Integers, used: Floats, a_year: float) -> Iterator[_Piece]:
    """From each moment on a new resource has everything, until the next."""
    starts = [(day, token_of(rng), bool(rng.random() < MOVES)) for day in _moments(rng, a_year, len(used))]
    ends = [*(day for day, _, _ in starts[1:]), len(used)][: len(starts)]
    for (day, token, moved), end in zip(starts, ends, strict=True):
        if end > day:
            yield _piece(positions, day, used[day:end], token, moved)


def _campaigns(rng: np.random.Generator, positions: Integers, used: Floats) -> Iterator[_Piece]:
    """Every campaign has a pool of its own."""
    days = np.flatnonzero(used.any(axis=1))
    for campaign in np.split(days, np.flatnonzero(np.diff(days) > CAMPAIGN_GAP) + 1):
        token = token_of(rng)
        if len(campaign):
            yield _piece(positions, int(campaign[0]), used[campaign[0] : campaign[-1] + 1], token, False)


def _projects(rng: np.random.Generator, positions: Integers, used: Floats, whole: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Iterator[_Piece]:
    """A second project takes a part for a while, or many take everything; one at a time."""
    free = 0
    for day in _moments(rng, SECOND_PROJECTS_A_YEAR + SCATTERS_A_YEAR, len(used)):
        scatters = rng.random() < SCATTERS_A_YEAR / (SECOND_PROJECTS_A_YEAR + SCATTERS_A_YEAR)
        low, high = SCATTER_DAYS if scatters else SECOND_PROJECT_DAYS
        end = min(day + int(rng.integers(low, high + 1)), len(used))
        if day < free:
            continue
        free = end
        if scatters:
            keys = int(rng.integers(SCATTER_KEYS[0], SCATTER_KEYS[1] + 1))
            part = rng.dirichlet(np.full(keys, 3.0))
        else:
            part = np.array([rng.uniform(*SECOND_PROJECT_SHARE)])
        # Differences of the rounded running total: whole tokens stay whole and nothing is lost.
        running = used[day:end, :, None] * np.minimum(np.cumsum(part), 1.0)
        running = np.where(whole[:, None], np.round(running), np.round(running, 2))
        parts = np.minimum(np.diff(running, axis=2, prepend=0.0), used[day:end, :, None])
        for number in range(len(part)):
            yield _piece(positions, day, parts[:, :, number], token_of(rng), bool(rng.random() < MOVES))


def _piece(positions: Integers, day: int, quantity: Floats, token: str, moved: bool) -> _Piece:
    used = quantity.any(axis=0)
    return _Piece(positions[used], day, quantity[:, used], token, moved)


def with_careless_tags(lines: ChargeLines, streams: Streams) -> ChargeLines:
    """Somebody forgot to tag a few resources, or wrote `Team`, `ENV`, `PROD` or `Search`; each resource for itself.

    Whoever ignores upper and lower case still finds a mis-cased resource in its leaf. An untagged one has only its sub-account.
    """
    resources = lines.attributes["resource_id"]
    names = sorted(set(resources.dropna()))
    chance = streams.of("tags").random((len(names), 5))
    shares = (UNTAGGED_SHARE, MISCASED_KEYS_SHARE, MISCASED_STAGE_SHARE, MISCASED_TEAM_SHARE)
    careless = {name: row for name, row in zip(names, chance, strict=True) if (row[:4] < shares).any()}
    tags = lines.attributes["tags"].astype(object).tolist()
    for row, name in enumerate(resources.tolist()):
        if name in careless and isinstance(tags[row], str):
            forgotten, keys, stage, team = (careless[name][:4] < shares).tolist()
            tags[row] = None if forgotten else _miscased(tags[row], keys, stage, team, loud=bool(careless[name][4] < 0.5))
    return ChargeLines(lines.attributes.assign(tags=tags), lines.quantity, lines.list_price, lines.contracted_price)


def _miscased(tags: str, keys: bool, stage: bool, team: bool, *, loud: bool) -> str:
    """The same tags by somebody who writes capitals (or, `loud`, nothing but capitals)."""
    values: dict[str, str] = json.loads(tags)
    if stage:
        values["env"] = values["env"].upper() if loud else values["env"].capitalize()
    if team:
        values["team"] = values["team"].capitalize()
    if keys:
        written = {"team": "TEAM" if loud else "Team", "env": "ENV" if loud else "Env"}
        values = {written.get(name, name): value for name, value in values.items()}
    return details(**values)
