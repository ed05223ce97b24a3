"""The shipped rules on lines as vendors write them, and the SQL that tries them: once per distinct line or row by row, with one answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from forecast.adapters import duck
from forecast.adapters.ai_sql import judge
from forecast.adapters.duck import execute, quoted_name
from forecast.adapters.ledger import Ledger
from forecast.adapters.rules import load_rules, shipped_text
from forecast.company.bulk import bulk_rows
from forecast.errors import InputError
from forecast.spend.ai_rules import FIELDS, AiRules, Condition
from forecast.spend.dimension_rules import RULES, FromColumn
from forecast.spend.rules import parse_rules
from tests.adapters.ledger_rows import moment, row, write_csv

Line = Mapping[str, str | None]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    opened = duck.connect(threads=2)
    yield opened
    opened.close()


def judged(connection: duckdb.DuckDBPyConnection, lines: list[dict[str, Any]], rules: AiRules, **options: Any) -> list[str | None]:
    """The rule of each line, in order."""
    columns = list(dict.fromkeys(name for line in lines for name in line))
    frame = pd.DataFrame([[line.get(name) for name in columns] for line in lines], columns=columns, dtype="object").convert_dtypes()
    frame["place"] = range(len(lines))
    connection.register("given", frame)
    texts = ", ".join(f"CAST({quoted_name(name)} AS VARCHAR) AS {quoted_name(name)}" for name in columns)
    execute(connection, f"CREATE OR REPLACE TABLE lines AS SELECT place, {texts} FROM given")
    answer = judge(connection, "lines", {name: quoted_name(name) for name in columns}, rules, **options)
    return [row[0] for row in execute(connection, f"SELECT ai_rule FROM ({answer.sql('lines')}) ORDER BY place")]  # type: ignore[misc]


def aws(service: str = "Amazon Elastic Compute Cloud", **more: Any) -> dict[str, Any]:
    return {"ProviderName": "AWS", "PublisherName": "Amazon Web Services, Inc.", "ServiceName": service} | more


def azure(service: str = "Virtual Machines", **more: Any) -> dict[str, Any]:
    return {"ProviderName": "Microsoft", "PublisherName": "Microsoft", "ServiceName": service} | more


def google(service: str = "Compute Engine", **more: Any) -> dict[str, Any]:
    return {"ProviderName": "Google Cloud", "PublisherName": "Google LLC", "ServiceName": service} | more


def oracle(service: str = "COMPUTE", **more: Any) -> dict[str, Any]:
    return {"ProviderName": "Oracle", "PublisherName": "Oracle", "ServiceName": service} | more


def other(provider: str, service: str = "Platform", **more: Any) -> dict[str, Any]:
    return {"ProviderName": provider, "PublisherName": provider, "ServiceName": service} | more


def details(**values: Any) -> str:
    return json.dumps(values)


AI_LINES: list[tuple[str, dict[str, Any]]] = [
    ("aws-accelerators", aws(ChargeDescription="$1.624 per On Demand Linux g5.4xlarge Instance Hour")),
    ("aws-accelerators", aws(SkuMeter="USE1-BoxUsage:p4d.24xlarge")),
    ("aws-accelerators", aws(SkuMeter="SpotUsage:g6e.12xlarge")),
    ("aws-accelerators", aws(SkuPriceDetails=details(InstanceType="p6-b200.48xlarge"))),
    ("aws-accelerators", aws(x_instance_type="trn2u.48xlarge")),
    ("aws-accelerators", aws(ChargeDescription="Linux/UNIX (Amazon VPC), inf2.xlarge reserved instance applied")),
    ("aws-accelerators", aws("Amazon Elastic MapReduce", SkuMeter="EUW1-BoxUsage:p3dn.24xlarge")),
    ("aws-accelerators", aws(SkuMeter="USW2-HostUsage:p5")),
    ("aws-accelerators", aws(SkuMeter="BoxUsage:gr6f.4xlarge")),
    ("aws-accelerators", aws(SkuMeter="BoxUsage:dl2q.24xlarge")),
    ("aws-accelerators", aws(SkuMeter="BoxUsage:g5g.metal")),
    ("aws-graphics", aws(SkuMeter="BoxUsage:g4ad.xlarge")),
    ("aws-ai-services", aws("Amazon SageMaker", SkuMeter="USE1-Host:ml.m5.large")),
    ("aws-ai-services", aws("Amazon Bedrock", SkuMeter="USE1-Claude2.0-input-tokens")),
    ("aws-ai-services", aws("Claude Haiku 4.5 (Amazon Bedrock Edition)", SkuMeter="USW2-MP:USW2_InputTokenCount-Units")),
    ("aws-ai-services", aws("Other name", x_product_code="AmazonBedrockService")),
    ("aws-ai-services", aws("Amazon Textract")),
    ("azure-accelerators", azure(SkuMeter="NC4as T4 v3", ChargeDescription="Virtual Machines NCasT4 v3 Series - NC4as T4 v3 - US East")),
    ("azure-accelerators", azure(SkuMeter="NC40adsH100v5")),
    ("azure-accelerators", azure(SkuMeter="NC24ads A100 v4 Spot")),
    ("azure-accelerators", azure(SkuPriceDetails=details(InstanceType="Standard_ND96isr_H100_v5"))),
    ("azure-accelerators", azure(x_instance_type="Standard_NCC40ads_H100_v5")),
    ("azure-accelerators", azure(x_SkuMeterSubcategory="NCadsH100v5 Series")),
    ("azure-accelerators", azure(x_meter_subcategory="ND MI300X v5 Series")),
    ("azure-accelerators", azure(ChargeDescription="Virtual Machines NCCadsv5 Srs - NCC40ads H100 v5")),
    ("azure-accelerators", azure(x_meter_subcategory="NDv2 Series")),
    ("azure-graphics", azure(x_meter_subcategory="NVadsA10 v5 Series", SkuMeter="NV36ads A10 v5")),
    ("azure-graphics", azure(x_instance_type="Standard_NV6")),
    ("azure-ai-services", azure("Azure OpenAI", SkuMeter="gpt 4o 0806 Outp glbl Tokens")),
    ("azure-ai-services", azure("Foundry Models")),
    ("azure-ai-services", azure("Azure Machine Learning", ChargeDescription="Bandwidth Inter-Region")),
    ("azure-ai-services", azure("Azure AI Search")),
    ("azure-ai-services", azure("Cognitive Services", SkuMeter="S1 Transactions")),
    ("azure-ai-resources", azure("Storage", x_consumed_service="Microsoft.MachineLearningServices")),
    ("azure-ai-resources", azure("Bandwidth", ResourceType="microsoft.cognitiveservices/accounts")),
    ("google-accelerators", google(ChargeDescription="A3Plus Instance Core running in Americas")),
    ("google-accelerators", google(ChargeDescription="Commitment v1: A2 Ram in Netherlands for 1 Year")),
    ("google-accelerators", google(SkuPriceDetails=details(InstanceType="a4-highgpu-8g"))),
    ("google-accelerators", google(x_instance_type="g2-standard-48")),
    ("google-accelerators", google(x_instance_type="ct5lp-hightpu-4t")),
    ("google-accelerators", google(ChargeDescription="TpuV5e in Iowa")),
    ("accelerators-by-name", google(ChargeDescription="Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Americas")),
    ("google-ai-services", google("Vertex AI", SkuMeter="Gemini 2.5 Flash Text Input")),
    ("google-ai-services", google("Gemini API")),
    ("google-ai-services", google("Cloud Vision API")),
    ("google-ai-services", google("Claude Sonnet 4")),
    ("oracle-accelerators", oracle(ChargeDescription="OCI - Compute - GPU - H100")),
    ("oracle-accelerators", oracle(x_instance_type="BM.GPU.MI300X.8")),
    ("oracle-accelerators", oracle(x_instance_type="VM.GPU.A10.1")),
    ("oracle-ai-services", oracle("GENERATIVE_AI", ChargeDescription="Oracle Cloud Infrastructure Generative AI - Large Cohere")),
    ("gpu-clouds", other("Lambda", "GPU Cloud")),
    ("gpu-clouds", other("CoreWeave", "Object Storage")),
    ("gpu-clouds", other("RunPod")),
    ("llm-vendors", other("OpenAI, LLC", ChargeCategory="Tax", ChargeDescription="sales tax")),
    ("llm-vendors", other("Anthropic", ChargeCategory="Purchase", ServiceCategory="Other")),
    ("llm-vendors", other("Reseller", InvoiceIssuerName="Mistral AI SAS")),
    ("llm-vendors", {"ServiceProviderName": "Groq, Inc."}),
    ("llm-vendors", other("xAI")),
    ("vector-store-vendors", other("Pinecone", ServiceCategory="Databases")),
    ("vector-search", aws("Amazon OpenSearch Service", ResourceType="Vector Index")),
    ("vector-search", other("MongoDB", "Atlas", ChargeDescription="Atlas Vector Search nodes")),
    ("ai-licences", other("GitHub", "GitHub Copilot", ServiceCategory="Developer Tools")),
    ("ai-licences", other("Microsoft", "Microsoft 365", ChargeDescription="Microsoft 365 Copilot (annual)")),
    ("ai-licences", other("Notion", "Notion AI")),
    ("ai-licences", other("Reseller", "Software", ChargeDescription="ChatGPT Enterprise, 200 seats")),
    ("ai-licence-vendors", other("Anysphere, Inc.", "Teams")),
    ("databricks-ai", other("Databricks", "Databricks", SkuMeter="ENTERPRISE_SERVERLESS_REAL_TIME_INFERENCE_US_EAST_N_VIRGINIA")),
    ("databricks-ai", azure("Azure Databricks", SkuMeter="Premium Model Serving DBU")),
    ("snowflake-ai", other("Snowflake", "Snowflake", SkuMeter="AI_SERVICES")),
    ("snowflake-ai", other("Snowflake", "Cortex Analyst")),
    ("other-clouds-ai", other("IBM", "watsonx.ai")),
    ("other-clouds-ai", other("Cloudflare", "Workers AI")),
    ("other-clouds-accelerators", other("Alibaba Cloud", "Elastic Compute Service", x_instance_type="ecs.gn7i-c16g1.4xlarge")),
    ("other-clouds-accelerators", other("Scaleway", "Instances", ChargeDescription="H100-1-80G running in Paris 2")),
    ("gpu-count", other("Our own", "Servers", SkuPriceDetails=details(GpuCount=8))),
    ("accelerators-by-name", other("kubernetes", "Cluster", SkuMeter="GPU Hours")),
    ("accelerators-by-name", other("Our own", "Servers", ChargeDescription="H100-80GB node, depreciation")),
    ("ai-models", other("Gateway", "Proxy", SkuPriceDetails=details(ModelId="anthropic/claude-sonnet-4"))),
    ("ai-models", other("Gateway", "Proxy", x_ModelId="o3-mini")),
    ("llm-tokens", other("Gateway", "Proxy", SkuMeter="Cached Input Tokens")),
    ("ai-category", other("Somebody", "Something", ServiceCategory="AI and Machine Learning")),
    ("tagged-ai", other("Somebody", "Something", Tags=details(**{"Workload-Type": "AI"}))),
    ("tagged-ai", aws("Amazon Simple Storage Service", Tags=details(ai=True, team="search"))),
]

OTHER_LINES: list[dict[str, Any]] = [
    aws("AWS Lambda", ChargeDescription="AWS Lambda - Total Compute - US West (Oregon)-Tier-1"),
    aws("Amazon Simple Storage Service", SkuMeter="USW2-TimedStorage-ByteHrs"),
    aws(SkuMeter="BoxUsage:c7g.16xlarge", SkuId="G5P3INF1TRN1XXXX"),
    aws(SkuMeter="BoxUsage:t4g.large", ChargeDescription="$0.0672 per On Demand Linux t4g.large Instance Hour"),
    aws(SkuMeter="BoxUsage:m6g.4xlarge"),
    aws(SkuMeter="BoxUsage:im4gn.large"),
    aws(SkuMeter="BoxUsage:hpc6a.48xlarge"),
    aws(SkuMeter="BoxUsage:vt1.3xlarge"),
    aws(SkuMeter="BoxUsage:f1.2xlarge"),
    aws(SkuMeter="EBS:VolumeP3Usage.gp3", ChargeDescription="$0.08 per GB-month of General Purpose (gp3) provisioned storage"),
    aws(ResourceId="i-0a1p3.xlarge-g5.xlarge", SkuId="P3ABCDEFGH", SkuPriceId="G5XXXXXX.JRTCKXETXF.6YS6EN2CT7"),
    aws(ChargeDescription="$0.02 per GB - EU (Germany) data transfer to US East", SkuMeter="EUC1-USE1-AWS-Out-Bytes"),
    aws("AWS Savings Plans", ChargeDescription="1 year No Upfront Compute Savings Plan"),
    aws("Amazon Relational Database Service", SkuMeter="InstanceUsage:db.g5.large".replace("g5", "r6g")),
    aws("Amazon OpenSearch Service", SkuMeter="ESInstance:m6g.large"),
    aws("Amazon QuickSight"),
    azure(x_meter_subcategory="DSv2 Series VM", SkuMeter="DS4 v2 Spot"),
    azure(x_meter_subcategory="LS Series VM", SkuMeter="L4s Spot", ChargeDescription="Virtual Machines LS Series - L4s Spot Hours - US West 2"),
    azure(SkuMeter="D11 v2/DS11 v2", x_instance_type="Standard_D2nv_v6"),
    azure("Virtual Machines", SkuMeter="A10", x_instance_type="Standard_A10"),
    azure("Virtual Machines", x_instance_type="Standard_NP10s"),
    azure("NCR Voyix Licences", ChargeDescription="NCR series terminals"),
    azure("Azure Databricks", SkuMeter="Premium Jobs Compute DBU"),
    azure("Storage", SkuMeter="Hot LRS Write Operations", ResourceId="/subscriptions/x/nd96isr/nc24"),
    azure("Bandwidth", ChargeDescription="Standard Data Transfer Out - ND (North Dakota)"),
    azure("Azure Monitor", SkuId="DZH318Z0BQ4L/A100"),
    google(ChargeDescription="N2 Instance Core running in Americas"),
    google(ChargeDescription="E2 Instance Ram running in Iowa", x_instance_type="e2-standard-4"),
    google(ChargeDescription="C4A Arm Instance Core running in Belgium"),
    google(x_instance_type="n2-standard-4"),
    google("BigQuery", ChargeDescription="Analysis"),
    google("Cloud Storage", ChargeDescription="Standard Storage US Multi-region"),
    oracle(ChargeDescription="Standard - A1 - Memory"),
    oracle(ChargeDescription="Standard - E5", x_instance_type="VM.Standard.E4.Flex"),
    oracle("BLOCK_STORAGE", ChargeDescription="Block Volume - Performance Units"),
    other("Snowflake", "Snowflake", SkuMeter="WAREHOUSE_METERING"),
    other("Databricks", "Databricks", SkuMeter="PREMIUM_JOBS_COMPUTE"),
    other("Datadog", "Infrastructure", ChargeDescription="Hosts, committed"),
    other("Lambda Test", "Browsers"),
    other("Cohesity", "Backup"),
    other("Modality Systems", "Calls"),
    other("Zoom", "Meetings", ChargeDescription="Fair use"),
    other("Our own", "Servers", SkuPriceDetails=details(GpuCount=0)),
    other("GitHub", "GitHub Actions", ChargeDescription="Compute, Ubuntu 4-core"),
    other("Paint Works", "Claudette Interiors", ChargeDescription="Email campaign, Airtable, air conditioning, main contract"),
    other("Cloud", "Mail", Tags=details(team="ai-platform", env="prod", owner="ml")),
    other("Cloud", "Auth", SkuMeter="Access tokens issued"),
]


def label(line: Mapping[str, Any]) -> str:
    return " ".join(str(value) for name, value in line.items() if name != "PublisherName")[:100]


def test_lines_that_are_ai_are_known_by_the_rule_that_says_why(connection: duckdb.DuckDBPyConnection) -> None:
    found = judged(connection, [line for _, line in AI_LINES], load_rules().ai)
    wrong = [(label(line), expected, got) for (expected, line), got in zip(AI_LINES, found, strict=True) if got != expected]
    assert wrong == []


def test_lines_that_are_not_ai_are_left_alone(connection: duckdb.DuckDBPyConnection) -> None:
    found = judged(connection, OTHER_LINES, load_rules().ai)
    assert [(label(line), got) for line, got in zip(OTHER_LINES, found, strict=True) if got is not None] == []


def test_tag_that_says_no_is_believed_whatever_the_service(connection: duckdb.DuckDBPyConnection) -> None:
    lines = [aws(SkuMeter="BoxUsage:p5.48xlarge", Tags=details(AI="No")), aws(SkuMeter="BoxUsage:p5.48xlarge", Tags=details(AI="maybe"))]
    assert judged(connection, lines, load_rules().ai) == [None, "aws-accelerators"]


def test_every_shipped_rule_has_a_reason_and_a_test(connection: duckdb.DuckDBPyConnection) -> None:
    rules = load_rules().ai.rules
    assert all(len(rule.why) > 20 for rule in rules)
    untested = {rule.name for rule in rules if rule.ai} - {expected for expected, _ in AI_LINES}
    assert untested == {"media-model-vendors", "ai-tool-vendors"}, "lists of names alone"


def test_shipped_rules_leave_the_dimensions_as_they_are() -> None:
    assert load_rules().dimensions == RULES
    assert set(load_rules().ai.fields) == set(FIELDS) - {"tags"}


RULES_WITH_TAGS = parse_rules(
    shipped_text(),
    """
    [[ai.rules]]
    name = "robots-of-search"
    provider = ["AWS"]
    tags = ["team=search", "squad=search*"]
    [[ai.rules]]
    name = "not-demos"
    ai = false
    tags = ["purpose=demo"]
    [[ai.rules]]
    name = "models"
    ai_model = ["re:^gpt"]
    """,
).ai


def twin(line: Line, rules: AiRules) -> str | None:
    """The slow way: one line, one rule after the other, with Python's regular expressions."""

    def texts(condition: Condition) -> list[str]:
        if condition.field == "tags":
            return [
                f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in json.loads(line.get("Tags") or "{}").items()
            ]
        found = []
        for source in rules.fields[condition.field]:
            value = line.get(source.column)
            if value is not None and not isinstance(source, FromColumn):
                value = {key.lower(): str(inner) for key, inner in json.loads(value).items()}.get(source.key.lower())
            found += [] if value is None else [value]
        return found

    for rule in rules.rules:
        if all(any(re.search(condition.regex, text) for text in texts(condition)) for condition in rule.conditions):
            return rule.name if rule.ai else None
    return None


