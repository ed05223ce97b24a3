"""LiteLLM's two accounts of the spend that went through a proxy: a log of requests, and activity by day.

**Spend logs** (`LiteLLM_SpendLogs`: the table as CSV or Parquet, `/spend/logs` as JSON) are read by merge on `request_id`. Tags of a request
(`job:nightly`, or just `nightly`) become tags of the charge; the proxy's own user, team and key say more than what a request claims.

**Daily activity** (`/user/daily/activity` and its like) breaks each day down several times, by model, key, provider …, and each breakdown
holds the same money again. One is taken: the first of `BREAKDOWNS` that adds up to the day's spend, or the one that comes nearest; what is
then still missing is a line of its own, so that the lines of a day always add up to the day, to the 12th decimal. Which breakdown that is can
change while a day grows, so a file stands for all that was said before about the days that it covers: it is read by replace.

LiteLLM counts what it routed; do not also take in the vendor's own bill of the same calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample, document_rows, table_rows
from forecast.adapters.duck import quoted_name, quoted_text
from forecast.adapters.formats.base import Reading, has_all, tags_sql
from forecast.adapters.formats.pages import BY_CHARGE_ID, CHARGE_ID, charge_id, exact_documents, focus_columns, moment_of_text, month_of, readable

CATEGORY, SUBCATEGORY = "AI and Machine Learning", "Generative AI"
PROXY = "LiteLLM"

PROVIDERS: Mapping[str, tuple[str, str]] = {
    "openai": ("OpenAI", "OpenAI API"),
    "text-completion-openai": ("OpenAI", "OpenAI API"),
    "anthropic": ("Anthropic", "Claude API"),
    "azure": ("Microsoft", "Azure OpenAI Service"),
    "azure_text": ("Microsoft", "Azure OpenAI Service"),
    "azure_ai": ("Microsoft", "Azure AI Foundry"),
    "bedrock": ("AWS", "Amazon Bedrock"),
    "bedrock_converse": ("AWS", "Amazon Bedrock"),
    "sagemaker": ("AWS", "Amazon SageMaker"),
    "vertex_ai": ("Google Cloud", "Vertex AI"),
    "vertex_ai_beta": ("Google Cloud", "Vertex AI"),
    "gemini": ("Google Cloud", "Gemini API"),
    "mistral": ("Mistral AI", "Mistral API"),
    "cohere": ("Cohere", "Cohere API"),
    "cohere_chat": ("Cohere", "Cohere API"),
    "groq": ("Groq", "Groq API"),
    "xai": ("xAI", "xAI API"),
    "deepseek": ("DeepSeek", "DeepSeek API"),
    "openrouter": ("OpenRouter", "OpenRouter API"),
    "together_ai": ("Together AI", "Together AI API"),
    "fireworks_ai": ("Fireworks AI", "Fireworks AI API"),
    "perplexity": ("Perplexity", "Perplexity API"),
    "databricks": ("Databricks", "Databricks Model Serving"),
}
"""LiteLLM's name of a provider; the provider and service of the charge. A name that is not here stands for itself."""

BY_DAY = Reading("replace")

BREAKDOWNS: tuple[str, ...] = ("models", "model_groups", "api_keys", "providers", "entities")
"""In order of what they say about a charge; `models` and `model_groups` with the keys under each model, where they are given."""

NOISE = "0.000001"
"""A breakdown that misses a day's spend by less than this (USD) adds up: LiteLLM adds floats in different orders."""

_MONEY = "DECIMAL(38, 12)"

_LOG: tuple[str, ...] = (
    "request_id", "call_type", "api_key", "spend", "total_tokens", "prompt_tokens", "completion_tokens", "startTime", "endTime", "model",
    "model_group", "custom_llm_provider", "user", "end_user", "team_id", "organization_id", "request_tags", "metadata",
)  # fmt: skip

_WORKED_OUT = ("start", "end", "provider", "service", "ai_model", "tags")


