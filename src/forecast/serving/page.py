"""The page at `/`: the whole company's forecast, next quarter's numbers, and links to everything else. Self-contained HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from html import escape
from typing import Any

from forecast.serving.fan_chart import FanPoint, fan_chart
from forecast.snapshot import Snapshot
from forecast.spend.fiscal import FiscalCalendar
from forecast.spend.periods import Period, next_quarter
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer

WEEKS_SHOWN = 26
MOST_GROUPS = 12

STYLE = """
:root{color-scheme:light dark;--ink:#1b2430;--soft:#5a6675;--line:#d9dee5;--card:#f6f8fa;--paper:#fff;--tone:#1f6feb}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf2;--soft:#9aa7b6;--line:#303a46;--card:#1a212b;--paper:#11161d;--tone:#6ea8ff}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p,small,.soft{color:var(--soft)}a{color:var(--tone)}code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.75rem;margin:1rem 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem}
.card b{display:block;font-size:1.4rem}
table{border-collapse:collapse;width:100%}th,td{padding:.35rem .5rem;border-bottom:1px solid var(--line);text-align:right}
th:first-child,td:first-child{text-align:left}td{font-variant-numeric:tabular-nums}
svg{width:100%;height:auto}svg text{fill:var(--soft);font:12px system-ui,sans-serif}
.grid{stroke:var(--line)}.edge{stroke:var(--soft);stroke-dasharray:4 4}
.band{fill:var(--tone);opacity:.2}.median{fill:none;stroke:var(--tone);stroke-width:2;stroke-dasharray:6 3}
.actual{fill:none;stroke:var(--ink);stroke-width:2}
"""

LINKS: tuple[tuple[str, str, str], ...] = (
    ("GET", "/docs.json", "the interface as an OpenAPI document"),
    ("POST", "/v1/spend", "bring spend in: bills of any format that is known"),
    ("POST", "/v1/forecast", "what will we spend?"),
    ("POST", "/v1/overrun", "will we overrun a budget?"),
    ("POST", "/v1/anomalies", "was that strange?"),
    ("POST", "/v1/whatif", "what if we scale?"),
    ("POST", "/v1/explain", "why is it more, or less?"),
    ("GET", "/v1/incidents", "what was strange, and who looks after it"),
    ("GET", "/v1/budgets", "budgets"),
    ("GET", "/v1/events", "planned events"),
    ("GET", "/v1/scenarios", "plans that are kept"),
    ("GET", "/v1/accuracy", "how good the forecasts have been"),
    ("GET", "/v1/models/champion", "which model forecasts"),
    ("GET", "/v1/snapshots", "forecast runs that are kept"),
    ("GET", "/metrics", "metrics of the service"),
    ("GET", "/livez", "is it alive?"),
    ("GET", "/readyz", "is it ready?"),
)


def render_page(snapshot: Snapshot, calendar: FiscalCalendar) -> str:
    """The page of a snapshot."""
    label, quarter = next_quarter(snapshot.cutoff, calendar)
    heading = (
        f"<p>{escape(snapshot.cost)} cost in {escape(snapshot.currency)}, known up to {snapshot.cutoff} · snapshot {_snapshot_link(snapshot)}</p>"
    )
    return _document(heading + _fan(snapshot) + _quarter(snapshot, label, quarter, calendar) + _links())


def render_empty_page() -> str:
    """The page before the first training."""
    return _document(
        "<p>There is no forecast yet. Bring spend in and train:</p>"
        "<pre><code>forecast ingest bills/\nforecast train</code></pre><p>or look at a generated company with <code>forecast demo</code>.</p>"
        + _links()
    )


def _document(body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>AI spend forecast</title><style>{STYLE}</style></head><body><main><h1>AI spend forecast</h1>{body}</main></body></html>"
    )


def _fan(snapshot: Snapshot) -> str:
    points = weekly_points(snapshot)
    if len(points) < 2:
        return ""
    title = f"Weekly cost of the whole company in {snapshot.currency}: actual until {snapshot.cutoff}, then the forecast's p10 to p90 and its median"
    return (
        f"<h2>The whole company, week by week</h2>{fan_chart(points, snapshot.cutoff, snapshot.currency, title)}"
        "<small>The solid line is actual cost, the dashed line the median; four weeks of five are expected inside the band.</small>"
    )


def weekly_points(snapshot: Snapshot) -> list[FanPoint]:
    """Whole weeks (Monday to Sunday): the last half year, and all that the snapshot sees day by day."""
    earliest = max(_monday_from(snapshot.first_day), _monday_from(snapshot.cutoff - timedelta(days=7 * WEEKS_SHOWN)))
    end = snapshot.daily_end - timedelta(days=snapshot.daily_end.weekday())
    if end <= earliest:
        return []
    answer = forecast_answer(snapshot, scope=Scope(), period=Period(earliest, end), granularity="week")
    return [FanPoint(date.fromisoformat(row["start"]), row["p10"], row["p50"], row["p90"]) for row in answer["rows"]]


def _monday_from(day: date) -> date:
    return day + timedelta(days=-day.weekday() % 7)


def _quarter(snapshot: Snapshot, label: str, quarter: Period, calendar: FiscalCalendar) -> str:
    if quarter.end > snapshot.horizon_end:
        return ""
    groups = ("team",) if "team" in snapshot.hierarchy.dimensions else ()
    answer = forecast_answer(snapshot, scope=Scope(), period=quarter, granularity="quarter", group_by=groups, calendar=calendar)
    total = answer["total"]
    cards = [
        ("Expected (mean)", money(total["mean"])),
        ("As likely above as below (p50)", money(total["p50"])),
        ("Four times of five between", f"{money(total['p10'])} – {money(total['p90'])}"),
        *_backtest_cards(answer.get("backtest")),
    ]
    shown = "".join(f'<div class="card"><span class="soft">{escape(name)}</span><b>{escape(value)}</b></div>' for name, value in cards)
    return (
        f"<h2>Next quarter, {escape(label)} ({quarter.start} to {quarter.end - timedelta(days=1)})</h2>"
        f'<div class="cards">{shown}</div>{_group_table(answer["rows"]) if groups else ""}'
    )


def _backtest_cards(backtest: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if not backtest:
        return []
    cards = []
    if isinstance(error := backtest.get("wape"), int | float):
        cards.append(("Mean error in backtests", f"{error:.1%}"))
    if isinstance(coverage := backtest.get("coverage_80"), int | float):
        cards.append(("Inside the 80 % interval in backtests", f"{coverage:.0%}"))
    return cards


def _group_table(rows: Sequence[Mapping[str, Any]]) -> str:
    ordered = sorted(rows, key=lambda row: -float(row["mean"]))
    lines = "".join(
        f"<tr><td>{escape(' · '.join(row['group'].values()))}</td>"
        + "".join(f"<td>{money(row[name])}</td>" for name in ("mean", "p10", "p50", "p90"))
        + "</tr>"
        for row in ordered[:MOST_GROUPS]
    )
    rest = f"<p>and {len(ordered) - MOST_GROUPS} more; <code>group_by</code> of /v1/forecast has them all</p>" if len(ordered) > MOST_GROUPS else ""
    return (
        "<table><thead><tr><th>team</th><th>mean</th><th>p10</th><th>p50</th><th>p90</th></tr></thead>"
        f"<tbody>{lines}</tbody></table><small>Only means add up over rows.</small>{rest}"
    )


def money(value: float) -> str:
    return f"{value:,.0f}"


def _snapshot_link(snapshot: Snapshot) -> str:
    return f'<a href="/v1/snapshots/{escape(snapshot.id)}"><code>{escape(snapshot.id[:12])}</code></a>'


def _links() -> str:
    lines = "".join(
        f"<tr><td>{method}</td><td>{_target(method, path)}</td><td>{escape(text)}</td></tr>".replace("<td>", '<td style="text-align:left">')
        for method, path, text in LINKS
    )
    return f"<h2>Everything else</h2><table><tbody>{lines}</tbody></table>"


def _target(method: str, path: str) -> str:
    return f'<a href="{path}">{path}</a>' if method == "GET" else f"<code>{path}</code>"
