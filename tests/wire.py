"""`python -m tests.wire PORT [LOST]`: forwards a free loopback port, which it prints, to PORT, until it is killed.

LOST : a pattern of a request. The first one that matches reaches the server, and its answer is lost.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
from contextlib import suppress


class Line:
    """One connection and its continuation."""

    lost: re.Pattern[bytes] | None = None

    def __init__(self, near: socket.socket, port: int) -> None:
        self.near, self.far, self.deaf = near, socket.create_connection(("127.0.0.1", port)), False
        for forward in (self._ask, self._answer):
            threading.Thread(target=forward, daemon=True).start()

    def _ask(self) -> None:
        try:
            while data := self.near.recv(65536):
                if Line.lost is not None and Line.lost.search(data):
                    Line.lost, self.deaf = None, True
                self.far.sendall(data)
            self.far.shutdown(socket.SHUT_WR)
        except OSError:
            self._close()

    def _answer(self) -> None:
        with suppress(OSError):
            while (data := self.far.recv(65536)) and not self.deaf:
                self.near.sendall(data)
        self._close()

    def _close(self) -> None:
        for end in (self.near, self.far):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def main(port: int, lost: str | None = None) -> None:
    Line.lost = None if lost is None else re.compile(lost.encode())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            Line(listening.accept()[0], port)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
