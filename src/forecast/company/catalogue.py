"""What can be bought: AI models, GPU instances, licences, regions, and the names a company is made of.

Names are those of real products so that reports read naturally. Prices are near the public ones of 2025; launch and
price-cut dates are drawn by the seed and are inventions. Nothing here is a statement about a vendor.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """A place to run; `id` as the provider writes it."""

    id: str
    name: str


@dataclass(frozen=True)
class Provider:
    """Who bills. `discount` bounds the negotiated discount on list prices (shares)."""

    name: str
    publisher: str
    account: str
    regions: tuple[Region, ...]
    discount: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class AiModel:
    """A language model; prices in USD per million LLM tokens."""

    id: str
    input: float
    cached_input: float
    output: float

    def blended(self, input_share: float, cached_share: float) -> float:
        """USD per million LLM tokens at the given split; `cached_share` is the cached part of the input."""
        plain = input_share * (1.0 - cached_share)
        return plain * self.input + input_share * cached_share * self.cached_input + (1.0 - input_share) * self.output


@dataclass(frozen=True)
class ModelFamily:
    """A line of models that succeed each other, oldest first; usage moves on after each release."""

    name: str
    developer: str
    provider: str
    weight: float
    models: tuple[AiModel, AiModel, AiModel]


@dataclass(frozen=True)
class GpuInstance:
    """A rented machine; `hourly` is its on-demand price in USD per hour."""

    provider: str
    service: str
    type: str
    gpu_count: int
    hourly: float


@dataclass(frozen=True)
class LicenceProduct:
    """Seats bought on the first of each month; `monthly` is USD per seat."""

    provider: str
    service: str
    category: str
    subcategory: str
    workload: str
    stage: str
    monthly: float


PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("OpenAI", "OpenAI, LLC", "org-openai", (Region("us", "United States"), Region("eu", "Europe")), (0.0, 0.08)),
        Provider("Anthropic", "Anthropic, PBC", "org-anthropic", (Region("us", "United States"), Region("global", "Global")), (0.0, 0.06)),
        Provider(
            "Google Cloud",
            "Google LLC",
            "0A1B2C-3D4E5F",
            (Region("us-central1", "Iowa"), Region("europe-west4", "Netherlands"), Region("asia-northeast1", "Tokyo")),
            (0.0, 0.10),
        ),
        Provider(
            "AWS",
            "Amazon Web Services, Inc.",
            "310000000001",
            (
                Region("us-east-1", "US East (N. Virginia)"),
                Region("eu-west-1", "Europe (Ireland)"),
                Region("ap-southeast-2", "Asia Pacific (Sydney)"),
            ),
            (0.02, 0.12),
        ),
        Provider("Pinecone", "Pinecone Systems, Inc.", "org-pinecone", (Region("aws-us-east-1", "AWS US East (N. Virginia)"),)),
        Provider("GitHub", "GitHub, Inc.", "enterprise-github", (Region("global", "Global"),)),
        Provider("Northwind AI", "Northwind AI", "datacentre-1", (Region("dc-frankfurt", "Frankfurt"),)),
        Provider("Notion", "Notion Labs, Inc.", "workspace-notion", (Region("global", "Global"),)),
    )
}

OPENAI, ANTHROPIC, GOOGLE, AWS = "OpenAI", "Anthropic", "Google Cloud", "AWS"
COMPANY_NAME = "Northwind AI"
ON_PREMISES = COMPANY_NAME
"""The provider of what runs in the company's own data centre is the company."""
ON_PREMISES_SERVICE = "GPU Data Centre"
TRANSFER_SERVICES: dict[str, str] = {AWS: "AWS Data Transfer", GOOGLE: "Cloud Networking"}
LLM_SERVICES: dict[str, str] = {OPENAI: "OpenAI API", ANTHROPIC: "Claude API", GOOGLE: "Vertex AI"}

