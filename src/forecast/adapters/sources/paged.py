"""Fetches the pages of a vendor's API over HTTPS: one after the other by `next_page`, again where the vendor is busy, exactly as they are sent.

Answers 429 and 5xx, and connections that fail, are tried again after what `Retry-After` says, else after a time that doubles. Anything else is
final and is a `SourceError` in words of our own with the vendor's reason. A key goes into a header and nowhere else: it is in no message, no
representation and no log, redirects are not followed with it, and plain HTTP is spoken to this machine only.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import ipaddress
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from forecast.adapters.sources.base import SourceError
from forecast.errors import ConfigError

Params = Sequence[tuple[str, str]]

MOST_PAGES = 10_000
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Patience:
    """How often and how long a busy vendor is asked again. sleep : waits some seconds. now : for a `Retry-After` that names a moment."""

    tries: int = 7
    first_seconds: float = 1.0
    most_seconds: float = 120.0
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)

    def wait(self, attempt: int, retry_after: str | None) -> None:
        """attempt : 0 after the first failure."""
        asked = self._asked(retry_after)
        self.sleep(min(self.first_seconds * 2**attempt if asked is None else max(asked, 0.0), self.most_seconds))

    def _asked(self, retry_after: str | None) -> float | None:
        if not retry_after:
            return None
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", retry_after):
            return float(retry_after)
        try:
            moment = email.utils.parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        return (moment - self.now()).total_seconds()


@dataclass(frozen=True)
class PagedApi:
    """One address of one vendor. headers : with the key in it. vendor : as messages call it."""

    vendor: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    patience: Patience = field(default_factory=Patience)
    timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        _check_address(self.vendor, self.url)

    def save(self, params: Params, folder: Path, stem: str) -> tuple[Path, ...]:
        """Write every page that says something as `stem-0001.json`, …; all of them, or SourceError and none. Days without costs say nothing."""
        written: list[Path] = []
        try:
            with httpx.Client(timeout=self.timeout_seconds, headers=dict(self.headers), follow_redirects=False) as client:
                cursor: str | None = None
                seen: set[str] = set()
                for number in range(1, MOST_PAGES + 1):
                    content, says_something, following = self._page(client, params, cursor)
                    if says_something:
                        written.append(folder / f"{stem}-{number:04d}.json")
                        written[-1].write_bytes(content)
                    if following is None:
                        return tuple(written)
                    if following in seen:
                        break
                    seen.add(following)
                    cursor = following
                raise SourceError(f"{self.vendor} sends pages without end: after {number} pages it names one that was sent before, or still another")
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise

    def _page(self, client: httpx.Client, params: Params, cursor: str | None) -> tuple[bytes, bool, str | None]:
        """A page as it was sent, whether there is anything in it, and the cursor of the one after it."""
        answer = self._asked(client, [*params, *([("page", cursor)] if cursor is not None else [])])
        try:
            document: Any = json.loads(answer.content)
        except ValueError:
            document = None
        if not isinstance(document, dict) or not isinstance(document.get("data"), list):
            raise SourceError(f"{self.vendor} answered with something that is not a page of costs: {_shortened(answer.text)!r}")
        following = document.get("next_page")
        if document.get("has_more") and not following:
            raise SourceError(f"{self.vendor} says that there are more pages and does not say which is the next one")
        says_something = any(not isinstance(bucket, dict) or bucket.get("results") != [] for bucket in document["data"])
        return answer.content, says_something, str(following) if following and document.get("has_more", True) else None

    def _asked(self, client: httpx.Client, params: Params) -> httpx.Response:
        problem = ""
        for attempt in range(self.patience.tries):
            retry_after = None
            try:
                answer = client.get(self.url, params=httpx.QueryParams(list(params)))
            except httpx.TransportError as error:
                problem = f"cannot be reached ({type(error).__name__})"
            else:
                if answer.status_code == 200:
                    return answer
                if answer.status_code != 429 and answer.status_code < 500:
                    raise SourceError(self._refusal(answer))
                problem = f"is busy or broken (HTTP {answer.status_code})"
                retry_after = answer.headers.get("retry-after")
            if attempt + 1 < self.patience.tries:
                self.patience.wait(attempt, retry_after)
        raise SourceError(f"{self.vendor} {problem}; asked {self.patience.tries} times")

    def _refusal(self, answer: httpx.Response) -> str:
        if answer.status_code in (401, 403):
            # The vendor's own words may repeat the key.
            return f"{self.vendor} refuses the key (HTTP {answer.status_code}): costs need the key of an administrator of the organisation"
        return f"{self.vendor} refuses the question (HTTP {answer.status_code}): {self._without_secrets(_reason(answer))}"

    def _without_secrets(self, text: str) -> str:
        for value in self.headers.values():
            for secret in {value, value.removeprefix("Bearer ")}:
                text = text.replace(secret, "…") if len(secret) > 8 else text
        return text


def key_from(environment: Mapping[str, str], name: str, vendor: str) -> str:
    """A key from an environment variable; ConfigError says which one is missing. Blanks around it are a copying mistake."""
    key = environment.get(name, "").strip()
    if not key:
        raise ConfigError(f"{vendor} needs the key of an administrator of the organisation in the environment variable {name}; it is not set")
    if not key.isascii() or any(character.isspace() for character in key):
        raise ConfigError(f"The key of {vendor} in the environment variable {name} has characters that no key has")
    return key


def _check_address(vendor: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(parts.hostname or "")):
        return
    raise ConfigError(f"{vendor} is not asked at {parts.scheme}://{parts.hostname}: a key goes over https only")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(answer: httpx.Response) -> str:
    """The vendor's own words: both vendors send `{"error": {"message": …}}`."""
    try:
        error = answer.json()["error"]
        return _shortened(str(error["message"] if isinstance(error, dict) else error))
    except (ValueError, KeyError, TypeError):
        return _shortened(answer.text)


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST_REASON else f"{plain[:_LONGEST_REASON]}…"
