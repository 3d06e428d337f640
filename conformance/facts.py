"""Facts about this machine and its libraries, for the head of a report."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DISTRIBUTIONS = {
    "numpy": ("numpy",),
    "strict": ("array-api-strict", "numpy"),
    "torch": ("torch", "numpy"),
    "jax": ("jax", "jaxlib", "numpy"),
    "cupy": ("cupy", "cupy-cuda12x", "cupy-cuda13x", "numpy"),
}


def place(backend: str) -> tuple[str, str]:
    """Library and device (or tiles, on a CPU) of a backend as XPLOSS_BACKENDS names it."""
    name, _, device = backend.partition("-")
    return name, device or ("cuda" if name == "cupy" else "cpu")


def collect(backend: str) -> dict[str, str]:
    """Versions and hardware."""
    name, device = place(backend)
    package = import_module("xploss")
    source = f"source {digest(Path(str(package.__file__)).parent)}"
    found = {"xploss": f"{package.__version__}, {source}", "Python": platform.python_version()}
    for distribution in (*DISTRIBUTIONS[name], "array-api-compat"):
        try:
            found[distribution] = version(distribution)
        except PackageNotFoundError:
            continue
    found["CPU"] = f"{_cpu()}, {os.cpu_count()} cores"
    if device in ("cuda", "gpu"):
        found["GPU"] = _gpu(name)
    found["system"] = f"{platform.system()} {platform.machine()}"
    return found


def digest(folder: Path) -> str:
    """The beginning of a SHA-256 of the Python files of a folder, which tells versions apart."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(path.relative_to(folder).as_posix().encode())
        found.update(path.read_text(encoding="utf-8").encode())
    return found.hexdigest()[:12]


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu(name: str) -> str:
    if name == "torch":
        return str(import_module("torch").cuda.get_device_name())
    if name == "jax":
        return str(import_module("jax").devices("gpu")[0].device_kind)
    properties = import_module("cupy").cuda.runtime.getDeviceProperties(0)
    return str(properties["name"].decode())
