"""Options, the backend fixture, and the collection of counts for the report."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from conformance import tally
from conformance.markdown import ROWS_OF_MATRIX
from conformance.report import main, write
from tests.libraries import Library, library, required, selected, why_absent

Add = Callable[[tally.Count], None]

ABSENT = {name: reason for name in selected() if (reason := why_absent(name))}
PRESENT = [name for name in selected() if name not in ABSENT]

_QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile("short", derandomize=True, deadline=None, suppress_health_check=_QUIET)
settings.register_profile(
    "long", deadline=None, suppress_health_check=_QUIET, print_blob=True, database=None
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """More than a few minutes, on request."""
    group = parser.getgroup("conformance")
    group.addoption("--full", action="store_true", help="every golden case by every route")
    group.addoption("--long", action="store_true", help="laws on 100,000 examples and more")
    group.addoption("--report", action="store_true", help="write conformance/reports")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run without what was asked for."""
    missing = [reason for name in required() if (reason := why_absent(name))]
    if missing:
        raise pytest.UsageError(f"XPLOSS_BACKENDS asks for what is absent: {'; '.join(missing)}")
    config.addinivalue_line("markers", "check(name): the column of the report")
    config.addinivalue_line("markers", "loss(name): the row of the report")
    config.addinivalue_line("markers", "quick: JAX compiles it without most optimisations")
    config.addinivalue_line("markers", "row(*names): rows of the list of peers' defects")
    settings.load_profile("long" if config.getoption("--long") else "short")
    config.stash[_COUNTS] = list[tally.Count]()


def pytest_report_header() -> list[str]:
    """What is run on, and what is not."""
    absent = [f"absent: {reason}" for reason in ABSENT.values()]
    return [f"backends: {', '.join(PRESENT)}", *absent]


@pytest.fixture(params=PRESENT)
def xp(request: pytest.FixtureRequest) -> Iterator[Library]:
    """Each backend that is here."""
    quick = request.node.get_closest_marker("quick") is not None
    with prepared(request.param, quick=quick) as found:
        yield found


@contextmanager
def prepared(name: str, *, quick: bool = False) -> Iterator[Library]:
    """A backend; where JAX is one, it optimises what it compiles, or takes half the time."""
    with library(name) as found:
        if found.family == "jax":
            _optimise(not quick)
        yield found


def _optimise(fully: bool) -> None:
    """Let JAX compile what follows as it does by itself, or without most optimisations."""
    jax = import_module("jax")
    if fully != _FULLY[0]:
        jax.config.update("jax_disable_most_optimizations", not fully)
        jax.clear_caches()
        _FULLY[0] = fully


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Add:
    """Adds counts of a test that runs many checks."""

    def add(counted: tally.Count) -> None:
        request.node.user_properties.append((tally.KEY, tally.encode(counted)))

    return add


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count a test as one check, unless it has counted its own."""
    made = yield
    if made.when == "call" and not any(key == tally.KEY for key, _ in made.user_properties):
        counted = _counted(item, made)
        if counted is not None:
            made.user_properties.append((tally.KEY, tally.encode(counted)))
    return made


def _counted(item: pytest.Item, made: pytest.TestReport) -> tally.Count | None:
    check, loss = (item.get_closest_marker(name) for name in ("check", "loss"))
    params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    backend = params.get("xp", params.get("backend"))
    if check is None or not isinstance(backend, str):
        return None
    rows = item.get_closest_marker("row")
    given = next((params[name] for name in ("kind", "pair", "row") if name in params), None)
    named = _loss(given) or (loss.args[0] if loss else "all losses")
    known = hasattr(made, "wasxfail")
    return tally.Count(
        backend,
        check.args[0],
        named,
        detail=" ".join(rows.args) if rows else "",
        passed=int(made.outcome == "passed" and not known),
        failed=int(made.outcome == "failed"),
        known=int(made.outcome == "skipped" and known),
        notes=(item.name,) if made.outcome == "failed" else (),
    )


def _loss(given: Any) -> str | None:
    """The class of loss that a parameter of a test names, if it does."""
    for found in (given, getattr(given, "kind", None), type(getattr(given, "loss", None))):
        name = found if isinstance(found, str) else getattr(found, "__name__", "")
        if name in ROWS_OF_MATRIX:
            return str(name)
    return None


_FULLY = [True]
_COUNTS = pytest.StashKey[list[tally.Count]]()
_CONFIG: list[pytest.Config] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Keep the configuration for the hook that is not given it."""
    _CONFIG[:] = [session.config]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect what a test has counted."""
    if report.when == "call":
        rows: list[Any] = [row for key, row in report.user_properties if key == tally.KEY]
        _CONFIG[0].stash[_COUNTS].extend(map(tally.decode, rows))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the reports, and the matrix of the README."""
    if session.config.getoption("--report") and not hasattr(session.config, "workerinput"):
        counts: list[tally.Count] = session.config.stash[_COUNTS]
        write(counts)
        main(["readme"])