@dataclass(frozen=True)
class LiteLLMSpendLogs:
    """Requests that went through a LiteLLM proxy."""

    name: str = "litellm-spend-logs"
    title: str = "LiteLLM spend logs"
    looks_for: str = "rows with request_id, spend, startTime and prompt_tokens or model_group (CSV, JSON, NDJSON, Parquet)"
    reading: Reading = BY_CHARGE_ID

    def recognise(self, sample: Sample) -> str | None:
        names = sample.columns or tuple(sample.keys)
        if not has_all(names, "request_id", "spend", "startTime") or not (has_all(names, "prompt_tokens") or has_all(names, "model_group")):
            return None
        return "it has request_id, spend and startTime, as LiteLLM_SpendLogs has"

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        return _worked_out(table_rows(connection, file) if file.kind != "json" else _requests(connection, file))

    def columns(self, rows: Rows) -> Mapping[str, str]:
        at = {name: f"c{place}" for place, name in enumerate(rows.names)}
        month, next_month = month_of(at["start"])
        spend, tokens = at["spend"], at["total_tokens"]
        return {
            **focus_columns(
                billed_cost=spend,
                effective_cost=spend,
                billing_currency="'USD'",
                billing_account_id=at["organization_id"],
                billing_period_start=month,
                billing_period_end=next_month,
                charge_period_start=readable(at["start"], at["startTime"]),
                charge_period_end=readable(at["end"], at["endTime"]),
                charge_category="'Usage'",
                charge_description=f"concat_ws(' ', {at['call_type']}, {at['ai_model']})",
                charge_frequency="'Usage-Based'",
                consumed_quantity=tokens,
                consumed_unit=f"CASE WHEN {tokens} IS NOT NULL THEN 'Tokens' END",
                provider_name=at["provider"],
                publisher_name=at["provider"],
                invoice_issuer_name=at["provider"],
                service_name=at["service"],
                service_category=quoted_text(CATEGORY),
                service_subcategory=quoted_text(SUBCATEGORY),
                resource_id=at["api_key"],
                resource_type=f"CASE WHEN {at['api_key']} IS NOT NULL THEN 'API Key' END",
                sub_account_id=at["team_id"],
                sku_meter="'Requests'",
                sku_price_details=tags_sql({"ModelId": at["ai_model"], "x_ModelGroup": at["model_group"]}),
                tags=at["tags"],
            ),
            CHARGE_ID: at["request_id"],
            "x_prompt_tokens": at["prompt_tokens"],
            "x_completion_tokens": at["completion_tokens"],
        }


