"""What a measurement was made on."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from .ratios import quantile

PACKAGES = (
    "xploss",
    "numpy",
    "torch",
    "segmentation_models_pytorch",
    "monai",
    "kornia",
    "keras",
    "torchmetrics",
    "jax",
    "optax",
    "cupy",
    "cupy-cuda12x",
    "cupy-cuda13x",
)
_COPIED = 1 << 27


def describe() -> dict[str, Any]:
    """Versions, hardware and date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}",
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "gpu": _gpu(),
        "memory_gib": round(_memory() / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {name: _version(name) for name in PACKAGES},
    }


class Neighbours:
    """How many cores other processes keep busy, from the kernel's counters."""

    def __init__(self) -> None:
        self._begin = self._now()

    def cores(self) -> float | None:
        """The average since the beginning; None where the kernel does not say."""
        if self._begin is None or (now := self._now()) is None:
            return None
        passed, busy, own = (b - a for a, b in zip(self._begin, now, strict=True))
        return round(max(busy - own, 0.0) / max(passed, 1e-9), 2)

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Seconds passed, busy on all cores, and of this process."""
        try:
            ticks = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
        except OSError:
            return None
        busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy, time.process_time()


def copy_bandwidth(runner: str) -> float:
    """The bytes per second that a copy reads and writes, where a runner computes."""
    copy = _copy(runner)
    copy()
    seconds = []
    for _ in range(9):
        begin = time.perf_counter()
        copy()
        seconds.append(time.perf_counter() - begin)
    return 2 * _COPIED / quantile(seconds, 0.5)


def _copy(runner: str) -> Callable[[], object]:
    if runner == "cupy":
        return _cupy_copy()
    if runner == "jax gpu":
        return _jax_copy()
    if runner.startswith("cuda"):
        return _torch_copy("cuda")
    try:
        return _torch_copy("cpu")
    except ImportError:
        return _numpy_copy()


def _cupy_copy() -> Callable[[], object]:
    cupy = importlib.import_module("cupy")
    source, to = cupy.ones(_COPIED // 4, "float32"), cupy.ones(_COPIED // 4, "float32")

    def copy() -> None:
        to[...] = source
        cupy.cuda.get_current_stream().synchronize()

    return copy


def _jax_copy() -> Callable[[], object]:
    """JAX writes to no old buffer: its pool gives the same one again."""
    jax = importlib.import_module("jax")
    source = jax.device_put(jax.numpy.ones(_COPIED // 4, "float32"), jax.devices("gpu")[0])
    return lambda: jax.block_until_ready(jax.numpy.negative(source))


def _torch_copy(device: str) -> Callable[[], None]:
    torch = importlib.import_module("torch")
    source = torch.ones(_COPIED // 4, device=device)
    to = torch.ones_like(source)

    def copy() -> None:
        to.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()

    return copy


def _numpy_copy() -> Callable[[], None]:
    numpy = importlib.import_module("numpy")
    source, to = numpy.ones(_COPIED // 4, "float32"), numpy.ones(_COPIED // 4, "float32")
    return lambda: numpy.copyto(to, source)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return getattr(_imported(name), "__version__", None)


def _imported(name: str) -> Any:
    """A package that runs from its sources; None if it is not there."""
    try:
        return importlib.import_module(name) if name == "xploss" else None
    except ImportError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _gpu() -> str | None:
    """The name of the GPU, its memory and driver, as the driver's own tool tells."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = "--query-gpu=name,memory.total,driver_version"
    told = subprocess.run(
        [tool, asked, "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip().split("\n")[0] or None


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return 0
