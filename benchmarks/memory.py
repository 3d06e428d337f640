"""Peak memory beyond the inputs, of one contender in a process of its own."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from .plan import Job
from .runners import RUNNERS
from .workloads import Workload


def names(job: Job) -> list[str]:
    """The contenders of a job."""
    work = replace(job.work, shape=_tiny(job.work))
    return [c.name for c in RUNNERS[job.runner].field(work, run=False).contenders]


def peak(job: Job, name: str, step: str) -> dict[str, Any]:
    """The bytes that a pass needs beyond its inputs at its peak, the gradient included."""
    runner, work = RUNNERS[job.runner], job.work
    # a first run makes threads, pages of code, and all else that is made once
    field = runner.field(work, only=name)
    if not field.contenders:
        return {"absent": field.absent.get(name, "no such loss")}
    contender = field.contenders[0]
    call = contender.step(step)
    found: dict[str, Any] = {}
    gauge = _gauge(job.runner)
    gauge.reset()
    result = call()
    found["bytes"] = gauge.peak()
    del result
    if contender.temporaries is not None:
        found["temporaries"] = contender.temporaries(step)
    return found


def _tiny(work: Workload) -> tuple[int, ...]:
    return (1, work.shape[1], *(16,) * (len(work.shape) - 2))


def _gauge(runner: str) -> _Host | _Torch | _Jax | _Cupy:
    if runner == "cupy":
        return _Cupy()
    if runner == "jax gpu":
        return _Jax()
    return _Torch() if runner.startswith("cuda") else _Host()


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


class _Torch:
    """The memory of a GPU that torch has handed out."""

    def reset(self) -> None:
        self._cuda = importlib.import_module("torch").cuda
        self._cuda.reset_peak_memory_stats()
        self._before = self._cuda.memory_allocated()

    def peak(self) -> int:
        return int(self._cuda.max_memory_allocated() - self._before)


class _Jax:
    """The memory of a GPU that JAX has handed out at most, in the first call or in the second."""

    def reset(self) -> None:
        gc.collect()
        self._device = importlib.import_module("jax").devices("gpu")[0]
        self._before = self._device.memory_stats()["bytes_in_use"]

    def peak(self) -> int:
        return int(self._device.memory_stats()["peak_bytes_in_use"] - self._before)


class _Cupy:
    """The memory of a GPU that CuPy's pool has taken: it gives nothing back by itself."""

    def reset(self) -> None:
        self._pool = importlib.import_module("cupy").get_default_memory_pool()
        self._pool.free_all_blocks()
        self._before = self._pool.used_bytes()

    def peak(self) -> int:
        return int(self._pool.total_bytes() - self._before)


def _status(key: str) -> int:
    """A figure of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)