FAMILIES: tuple[ModelFamily, ...] = (
    ModelFamily(
        "GPT", OPENAI, OPENAI, 0.5, (AiModel("gpt-4o", 2.5, 1.25, 10.0), AiModel("gpt-4.1", 2.0, 0.5, 8.0), AiModel("gpt-5", 1.25, 0.125, 10.0))
    ),
    ModelFamily(
        "GPT mini",
        OPENAI,
        OPENAI,
        0.3,
        (AiModel("gpt-4o-mini", 0.15, 0.075, 0.6), AiModel("gpt-4.1-mini", 0.4, 0.1, 1.6), AiModel("gpt-5-mini", 0.25, 0.025, 2.0)),
    ),
    ModelFamily(
        "o mini",
        OPENAI,
        OPENAI,
        0.2,
        (AiModel("o1-mini", 1.1, 0.55, 4.4), AiModel("o3-mini", 1.1, 0.55, 4.4), AiModel("o4-mini", 1.1, 0.275, 4.4)),
    ),
    ModelFamily(
        "Claude Sonnet",
        ANTHROPIC,
        ANTHROPIC,
        0.55,
        (AiModel("claude-3-7-sonnet", 3.0, 0.3, 15.0), AiModel("claude-sonnet-4", 3.0, 0.3, 15.0), AiModel("claude-sonnet-4-5", 3.0, 0.3, 15.0)),
    ),
    ModelFamily(
        "Claude Haiku",
        ANTHROPIC,
        ANTHROPIC,
        0.3,
        (AiModel("claude-3-haiku", 0.25, 0.03, 1.25), AiModel("claude-3-5-haiku", 0.8, 0.08, 4.0), AiModel("claude-haiku-4-5", 1.0, 0.1, 5.0)),
    ),
    ModelFamily(
        "Claude Opus",
        ANTHROPIC,
        ANTHROPIC,
        0.15,
        (AiModel("claude-opus-4", 15.0, 1.5, 75.0), AiModel("claude-opus-4-1", 15.0, 1.5, 75.0), AiModel("claude-opus-4-5", 5.0, 0.5, 25.0)),
    ),
    ModelFamily(
        "Gemini Flash",
        "Google",
        GOOGLE,
        0.45,
        (AiModel("gemini-2.0-flash", 0.15, 0.04, 0.6), AiModel("gemini-2.5-flash", 0.3, 0.03, 2.5), AiModel("gemini-3-flash", 0.5, 0.05, 3.0)),
    ),
    ModelFamily(
        "Gemini Pro",
        "Google",
        GOOGLE,
        0.35,
        (AiModel("gemini-1.5-pro", 1.25, 0.31, 5.0), AiModel("gemini-2.5-pro", 1.25, 0.125, 10.0), AiModel("gemini-3-pro", 2.0, 0.2, 12.0)),
    ),
    ModelFamily(
        "Gemini Flash-Lite",
        "Google",
        GOOGLE,
        0.2,
        (
            AiModel("gemini-1.5-flash", 0.075, 0.019, 0.3),
            AiModel("gemini-2.0-flash-lite", 0.075, 0.02, 0.3),
            AiModel("gemini-2.5-flash-lite", 0.1, 0.01, 0.4),
        ),
    ),
)

GENERATIONS = 3
FAMILIES_PER_VENDOR = 3
LLM_PROVIDERS = (OPENAI, ANTHROPIC, GOOGLE)
FAMILIES_OF: dict[str, tuple[int, ...]] = {
    vendor: tuple(number for number, family in enumerate(FAMILIES) if family.provider == vendor) for vendor in LLM_PROVIDERS
}
"""Positions of each vendor's families; as many for every vendor, so that they fill an array."""

GPU_SERVICES: dict[str, str] = {AWS: "Amazon Elastic Compute Cloud", GOOGLE: "Compute Engine"}
GPU_INSTANCES: tuple[GpuInstance, ...] = (
    GpuInstance(AWS, GPU_SERVICES[AWS], "p5.48xlarge", 8, 55.04),
    GpuInstance(AWS, GPU_SERVICES[AWS], "p4d.24xlarge", 8, 21.96),
    GpuInstance(AWS, GPU_SERVICES[AWS], "g6e.12xlarge", 4, 10.49),
    GpuInstance(AWS, GPU_SERVICES[AWS], "g6.12xlarge", 4, 4.60),
    GpuInstance(AWS, GPU_SERVICES[AWS], "g6e.xlarge", 1, 1.861),
    GpuInstance(AWS, GPU_SERVICES[AWS], "g6.xlarge", 1, 0.8048),
    GpuInstance(GOOGLE, GPU_SERVICES[GOOGLE], "a3-highgpu-8g", 8, 88.49),
    GpuInstance(GOOGLE, GPU_SERVICES[GOOGLE], "a2-highgpu-8g", 8, 29.39),
    GpuInstance(GOOGLE, GPU_SERVICES[GOOGLE], "a2-highgpu-2g", 2, 7.35),
    GpuInstance(GOOGLE, GPU_SERVICES[GOOGLE], "g2-standard-48", 4, 4.0),
    GpuInstance(GOOGLE, GPU_SERVICES[GOOGLE], "g2-standard-4", 1, 0.71),
)

LICENCES: tuple[LicenceProduct, ...] = (
    LicenceProduct("GitHub", "GitHub Copilot", "Developer Tools", "Other (Developer Tools)", "coding-licences", "dev", 39.0),
    LicenceProduct("Notion", "Notion AI", "Business Applications", "Productivity and Collaboration", "workspace-licences", "prod", 20.0),
)

TEAM_NAMES: tuple[str, ...] = (
    "search", "ads", "assistant", "support", "research", "risk", "growth", "platform", "content", "maps", "payments", "logistics",
    "vision", "speech", "security", "analytics", "commerce", "mobile", "legal", "finance", "health", "devtools", "localisation", "pricing",
)  # fmt: skip
PROJECT_NAMES: tuple[str, ...] = (
    "atlas", "borealis", "cobalt", "delta", "ember", "falcon", "garnet", "harbor", "indigo", "juniper", "kestrel", "lumen",
    "meridian", "nimbus", "onyx", "prism", "quartz", "raven", "sable", "tundra", "umbra", "vertex", "willow", "zenith",
)  # fmt: skip
PRODUCT_WORKLOADS: tuple[str, ...] = (
    "chat-assistant", "semantic-search", "document-extraction", "support-agent", "content-moderation", "summarisation",
    "recommendations", "translation", "voice-agent", "fraud-scoring", "image-captions", "query-rewriting",
)  # fmt: skip
