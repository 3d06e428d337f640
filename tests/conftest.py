"""Fixtures: the backends that are here, and the frameworks of tests written for one."""

import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from .libraries import Library, library, required, selected, why_absent

ABSENT = {name: reason for name in selected() if (reason := why_absent(name))}
PRESENT = [name for name in selected() if name not in ABSENT]

OF_ONE_BACKEND = {
    "torch": [
        "test_torch.py", "test_torch_compile.py", "test_torch_op.py", "test_torch_small.py",
        "test_published.py",
    ],
    "jax": ["test_jax.py"],
}  # fmt: skip
collect_ignore = [
    file for name, files in OF_ONE_BACKEND.items() if name not in PRESENT for file in files
]

# The fixture xp holds no state that an example could change.
_QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile(
    "short", derandomize=True, max_examples=20, deadline=None, suppress_health_check=_QUIET
)
settings.register_profile("long", max_examples=1000, deadline=None, suppress_health_check=_QUIET)
settings.load_profile("short")  # pytest --hypothesis-profile=long takes the other


def pytest_configure(config: pytest.Config) -> None:
    missing = [reason for name in required() if (reason := why_absent(name))]
    if missing:
        raise pytest.UsageError(f"XPLOSS_BACKENDS asks for what is absent: {'; '.join(missing)}")
    if "jax" in PRESENT:
        # compiling takes most of the time; conformance/ runs what is fully optimised
        import_module("jax").config.update("jax_disable_most_optimizations", True)
    # torch.compile makes an instance of its own Function class while it traces one of ours
    config.addinivalue_line(
        "filterwarnings",
        "ignore:.*autograd.function.Function.*should not be instantiated:DeprecationWarning",
    )
    config.addinivalue_line("markers", "slow: takes seconds; left out by -m 'not slow'")


def pytest_report_header() -> list[str]:
    absent = [f"absent: {reason}" for reason in ABSENT.values()]
    return [f"backends: {', '.join(PRESENT)}", *absent]


@pytest.fixture(params=PRESENT)
def xp(request: pytest.FixtureRequest) -> Iterator[Library]:
    """Each backend that is here; test_backends.py skips, in sight, what is not."""
    with library(request.param) as found:
        yield found


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled() -> Iterator[None]:
    """Give back the memory of what JAX has compiled for a file."""
    yield
    if "jax" in sys.modules:
        import_module("jax").clear_caches()


def _framework(name: str) -> Iterator[ModuleType]:
    if name not in PRESENT:
        pytest.skip(ABSENT.get(name, f"{name} is not among XPLOSS_BACKENDS"))
    with library(name):
        yield import_module(name)


@pytest.fixture
def torch() -> Iterator[ModuleType]:
    yield from _framework("torch")


@pytest.fixture
def jax() -> Iterator[ModuleType]:
    """JAX with 64 bits."""
    yield from _framework("jax")
