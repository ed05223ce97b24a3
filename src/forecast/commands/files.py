"""Reading the small files that a command is given, with errors that name the file."""

from __future__ import annotations

from pathlib import Path

from forecast.errors import InputError

MOST_BYTES = 16 * 1024 * 1024


def read_text(path: Path, what: str) -> str:
    """The whole file as UTF-8 text; InputError says what is wrong with it."""
    try:
        if path.is_dir():
            raise InputError(f"{what} {path} is a folder, not a file", field=what, got=str(path), allowed="a file")
        with path.open("rb") as file:
            # What a device or a pipe holds is not known before it is read.
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise InputError(f"{what} {path} is larger than {MOST_BYTES} bytes", field=what, got=str(path), allowed=f"at most {MOST_BYTES} bytes")
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{what} {path} does not exist", field=what, got=str(path), allowed="a file that exists") from None
    except UnicodeDecodeError:
        raise InputError(f"{what} {path} is not UTF-8 text", field=what, got=str(path), allowed="UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror}", field=what, got=str(path), allowed="a file that can be read") from None
    if not text.strip():
        raise InputError(f"{what} {path} is empty", field=what, got=str(path), allowed="a file with content")
    return text