TAGGED = [
    None,
    details(team="search"),
    details(squad="Search-core"),
    details(purpose="Demo", team="search"),
    details(**{"a/b~c": "x", "genai": "yes"}),
    "{}",
]
MIXED = [line | {"Tags": tags} for _, line in AI_LINES[::3] for tags in TAGGED] + [line | {"Tags": tags} for line in OTHER_LINES for tags in TAGGED]


@pytest.mark.parametrize("most_distinct", [500_000, 100, 3, 0])
def test_distinct_lines_and_row_by_row_give_the_answer_of_the_slow_way(connection: duckdb.DuckDBPyConnection, most_distinct: int) -> None:
    expected = [twin(line, RULES_WITH_TAGS) for line in MIXED]
    assert {"robots-of-search", "tagged-ai", "vector-search", None} <= set(expected)
    assert judged(connection, MIXED, RULES_WITH_TAGS, most_distinct=most_distinct) == expected


def test_first_rule_that_holds_names_the_line_with_and_without_tags(connection: duckdb.DuckDBPyConnection) -> None:
    text = """
    [ai.fields]
    service_name = ["column:ServiceName"]
    [[ai.rules]]
    name = "first"
    service_name = ["one"]
    [[ai.rules]]
    name = "second"
    tags = ["ai=true"]
    [[ai.rules]]
    name = "third"
    service_name = ["two"]
    [[ai.rules]]
    name = "fourth"
    service_name = ["t*"]
    tags = ["ai=perhaps"]
    """
    lines = [{"ServiceName": service, "Tags": tags} for service in ("one", "two", "three") for tags in ('{"ai":"true"}', '{"ai":"perhaps"}', None)]
    expected = ["first", "first", "first", "second", "third", "third", "second", "fourth", None]
    assert judged(connection, [dict(line) for line in lines], parse_rules(text).ai) == expected


