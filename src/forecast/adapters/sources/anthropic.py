"""Anthropic's cost report, pulled from `/v1/organizations/cost_report`, grouped by workspace and description; the format anthropic-cost reads it.

The key is that of an administrator (`sk-ant-admin…`) in ANTHROPIC_ADMIN_KEY. A pull stands for all that Anthropic said before about its days.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forecast.adapters.sources.base import Pulled
from forecast.adapters.sources.paged import PagedApi, Patience, key_from

KEY_VARIABLE = "ANTHROPIC_ADMIN_KEY"
ADDRESS = "https://api.anthropic.com"
VERSION = "2023-06-01"
_MOST_BUCKETS = "31"


@dataclass(frozen=True)
class AnthropicSource:
    key: str = field(repr=False)
    address: str = ADDRESS
    patience: Patience = field(default_factory=Patience)
    name: str = "anthropic"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> AnthropicSource:
        """ConfigError where ANTHROPIC_ADMIN_KEY is missing."""
        return cls(key_from(environment, KEY_VARIABLE, "Anthropic"))

    def pull(self, since: dt.date, until: dt.date, folder: Path) -> Sequence[Pulled]:
        headers = {"x-api-key": self.key, "anthropic-version": VERSION}
        api = PagedApi("Anthropic", f"{self.address}/v1/organizations/cost_report", headers, self.patience)
        params = [
            ("starting_at", f"{since}T00:00:00Z"),
            ("ending_at", f"{until}T00:00:00Z"),
            ("bucket_width", "1d"),
            ("group_by[]", "workspace_id"),
            ("group_by[]", "description"),
            ("limit", _MOST_BUCKETS),
        ]
        pages = api.save(params, folder, f"anthropic-cost-{since}-{until}")
        return [Pulled(pages, format="anthropic-cost", replace=True, covers="days")] if pages else []
