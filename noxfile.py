"""The checks of xploss: plain ``nox`` runs all that this machine can run."""

import ctypes
import re
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"

CONSTRAINTS = Path(__file__).parent / "constraints.txt"
BACKENDS = ("numpy", "strict", "torch", "jax", "cupy")


@nox.session
def lint(session: nox.Session) -> None:
    """Check the formatting and the lint rules."""
    install(session, "ruff")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types, strictly."""
    install(session, "-e", ".", "mypy", "nox")
    session.run("mypy")


@nox.session
@nox.parametrize("backend", BACKENDS, ids=BACKENDS)
def tests(session: nox.Session, backend: str) -> None:
    """Run the tests on one backend, with no other framework installed."""
    check(session, backend, "tests")


@nox.session(default=False)
@nox.parametrize("backend", BACKENDS, ids=BACKENDS)
def conformance(session: nox.Session, backend: str) -> None:
    """Compare one backend with the oracle, the laws and the traps, and write its report."""
    check(session, backend, "conformance")


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demo and its tests, with NumPy alone."""
    install(session, "-e", ".[demo,test]")
    picture = Path(session.create_tmp()) / "xploss-demo.png"
    session.run("python", "-m", "xploss", "demo", "--out", str(picture))
    session.run("pytest", "tests/test_demo.py", env={"XPLOSS_BACKENDS": "numpy"})


@nox.session(default=False)
def pins(session: nox.Session) -> None:
    """Write constraints.txt anew from the newest releases; torch stays, and is raised by hand."""
    header, *old = CONSTRAINTS.read_text().splitlines()
    torch = next(line for line in old if line.startswith("torch=="))
    session.install("-e", ".[demo,jax,strict,test]", torch, "hatchling", "mypy", "nox", "ruff")
    session.install("--no-deps", "cupy-cuda12x", "cupy-cuda13x", "cuda-pathfinder")
    frozen = str(session.run("pip", "freeze", "--exclude-editable", silent=True))
    # CuPy and torch each ask for CUDA libraries of their own.
    cuda = re.compile(r"nvidia-|triton|cuda-(?!pathfinder)")
    pinned = [line.split("+")[0] for line in frozen.splitlines() if not cuda.match(line)]
    CONSTRAINTS.write_text("\n".join([header, *pinned, ""]))


def check(session: nox.Session, backend: str, folder: str) -> None:
    """Run the tests of a folder with a backend alone installed."""
    extra = cupy_extra(session) if backend == "cupy" else backend
    extras = "test" if backend == "numpy" else f"test,{extra}"
    install(session, "-e", f".[{extras}]")
    session.run("pytest", folder, *session.posargs, env={"XPLOSS_BACKENDS": backend})


def install(session: nox.Session, *packages: str) -> None:
    """Install packages, and what builds them, at the pinned versions."""
    pinned = str(CONSTRAINTS)
    session.install(*packages, env={"PIP_CONSTRAINT": pinned, "PIP_BUILD_CONSTRAINT": pinned})


def cupy_extra(session: nox.Session) -> str:
    """Name the extra whose CuPy fits this machine's driver; without a GPU, skip the session."""
    cuda = cuda_version()
    if cuda is None:
        session.skip("no CUDA GPU found on this machine")
    return "cupy-cuda13" if cuda >= 13 else "cupy-cuda12"


def cuda_version() -> int | None:
    """Ask the driver for its major CUDA version; None without a driver or a GPU."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    count, version = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return None
    driver.cuDriverGetVersion(ctypes.byref(version))
    return version.value // 1000