def test_columns_that_a_bill_lacks_say_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    assert judged(connection, [{"BilledCost": "1"}], load_rules().ai) == [None]
    assert judged(connection, [{"Tags": '{"ai":"true"}'}], load_rules().ai) == ["tagged-ai"]
    assert judged(connection, [{"ServiceName": "Vertex AI"}], load_rules().ai) == [None], "another vendor may call something so"


def test_rules_without_any_tags_need_no_tags(connection: duckdb.DuckDBPyConnection) -> None:
    rules = parse_rules('[ai.fields]\nservice_name = ["column:ServiceName"]\n[[ai.rules]]\nname = "only"\nservice_name = ["x"]').ai
    assert judged(connection, [{"ServiceName": "x", "Tags": "{}"}, {"ServiceName": "y"}], rules) == ["only", None]


def test_no_rules_take_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    assert judged(connection, [{"ServiceName": "OpenAI API"}], parse_rules("").ai) == [None]


def test_rows_stay_as_many_and_as_they_are(connection: duckdb.DuckDBPyConnection) -> None:
    execute(
        connection, "CREATE TABLE bill AS SELECT i, CASE WHEN i % 3 = 0 THEN 'OpenAI' END AS provider, {'a': i} AS thing FROM range(1000) AS r(i)"
    )
    answer = judge(connection, "bill", {"providername": "provider"}, load_rules().ai)
    assert answer.kinds
    rows = execute(connection, f"SELECT count(*), count(DISTINCT i), count(ai_rule), count(thing) FROM ({answer.sql('bill')})")
    assert rows == [(1000, 1000, 334, 1000)]


