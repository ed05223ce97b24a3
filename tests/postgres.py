"""A real PostgreSQL for tests: made in a temporary folder on a free loopback port, gone with the session.

PostgreSQL refuses to run as root, so root starts it as the user `postgres` or `nobody`. Where it is not installed the
tests that need it are skipped, with the reason.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DEBIAN_FOLDERS = "/usr/lib/postgresql"


def find_program(name: str) -> Path | None:
    """`initdb` or `pg_ctl` from the path, or from the newest Debian folder."""
    if found := shutil.which(name):
        return Path(found)
    candidates = sorted(Path(DEBIAN_FOLDERS).glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    return candidates[-1] if candidates else None


@contextmanager
def running_postgres() -> Iterator[str]:
    """Address of an empty database `records`; skips the test where PostgreSQL cannot be started."""
    initdb, pg_ctl = find_program("initdb"), find_program("pg_ctl")
    if initdb is None or pg_ctl is None:
        missing = "PostgreSQL is not installed: neither on the path nor in " + DEBIAN_FOLDERS
        if os.environ.get("FORECAST_REQUIRE_SERVICES"):
            pytest.fail(missing)
        pytest.skip(missing)
    pytest.importorskip("psycopg", reason="psycopg is not installed: the extra `postgres` brings it")
    user = _other_user() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="forecast-postgres-"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data, log, port = folder / "data", folder / "server.log", free_port()
        _run([initdb, "--pgdata", data, "--username", "records", "--auth", "trust", "--encoding", "UTF8", "--no-sync"], user)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        _run([pg_ctl, "--pgdata", data, "--log", log, "--options", options, "--wait", "start"], user)
        try:
            address = f"postgresql://records@127.0.0.1:{port}/postgres"
            yield address
        finally:
            _run([pg_ctl, "--pgdata", data, "--mode", "immediate", "--wait", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _other_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")


def _run(command: list[str | Path], user: pwd.struct_passwd | None) -> None:
    drop: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # A file and not a pipe: the server inherits it and would keep a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        result = subprocess.run(
            list(map(str, command)), stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd="/", timeout=120, check=False, **drop
        )
        if result.returncode:
            output.seek(0)
            pytest.skip(f"PostgreSQL did not start: {command[0]}: {output.read().decode(errors='replace')[-500:]}")
