"""The checks of xploss: plain ``nox`` runs all that this machine can run."""

import ctypes
import re
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"

CONSTRAINTS = Path(__file__).parent / "constraints.txt"
BACKENDS = ("numpy", "strict", "torch", "jax", "cupy")
TOOLS = ("hatchling", "mypy", "nox", "pytest-xdist", "ruff")
PARALLEL = ("-n", "auto", "--maxprocesses", "4", "--dist", "worksteal")
PEERS = (
    "absl-py==2.5.1", "h5py==3.16.0", "keras==3.15.1", "kornia==0.9.0", "kornia_rs==0.2.0",
    "lightning-utilities==0.15.3", "markdown-it-py==4.3.0", "mdurl==0.1.2", "monai==1.6.1",
    "namex==0.1.0", "optax==0.2.8", "optree==0.20.0", "rich==15.0.0", "torchmetrics==1.9.0",
)  # fmt: skip
"""Libraries whose losses ours are compared with; all else at the versions of constraints.txt."""
LOSSES_ONLY = ("nnunetv2==2.8.1", "segmentation_models_pytorch==0.6.0")
"""Of these only the losses are imported, which need torch alone."""


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


@nox.session
@nox.parametrize("backend", BACKENDS, ids=BACKENDS)
def conformance(session: nox.Session, backend: str) -> None:
    """Compare one backend with the oracle, the laws and the traps; -- --report writes it down."""
    check(session, backend, "conformance")


@nox.session(default=False)
def peers(session: nox.Session) -> None:
    """Compare values and gradients with those of other libraries; docs/migration.md shows them."""
    install(session, "-e", ".[test,torch,jax]", *PEERS)
    session.install("--no-deps", *LOSSES_ONLY)
    given = {"XPLOSS_BACKENDS": "torch,jax"}
    session.run("pytest", "conformance/test_peers.py", *session.posargs, env=given)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Measure what the tests cover on NumPy, torch and JAX together, and write docs/coverage.md."""
    install(session, "-e", ".[demo,jax,strict,test,torch]", "pytest-xdist")
    backends = ("numpy", "torch", "jax", "strict")
    for backend in backends:
        given = {"COVERAGE_FILE": f".coverage.{backend}", "XPLOSS_BACKENDS": backend}
        session.run("pytest", "tests", *PARALLEL, "--cov", "--cov-report=", env=given)
    *three, strict = (f".coverage.{backend}" for backend in backends)
    session.run("coverage", "combine", "--keep", *three)
    for data, report in ((".coverage", ".coverage.json"), (strict, ".coverage.strict.json")):
        session.run("coverage", "json", "-q", f"--data-file={data}", "-o", report)
    session.run("python", "-m", "conformance.coverage", ".coverage.json", ".coverage.strict.json")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure time and memory beside other libraries; arguments are those of the benchmarks."""
    install(session, "-e", ".[demo,test,torch,jax]", *PEERS)
    session.install("--no-deps", *LOSSES_ONLY)
    session.run("python", "-m", "benchmarks", *(session.posargs or ("run",)))


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
    session.install("-e", ".[demo,jax,strict,test]", torch, *TOOLS)
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
    install(session, "-e", f".[{extras}]", "pytest-xdist")
    # several processes share the cores: torch's threads are not to wait in a loop
    given = {"XPLOSS_BACKENDS": backend, "OMP_WAIT_POLICY": "passive"}
    session.run("pytest", folder, *PARALLEL, *session.posargs, env=given)


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
