"""OpenAI's costs, pulled from `/v1/organization/costs`, grouped by project and line item; the format openai-costs reads its pages.

The key is that of an administrator (`sk-admin-…`) in OPENAI_ADMIN_KEY. A pull stands for all that OpenAI said before about its days.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forecast.adapters.sources.base import Pulled
from forecast.adapters.sources.paged import PagedApi, Patience, key_from

KEY_VARIABLE = "OPENAI_ADMIN_KEY"
ADDRESS = "https://api.openai.com"
_MOST_BUCKETS = "180"


@dataclass(frozen=True)
class OpenAISource:
    key: str = field(repr=False)
    address: str = ADDRESS
    patience: Patience = field(default_factory=Patience)
    name: str = "openai"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> OpenAISource:
        """ConfigError where OPENAI_ADMIN_KEY is missing."""
        return cls(key_from(environment, KEY_VARIABLE, "OpenAI"))

    def pull(self, since: dt.date, until: dt.date, folder: Path) -> Sequence[Pulled]:
        api = PagedApi("OpenAI", f"{self.address}/v1/organization/costs", {"Authorization": f"Bearer {self.key}"}, self.patience)
        params = [
            ("start_time", str(_epoch(since))),
            ("end_time", str(_epoch(until))),
            ("bucket_width", "1d"),
            ("group_by", "project_id"),
            ("group_by", "line_item"),
            ("limit", _MOST_BUCKETS),
        ]
        pages = api.save(params, folder, f"openai-costs-{since}-{until}")
        return [Pulled(pages, format="openai-costs", replace=True, covers="days")] if pages else []


def _epoch(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp())