def _requests(connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
    """Requests in a list, one a line, or in `data` of a page."""
    fields = ", ".join(f"given[{place}] AS {quoted_name(name)}" for place, name in enumerate(_LOG, start=1))
    paths = ", ".join(quoted_text(f"$.{name}") for name in _LOG)
    inside = "CASE WHEN json_type(document, '$.data') = 'ARRAY' THEN json_extract(document, '$.data[*]') ELSE [document] END"
    sql = f"""
        SELECT {fields} FROM (SELECT number, place, json_extract_string(request, [{paths}]) AS given FROM (
            SELECT number, unnest(items) AS request, generate_subscripts(items, 1) AS place
            FROM (SELECT number, {inside} AS items FROM ({exact_documents()}))
        )) ORDER BY number, place
    """
    return document_rows(connection, file, sql, _LOG)


def _worked_out(rows: Rows) -> Rows:
    """The fields of a log as text, null where they are empty, and what follows from them; step by step, so that nothing is worked out twice."""

    def text(name: str) -> str:
        found = rows.find(name)
        if found is None:
            return "CAST(NULL AS VARCHAR)"
        nested = rows.types[int(found[1:])].endswith(("[]", ")"))
        return f"nullif(trim(CAST({f'to_json({found})' if nested else found} AS VARCHAR)), '')"

    own_tags = tags_sql({"team": "coalesce(known ->> 'user_api_key_team_alias', team_id)", "user": '"user"', "end_user": "end_user"})
    alias = tags_sql({"api_key_alias": "known ->> 'user_api_key_alias'"})
    names = (*_LOG, *_WORKED_OUT)
    listed = ", ".join(f"{quoted_name(name)} AS c{place}" for place, name in enumerate(names))
    sql = f"""
        WITH texts AS (SELECT row_number, {", ".join(f"{text(name)} AS {quoted_name(name)}" for name in _LOG)} FROM ({rows.sql})),
        first AS (
            SELECT *, {moment_of_text("startTime")} AS start, {moment_of_text("endTime")} AS given_end, {_prefix("model")} AS prefix,
                   CASE WHEN json_valid(metadata) THEN CAST(metadata AS JSON) END AS known
            FROM texts
        ),
        second AS (
            -- An answer from the cache ends when it starts, and a charge period may not be empty.
            SELECT *, CASE WHEN given_end > start THEN given_end ELSE start + INTERVAL 1 SECOND END AS "end",
                   lower(coalesce(custom_llm_provider, prefix)) AS provider_key,
                   coalesce(CASE WHEN prefix IS NOT NULL THEN substr(model, length(prefix) + 2) ELSE model END, model_group) AS ai_model,
                   nullif({_merged(_request_tags("request_tags"), _merged(own_tags, alias))}, '{{}}') AS tags
            FROM first
        ),
        third AS (SELECT *, {_provider("provider_key")} AS provider, {_service("provider_key")} AS service FROM second)
        SELECT row_number, {listed} FROM third
    """
    return Rows(sql, names, (*("VARCHAR",) * len(_LOG), "TIMESTAMP", "TIMESTAMP", *("VARCHAR",) * 4), rows.notes)


@dataclass(frozen=True)
class LiteLLMDailyActivity:
    """A LiteLLM proxy's activity by day."""

    name: str = "litellm-daily-activity"
    title: str = "LiteLLM daily activity"
    looks_for: str = "JSON with results by `date`, each with `metrics` (spend, api_requests) and a `breakdown`"
    reading: Reading = BY_DAY

    def recognise(self, sample: Sample) -> str | None:
        if sample.file.kind != "json" or not {"results", "date", "metrics", "breakdown", "spend"} <= sample.keys or "request_id" in sample.keys:
            return None
        return "its results have a `date`, `metrics` with `spend`, and a `breakdown`"

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        return document_rows(connection, file, _activity_sql(), _ACTIVITY)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        at = {name: f"c{place}" for place, name in enumerate(rows.names)}
        day = f"date_trunc('day', {moment_of_text(at['date'])})"
        month, next_month = month_of(day)
        provider, service = _provider(at["provider"]), _service(at["provider"])
        model = _without_prefix(at["model"])
        rest = f"CASE WHEN {at['is_rest']} THEN 'Not in any breakdown' END"
        return {
            **focus_columns(
                billed_cost=at["spend"],
                effective_cost=at["spend"],
                billing_currency="'USD'",
                billing_period_start=month,
                billing_period_end=next_month,
                charge_period_start=readable(day, at["date"]),
                charge_period_end=f"({day} + INTERVAL 1 DAY)",
                charge_category="'Usage'",
                charge_description=f"coalesce({rest}, concat_ws(' ', {model}, 'by', {at['breakdown']}))",
                charge_frequency="'Usage-Based'",
                consumed_quantity=at["tokens"],
                consumed_unit=f"CASE WHEN {at['tokens']} IS NOT NULL THEN 'Tokens' END",
                provider_name=provider,
                publisher_name=provider,
                invoice_issuer_name=provider,
                service_name=service,
                service_category=quoted_text(CATEGORY),
                service_subcategory=quoted_text(SUBCATEGORY),
                resource_id=at["api_key"],
                resource_type=f"CASE WHEN {at['api_key']} IS NOT NULL THEN 'API Key' END",
                sub_account_id=at["team"],
                sku_meter=f"coalesce({rest}, 'Requests')",
                sku_price_details=tags_sql({"ModelId": model}),
                tags=tags_sql({"team": at["team"], "api_key_alias": at["key_alias"], "entity": at["entity"]}),
            ),
            CHARGE_ID: charge_id(
                self.name, [at[name] for name in ("date", "of_day", "breakdown", "model", "api_key", "provider_name", "entity", "is_rest")]
            ),
            "x_api_requests": at["requests"],
        }


_ACTIVITY = (
    "date", "of_day", "breakdown", "model", "provider", "provider_name", "api_key", "key_alias", "team", "entity",
    "spend", "tokens", "requests", "is_rest",
)  # fmt: skip


def _activity_sql() -> str:
    """Lines of each day.

    days       the results, with the day's spend
    parts      every entry of every breakdown, split by key where that is given
    sums       of each day and breakdown: what is missing to the day's spend
    chosen     the breakdown that is taken
    """

    def amount(metrics: str, name: str = "spend") -> str:
        return f"TRY_CAST({metrics} ->> {quoted_text(name)} AS {_MONEY})"

    def metrics(entry: str) -> str:
        # Older proxies write the figures of an entry into the entry itself.
        return f"coalesce({entry} -> 'metrics', {entry})"

    listed = ", ".join(quoted_text(name) for name in BREAKDOWNS)
    rank = " ".join(f"WHEN {quoted_text(name)} THEN {place}" for place, name in enumerate(BREAKDOWNS))
    return f"""
        SELECT date, of_day, breakdown, model, provider, provider_name, api_key, key_alias, team, entity,
               CAST(spend AS VARCHAR), tokens, requests, is_rest
        FROM (
            WITH days AS (
                SELECT row_number() OVER (ORDER BY number, place) AS result, result ->> 'date' AS date,
                       row_number() OVER (PARTITION BY result ->> 'date' ORDER BY number, place) AS of_day, result -> 'metrics' AS metrics,
                       result -> 'breakdown' AS breakdown, {amount("(result -> 'metrics')")} AS spend,
                       json_keys(result, '$.breakdown.providers') AS providers
                FROM (
                    SELECT number, unnest(items) AS result, generate_subscripts(items, 1) AS place
                    FROM (SELECT number, json_extract(document, '$.results[*]') AS items FROM ({exact_documents()}))
                )
            ),
            kinds AS (SELECT result, kind, breakdown -> kind AS entries FROM days, unnest([{listed}]) AS names(kind)),
            entries AS (
                SELECT result, kind, entry.key AS name, entry.value AS entry FROM kinds, json_each(kinds.entries) AS entry
                WHERE json_type(kinds.entries) = 'OBJECT'
            ),
            keyed AS (
                SELECT result, kind, name, item.key AS key, item.value AS entry
                FROM entries, json_each(entries.entry, '$.api_key_breakdown') AS item WHERE kind IN ('models', 'model_groups')
            ),
            whole AS (
                SELECT entries.result, entries.kind, entries.name, CAST(NULL AS VARCHAR) AS key, entries.entry,
                       {amount(metrics("entries.entry"))} - coalesce(split.spend, 0) AS spend, split.spend IS NOT NULL AS is_split
                FROM entries LEFT JOIN (
                    SELECT result, kind, name, sum({amount(metrics("entry"))}) AS spend FROM keyed GROUP BY ALL
                ) AS split USING (result, kind, name)
            ),
            parts AS (
                SELECT result, kind, name, key, entry, spend, is_split
                FROM (
                    SELECT result, kind, name, key, entry, {amount(metrics("entry"))} AS spend, false AS is_split FROM keyed
                    UNION ALL
                    SELECT result, kind, name, key, entry, spend, is_split FROM whole WHERE NOT (is_split AND spend = 0)
                ) WHERE spend IS NOT NULL
            ),
            sums AS (
                SELECT days.result, kind, days.spend - sum(parts.spend) AS missing
                FROM parts JOIN days USING (result) GROUP BY days.result, kind, days.spend
            ),
            chosen AS (
                SELECT result, kind, missing FROM sums
                QUALIFY row_number() OVER (
                    PARTITION BY result
                    ORDER BY CASE WHEN abs(missing) < {NOISE} THEN 0 ELSE abs(missing) END, CASE kind {rank} END
                ) = 1
            )
            SELECT days.date, days.result, days.of_day, parts.kind AS breakdown,
                   CASE WHEN parts.kind IN ('models', 'model_groups') THEN parts.name END AS model,
                   {_activity_provider()} AS provider,
                   CASE WHEN parts.kind = 'providers' THEN parts.name END AS provider_name,
                   CASE WHEN parts.kind = 'api_keys' THEN parts.name ELSE parts.key END AS api_key,
                   parts.entry -> 'metadata' ->> 'key_alias' AS key_alias,
                   coalesce(parts.entry -> 'metadata' ->> 'team_alias', parts.entry -> 'metadata' ->> 'team_id') AS team,
                   CASE WHEN parts.kind = 'entities' THEN parts.name END AS entity,
                   parts.spend,
                   CASE WHEN NOT is_split THEN {metrics("parts.entry")} ->> 'total_tokens' END AS tokens,
                   CASE WHEN NOT is_split THEN {metrics("parts.entry")} ->> 'api_requests' END AS requests,
                   false AS is_rest, 0 AS last
            FROM parts JOIN chosen USING (result, kind) JOIN days USING (result)
            UNION ALL
            SELECT days.date, days.result, days.of_day, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, coalesce(chosen.missing, days.spend),
                   CASE WHEN chosen.kind IS NULL THEN days.metrics ->> 'total_tokens' END,
                   CASE WHEN chosen.kind IS NULL THEN days.metrics ->> 'api_requests' END, true, 1
            FROM days LEFT JOIN chosen USING (result) WHERE coalesce(chosen.missing, days.spend) <> 0 OR days.spend IS NULL
        ) ORDER BY result, last, breakdown, model, provider_name, api_key, entity
    """


def _activity_provider() -> str:
    """SQL of LiteLLM's name of the provider of a part: said by the breakdown, by the model's name, or the only one that can be meant."""
    families = {
        "^(gpt|o[0-9]|chatgpt|text-embedding|dall-e|whisper|tts)": ("openai", "azure", "azure_ai"),
        "claude": ("anthropic", "bedrock", "vertex_ai"),
    }
    guesses = " ".join(
        f"WHEN regexp_matches(parts.name, {quoted_text(pattern)}) AND len(list_intersect(days.providers, {list(names)!r})) = 1 "
        f"THEN list_intersect(days.providers, {list(names)!r})[1]"
        for pattern, names in families.items()
    )
    return f"""CASE WHEN parts.kind = 'providers' THEN parts.name
                    WHEN parts.kind IN ('models', 'model_groups') AND {_prefix("parts.name")} IS NOT NULL THEN {_prefix("parts.name")}
                    WHEN len(days.providers) = 1 THEN days.providers[1]
                    WHEN parts.kind = 'models' THEN CASE {guesses} END END"""


def _provider(key: str) -> str:
    """SQL of the provider behind LiteLLM's name of one; the proxy itself where there is none."""
    return _named(key, {written: provider for written, (provider, _) in PROVIDERS.items()})


def _service(key: str) -> str:
    return _named(key, {written: service for written, (_, service) in PROVIDERS.items()})


def _named(key: str, names: Mapping[str, str]) -> str:
    # A map and not a CASE: DuckDB would work the key out once for every branch.
    pairs = ", ".join(f"{quoted_text(written)}: {quoted_text(name)}" for written, name in names.items())
    return f"coalesce(MAP {{{pairs}}}[{key}], {key}, '{PROXY}')"


def _prefix(model: str) -> str:
    """SQL of the provider that a model's name begins with (`openai/gpt-4o`), where it is one of `PROVIDERS`."""
    known = ", ".join(quoted_text(name) for name in PROVIDERS)
    first = f"split_part({model}, '/', 1)"
    return f"CASE WHEN contains({model}, '/') AND {first} IN ({known}) THEN {first} END"


def _without_prefix(model: str) -> str:
    return f"CASE WHEN {_prefix(model)} IS NOT NULL THEN substr({model}, length(split_part({model}, '/', 1)) + 2) ELSE {model} END"


def _request_tags(text: str) -> str:
    """SQL of a JSON object from a list of tags: `job:nightly` says job = nightly, `nightly` says nightly = true; the last of a name stands."""
    tags = f"CASE WHEN json_type(TRY_CAST({text} AS JSON)) = 'ARRAY' THEN json_extract_string({text}, '$[*]') ELSE [] END"
    name = "trim(CASE WHEN contains(tag, ':') THEN tag[:strpos(tag, ':') - 1] ELSE tag END)"
    value = "trim(CASE WHEN contains(tag, ':') THEN tag[strpos(tag, ':') + 1:] ELSE 'true' END)"
    objects = f"list_transform(list_filter({tags}, lambda tag: {name} <> '' AND {value} <> ''), lambda tag: MAP {{{name}: {value}}})"
    return f"CAST(to_json(list_reduce({objects}, lambda a, b: map_concat(a, b), MAP {{}}::MAP(VARCHAR, VARCHAR))) AS VARCHAR)"


def _merged(first: str, second: str) -> str:
    """SQL of two JSON objects as one; the second says more."""
    return f"CAST(json_merge_patch(coalesce({first}, '{{}}'), coalesce({second}, '{{}}')) AS VARCHAR)"
