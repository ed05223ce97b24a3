"""The object store that a ledger is in: the files of one state as a dataset, and its library's errors in words of ours.

The library's messages have several lines, terminal colours, addresses with queries and answers of the server; of these only the code is
shown, so that no key and no signature of a request gets into a message or a log.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote

import duckdb
import pyarrow.dataset
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from forecast.errors import ConfigError

_KEYS = "the store's environment variables (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for s3)"

_MEANINGS = (
    (r"URL scheme is not allowed", "its endpoint is http://, which is not encrypted: where that is meant, set allow_http = true in ledger_options"),
    (r"NoSuchBucket|ContainerNotFound|specified bucket does not exist", "there is no such bucket: it is made by whoever owns the store"),
    (
        r"SignatureDoesNotMatch|InvalidAccessKeyId|InvalidToken|ExpiredToken|AuthenticationFailed|InvalidAuthenticationInfo|\b401\b",
        f"the store does not know these keys; they come from {_KEYS}",
    ),
    (r"AccessDenied|necessary privileges|AuthorizationFailure|AuthorizationPermissionMismatch|\b403 Forbidden", "these keys may not do that there"),
    (r"169\.254\.169\.254|metadata\.google|credential", f"there are no keys: they come from {_KEYS}"),
    (r"SlowDown|\b503 |\b429 ", "the store is too busy"),
    (r"dns error|failed to lookup", "the name of its endpoint is not known"),
    (r"Connect|tcp|error sending request|timed? ?out|connection|reset", "nobody answers at its endpoint, or the connection was lost"),
)
"""What is found in a message of the library, and what it means; the first that fits."""


@contextmanager
def reaching(address: str) -> Iterator[None]:
    """What goes wrong with the store inside is a ConfigError that says what to do. Everything else passes: our errors, lost races, local files."""
    try:
        yield
    except CommitFailedError:
        raise
    except (OSError, DeltaError, duckdb.Error) as error:
        if "://" not in address or not _is_about_the_store(error):
            raise
        # Without its cause: a traceback shows what the server sent back.
        raise ConfigError(f"The ledger {address} cannot be used: {meaning_of(str(error))}") from None


def _is_about_the_store(error: Exception) -> bool:
    if isinstance(error, duckdb.Error):
        return "Python exception: OSError" in str(error)
    # The store's library gives no number; the operating system always does.
    return not isinstance(error, OSError) or error.errno is None


def meaning_of(message: str) -> str:
    """One sentence about an error of the store's library; without queries of addresses and without what the server sent back."""
    plain = re.sub(r"\x1b\[[0-9;]*m|↳", " ", message)
    code = re.search(r"<Code>(\w+)</Code>", plain)
    short = re.sub(r"<.*", "", plain, flags=re.DOTALL)
    short = " ".join(re.sub(r"\?\S*", "", short).split())[:300]
    found = next((words for pattern, words in _MEANINGS if re.search(pattern, plain, re.IGNORECASE)), None)
    if found is None:
        return short + (f" ({code[1]})" if code else "")
    status = re.search(r"\b[45]\d\d [A-Z]\w+", plain)
    told = code[1] if code else status[0] if status else None
    return found + (f" ({told})" if told else "")


def check_reach(address: str, options: dict[str, str] | None) -> None:
    """ConfigError where the store cannot be reached or does not let us look; whether there is a ledger does not matter."""
    with reaching(address), suppress(TableNotFoundError):
        # Not `is_deltatable`, which waits for the network with Python's lock held and stops every thread of a service.
        DeltaTable(address, storage_options=options)


def dataset_of(table: DeltaTable, paths: Collection[str]) -> pyarrow.dataset.Dataset:
    """The named data files of the table as an Arrow dataset: readers get only the columns, files and row groups that they ask for.

    paths : relative to the table, as its log has them, decoded.
    """
    whole = table.to_pyarrow_dataset()
    wanted = [fragment for fragment in whole.get_fragments() if unquote(fragment.path) in paths]
    return pyarrow.dataset.FileSystemDataset(wanted, whole.schema, whole.format, whole.filesystem)
