"""`make prior`: grow the shipped prior from generated histories and write it, its digest and its card.

    python -m training.prior [--check]

The same code, libraries and processor family give the same bytes: one thread, fixed seeds, sorted parts. `--check` grows it anew and compares.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from forecast.errors import ArtifactError
from forecast.forecasters.prior.container import digest_of, pack, unpack
from forecast.forecasters.prior.growing import LARGEST_MONTH, Recipe, grow
from forecast.forecasters.prior.prior import DATA, DIGEST, LARGEST_MEAN, Prior
from forecast.forecasters.prior.processes import FUTURE, HELD_OUT, PAST, SHORTEST, SUMS, TRAINED, generate
from training.specs import MODELS

PACKAGE = MODELS.parent / "src" / "forecast" / "forecasters" / "prior"
CARD = MODELS / "prior"

JUDGES = 4_000
JUDGES_SEED = 99
PATHS = 200
YOUNG = 28


def build(recipe: Recipe) -> tuple[bytes, str]:
    """The data file and the text of its digest file."""
    data = pack(grow(recipe))
    facts = {"sha256": digest_of(data), "bytes": len(data), "recipe": asdict(recipe)}
    return data, json.dumps(facts, indent=2, sort_keys=True) + "\n"


def judge(prior: Prior, count: int = JUDGES) -> list[dict[str, str]]:
    """Rows of the card's table: processes that the prior never saw, young and older histories, totals of 7 and 28 days."""
    rows = []
    made = generate(count, JUDGES_SEED, HELD_OUT, sums=0.0)
    last_week = made.past[:, -7:].mean(axis=1)
    month = made.past[:, -28:].sum(axis=1) / np.minimum(made.age, 28)
    size = made.past.sum(axis=1) / made.age
    # Behind means, several times larger than what came before count as several times only.
    limit = 10 * size
    points = np.minimum(prior.means(made.past, made.age, 28), limit[:, None])
    paths = prior.trajectories(made.past, made.age, 28, PATHS, np.random.default_rng(JUDGES_SEED), 0.0)
    for number, family in enumerate(HELD_OUT):
        for young in (True, False):
            chosen = (made.family == number) & ((made.age <= YOUNG) == young)
            for days in (7, 28):
                came = np.minimum(made.future[chosen, :days].mean(axis=1), limit[chosen])
                total = paths[chosen, :, :days].sum(axis=2)
                inside = {
                    share: _within(made.future[chosen, :days].sum(axis=1), np.quantile(total, [(1 - share) / 2, (1 + share) / 2], axis=1))
                    for share in (0.8, 0.95)
                }

                def error(point: np.ndarray, came: np.ndarray = came, chosen: np.ndarray = chosen) -> float:
                    return float((np.abs(np.minimum(point, limit[chosen]) - came) / size[chosen]).mean())

                usual = {"last week": error(last_week[chosen]), "run rate": error(month[chosen])}
                own = error(points[chosen, :days].mean(axis=1))
                rows.append(
                    {
                        "process": family,
                        "history": f"{'up to' if young else 'over'} {YOUNG} days",
                        "days ahead": str(days),
                        "series": str(int(chosen.sum())),
                        "80 % holds": f"{inside[0.8]:.2f}",
                        "95 % holds": f"{inside[0.95]:.2f}",
                        "error": f"{own:.2f}",
                        **{f"error of {name}": f"{value:.2f}" for name, value in usual.items()},
                    }
                )
    return rows


def card(facts: str, rows: list[dict[str, str]]) -> str:
    """Markdown of what ships: what it is, what it learned from, how it does on processes that it never saw."""
    known = json.loads(facts)
    recipe = known["recipe"]
    table = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0]), *("| " + " | ".join(row.values()) + " |" for row in rows)]
    return "\n".join(
        [
            "# prior: what short histories are read by",
            "",
            "A model of daily spend that was trained on generated histories only, no line of them anybody's bill. It ships inside the package",
            "(`forecast/forecasters/prior/prior.bin`) and is a member of the combination (`forecasters/analogs.py`), weighted by backtest",
            "like any other.",
            "",
            f"- SHA-256: `{known['sha256']}`, {known['bytes']:,} bytes; checked whenever it is loaded",
            f"- location: 4 × {recipe['rounds']} trees from {recipe['teachers']:,} histories of {SHORTEST} to {PAST} days",
            f"- spread: a forest of {8 * recipe['trees_a_target']} trees from {recipe['spreaders']:,} others",
            f"- futures: its leaves hold the next {FUTURE} days of {recipe['bank']:,} more, scaled down where four weeks cost more than",
            f"  {LARGEST_MONTH:g} times the expected ({LARGEST_MEAN:g} times in points)",
            f"- processes: {', '.join(TRAINED)}; {SUMS:.0%} are sums of two to four of them",
            "- made by `make prior`; `python -m training.prior --check` grows it anew and compares the digest",
            "- knows nothing of: dates, month-ends, holidays, events, drivers, other frequencies than daily, negative spend (credits go on at",
            "  their mean)",
            "",
            "## Processes it never saw",
            "",
            "Share of totals inside the intervals, and mean absolute error of a total's daily mean in units of the history's mean.",
            "",
            *table,
            "",
            "Real panels, a generated company with three weeks of bills, what was tried: `docs/decisions/0009-shipped-prior.md`.",
            "",
        ]
    )


def write(data: bytes, digest: str, text: str, package: Path = PACKAGE, folder: Path = CARD) -> None:
    """Package data, the card, and a copy of the digest beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (package / DATA).write_bytes(data)
    (folder / "card.md").write_text(text, encoding="utf-8")
    for place in (package, folder):
        (place / DIGEST).write_text(digest, encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.prior", description="Grow the shipped prior.")
    parser.add_argument("--check", action="store_true", help="grow it anew and compare with what ships; writes nothing")
    options = parser.parse_args(arguments)
    data, digest = build(Recipe())
    if options.check:
        shipped = (PACKAGE / DIGEST).read_text(encoding="utf-8")
        if shipped != digest:
            raise ArtifactError("The prior that ships is not the one that this code grows; run `make prior` and say so in the changelog")
    else:
        write(data, digest, card(digest, judge(Prior.of(unpack(data, digest_of(data))))))
    sys.stdout.write(digest)


def _within(came: np.ndarray, bounds: np.ndarray) -> float:
    return float(((came >= bounds[0]) & (came <= bounds[1])).mean())


if __name__ == "__main__":
    main()
