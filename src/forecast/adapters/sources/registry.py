"""All sources that can be asked by name. A vendor's API is one file with a `SpendSource`, and one line here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from forecast.adapters.sources.anthropic import AnthropicSource
from forecast.adapters.sources.base import SpendSource
from forecast.adapters.sources.openai import OpenAISource
from forecast.errors import InputError

Maker = Callable[[Mapping[str, str]], SpendSource]
"""Makes a source from the environment, where its key is; ConfigError says what is missing."""

SOURCES: Mapping[str, Maker] = {
    "anthropic": AnthropicSource.from_environment,
    "openai": OpenAISource.from_environment,
}


def source_named(name: str, environment: Mapping[str, str] = os.environ, sources: Mapping[str, Maker] = SOURCES) -> SpendSource:
    """The source that the command line calls `name`; InputError names the others."""
    maker = sources.get(name.strip().lower())
    if maker is None:
        allowed = ", ".join(sorted(sources))
        raise InputError(f"No source is called {name!r}; allowed are {allowed}", field="source", got=name, allowed=allowed)
    return maker(environment)