def test_generated_company_is_ai_but_for_its_network_and_a_general_commitment(connection: duckdb.DuckDBPyConnection) -> None:
    frame = next(iter(bulk_rows(3, 20_000, days=120, teams=6)))
    connection.register("bill", frame)
    names = [name for name in frame.columns if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    answer = judge(connection, "bill", {name: f"CAST({quoted_name(name)} AS VARCHAR)" for name in names}, load_rules().ai)
    left_out = execute(connection, f"SELECT DISTINCT ServiceName, ResourceType FROM ({answer.sql('bill')}) WHERE ai_rule IS NULL")
    assert {service for service, kind in left_out if kind != "Commitment"} <= {"AWS Data Transfer", "Cloud Networking"}
    ((share,),) = execute(connection, f"SELECT sum(EffectiveCost) FILTER (ai_rule IS NOT NULL) / sum(EffectiveCost) FROM ({answer.sql('bill')})")
    assert float(str(share)) > 0.95


# files


def test_own_file_changes_what_counts(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(
        '[ai]\ndisable = ["aws-graphics"]\n[[ai.rules]]\nname = "ours"\nservice_name = ["Render farm"]\n[dimensions.team]\nsources = ["tag:squad"]'
    )
    rules = load_rules(file)
    lines = [aws(SkuMeter="BoxUsage:g4ad.xlarge"), other("Us", "Render Farm")]
    assert judged(connection, lines, rules.ai) == [None, "ours"]
    assert rules.digest != load_rules().digest
    assert next(rule for rule in rules.dimensions if rule.dimension == "team").sources[0].column == "Tags"


def test_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml cannot be read"):
        load_rules(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"bytes\.toml cannot be read"):
        load_rules(tmp_path / "bytes.toml")
    (tmp_path / "large.toml").write_text("#" * (2**20 + 1))
    with pytest.raises(InputError, match="1,048,577 bytes"):
        load_rules(tmp_path / "large.toml")


def test_pattern_that_only_python_reads_is_refused_when_the_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("[[ai.rules]]\nname = \"large\"\nservice_name = ['re:(x{1000}){1000}']")
    with pytest.raises(InputError, match=r"large\.service_name has a pattern that cannot be used"):
        load_rules(file)


# staging


def test_ledger_rows_carry_the_rule_by_which_they_are_ai(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    bill = write_csv(
        tmp_path / "bill.csv",
        [
            row(ProviderName="AWS", ServiceName="EC2", SkuMeter="BoxUsage:p5.48xlarge", SkuPriceDetails="", x_instance_type="", Tags=""),
            row(ProviderName="AWS", ServiceName="EC2", SkuMeter="BoxUsage:m5.large", SkuPriceDetails="", x_instance_type="", Tags=""),
            row(ProviderName="AWS", ServiceName="EC2", SkuMeter="Hours", SkuPriceDetails="", x_instance_type="g6.xlarge", Tags=""),
            row(ProviderName="Us", ServiceName="Hall", SkuMeter="Hours", SkuPriceDetails='{"gpucount": "8"}', x_instance_type="", Tags=""),
            row(ProviderName="Us", ServiceName="Hall", SkuMeter="Rent", SkuPriceDetails="", x_instance_type="", Tags="{'genai': 'Yes'}"),
        ],
    )
    ledger = Ledger(tmp_path / "ledger", rules=load_rules())
    ledger.ingest([bill], received_at=moment("2026-02-01"))
    found = execute(
        connection, f"SELECT SkuMeter, x FROM (SELECT SkuMeter, ai_rule AS x, line FROM read_parquet('{tmp_path}/ledger/**/*.parquet')) ORDER BY line"
    )
    assert [rule for _, rule in found] == ["aws-accelerators", None, "aws-accelerators", "gpu-count", "tagged-ai"]
