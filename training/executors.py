"""Worker processes for a backtest: one thread each, started fresh, ended with the block.

Processes are spawned, not forked: a fork of a process in which OpenMP has run (LightGBM, DuckDB's threads) may hang for ever.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores(threads: int = 0) -> int:
    """Cores to use: the setting, or (0) all that this process may run on."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(threads, available) if threads else available


@contextmanager
def workers(most: int) -> Iterator[ProcessPoolExecutor | None]:
    """An executor of up to `most` processes; None where one would do, so that the caller computes by itself."""
    if most < 2:
        yield None
        return
    # Libraries read these when they are loaded, which in a spawned process is after it was started.
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        with ProcessPoolExecutor(most, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
