"""The conditions of a measurement: which allocator, and what else the machine does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ALLOCATORS = ("default", "keeping")
LOADS = ("idle", "busy")

_KEEPING = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 36),
    "MALLOC_TOP_PAD_": str(1 << 28),
}
"""glibc: nothing is mapped on its own and given back, so that fresh buffers are old memory."""

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "torch"}


@dataclass(frozen=True, order=True)
class Regime:
    """An allocator and a load of the machine."""

    allocator: str = "default"
    load: str = "idle"

    def __str__(self) -> str:
        memory = {"default": "default allocator", "keeping": "allocator keeps its memory"}
        load = {"idle": "otherwise idle", "busy": "one core busy"}
        return f"{memory[self.allocator]}, {load[self.load]}"

    def environment(self) -> dict[str, str]:
        """The environment of a process under this allocator."""
        plain = {k: v for k, v in os.environ.items() if k not in _KEEPING}
        return {**plain, **_QUIET, **(_KEEPING if self.allocator == "keeping" else {})}

    @contextmanager
    def working(self) -> Iterator[None]:
        """Keep one core busy meanwhile, if that is the load."""
        if self.load == "idle":
            yield
            return
        spin = subprocess.Popen([sys.executable, "-c", _SPIN])
        try:
            yield
        finally:
            spin.kill()
            spin.wait()


REGIMES = tuple(Regime(allocator, load) for load in LOADS for allocator in ALLOCATORS)

_SPIN = """
import os
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
while True:
    pass
"""
