"""The service as a process of its own: start it, wait until it answers, stop it. Both `forecast serve` and the demo do this."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from forecast.errors import InputError, ModelError

if TYPE_CHECKING:
    from forecast.config import Settings

SERVICE = "forecast.serving.service:SpendForecastService"
SERVICE_NAME = "spend_forecast"
LIVE_SECONDS = 60.0
"""How long a start may take; it takes 4 to 6 seconds on two cores."""
STOP_SECONDS = 30.0


class ServiceProcess:
    """`bentoml serve` with this program's own interpreter; `log` is where its lines go (None: standard error)."""

    def __init__(self, settings: Settings, *, host: str = "127.0.0.1", port: int = 3000, workers: int = 1, log: Path | None = None) -> None:
        self.settings, self.host, self.port, self.workers, self.log = settings, host, port, workers, log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers; every interface is also the loopback one."""
        any_interface = ipaddress.ip_address(self.host).is_unspecified
        host = "127.0.0.1" if any_interface else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self) -> None:
        environment = {
            **os.environ,
            "FORECAST_HOME": str(self.settings.home),
            "BENTOML_DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONUNBUFFERED": "1",
        }
        if self.workers != 1:
            options = [os.environ.get("BENTOML_CONFIG_OPTIONS", ""), f"services.{SERVICE_NAME}.workers={self.workers}"]
            environment["BENTOML_CONFIG_OPTIONS"] = " ".join(filter(None, options))
        command = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--host", self.host, "--port", str(self.port)]
        with self._log_file() as output:
            # A session of its own: Ctrl-C is for this process, which then stops the service in good order.
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    @contextmanager
    def _log_file(self) -> Iterator[IO[bytes] | int]:
        if self.log is None:
            yield sys.stderr.fileno()
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as file:
            yield file

    def wait_until(self, path: str = "/readyz", seconds: float = LIVE_SECONDS) -> float:
        """Wait until `path` answers 200; the seconds that it took. ModelError where it does not, with the log's last lines."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self._process is None or self._process.poll() is not None:
                raise ModelError(f"The service stopped while it started{self._last_words()}")
            try:
                if ask(self.address, "GET", path, seconds=5.0)[0] == 200:
                    return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.1)
        raise ModelError(f"The service does not answer at {self.address}{path} after {seconds:.0f} s{self._last_words()}")

    def wait(self) -> int:
        """Until the service ends by itself; its exit code."""
        return 0 if self._process is None else self._process.wait()

    def stop(self) -> None:
        """SIGTERM and wait: requests in flight are answered. Its whole session is ended where it does not obey."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _last_words(self) -> str:
        if self.log is None or not self.log.exists():
            return ""
        lines = [text for text in self.log.read_text(encoding="utf-8", errors="replace").splitlines() if text.strip()]
        return f"; its log {self.log} ends with: {' | '.join(lines[-3:])}" if lines else ""


def check_address(host: str, port: int) -> None:
    """InputError where the service could not listen there; asked before any long work."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        raise InputError(
            f"host is not an IP address: got {host!r}", field="host", got=host, allowed="an IP address such as 127.0.0.1 or 0.0.0.0"
        ) from None
    if not 1 <= port <= 65535:
        raise InputError(f"port is not one: got {port}, allowed are 1 to 65535", field="port", got=port, allowed="1 to 65535")
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"Port {port} on {host} cannot be used ({error.strerror}): another program listens there? Choose one with --port",
                field="port",
                got=port,
                allowed="a free port",
            ) from None


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM ends the block like Ctrl-C does, so that a service that was started is stopped too."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def ask(address: str, method: str, path: str, body: Mapping[str, Any] | None = None, seconds: float = 60.0) -> tuple[int, Any]:
    """(status, answer) of one HTTP question, JSON read where the answer is JSON. OSError where nobody answers."""
    from http.client import HTTPConnection, HTTPException
    from urllib.parse import urlsplit

    connection = HTTPConnection(urlsplit(address).netloc, timeout=seconds)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"} if body is not None else {})
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        is_json = "json" in (response.headers.get("Content-Type") or "")
        return response.status, json.loads(text) if is_json and text else text
    except HTTPException as error:
        raise ConnectionError(f"{method} {path}: {error}") from error
    finally:
        connection.close()
