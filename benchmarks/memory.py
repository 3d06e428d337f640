"""Peak memory beyond the inputs, of one contender in a process of its own."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from .plan import COMPILED, Job
from .runners import RUNNERS
from .workloads import Workload


def peak(job: Job, name: str, step: str) -> dict[str, Any]:
    """The bytes that a pass needs beyond its inputs at its peak, the gradient included."""
    runner, work = RUNNERS[job.runner], job.work
    tiny = runner.field(replace(work, shape=_tiny(work)), only=name)
    if not tiny.contenders:
        return {"absent": tiny.absent.get(name, "no such loss")}
    del tiny
    field = runner.field(work, only=name, run=False)
    if not field.contenders:
        return {"absent": field.absent.get(name, "no such loss")}
    contender = field.contenders[0]
    call = contender.step(step)
    if job.runner in COMPILED:
        call()
    found: dict[str, Any] = {}
    gauge = _Device() if job.runner.startswith("cu") else _Host()
    gauge.reset()
    result = call()
    found["bytes"] = gauge.peak()
    del result
    if contender.temporaries is not None:
        found["temporaries"] = contender.temporaries(step)
    return found


def _tiny(work: Workload) -> tuple[int, ...]:
    return (1, work.shape[1], *(16,) * (len(work.shape) - 2))


class _Host:
    """The resident memory of this process: the kernel's high-water mark, reset beforehand."""

    def reset(self) -> None:
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        self._before = _status("VmRSS")

    def peak(self) -> int:
        return _status("VmHWM") - self._before


class _Device:
    """The memory of the GPU, sampled: it is the same for torch and CuPy."""

    def reset(self) -> None:
        gc.collect()
        self._cuda = importlib.import_module("torch").cuda
        self._cuda.empty_cache()
        free, _ = self._cuda.mem_get_info()
        self._free = self._least = free
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(1e-4):
            self._least = min(self._least, self._cuda.mem_get_info()[0])

    def peak(self) -> int:
        self._done.set()
        self._thread.join()
        return self._free - min(self._least, self._cuda.mem_get_info()[0])


def _status(key: str) -> int:
    """A figure of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)
