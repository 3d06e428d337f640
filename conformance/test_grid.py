"""Every golden case on every backend, device and dtype, by every route to value and gradient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from conformance.conftest import PRESENT, Add, prepared
from conformance.grid import Outcome, family, golden, run
from conformance.known_differences import KNOWN, known
from conformance.plan import FAMILIES, PLANS, Step, batches, steps
from conformance.tally import Count
from tests.libraries import Library


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "step" not in metafunc.fixturenames:
        return
    full = metafunc.config.getoption("--full")
    metafunc.parametrize(
        ("backend", "step", "loss"),
        [
            pytest.param(name, step, loss, id=f"{name}-{step.route}-{step.dtype}-{loss}")
            for name in PRESENT
            for step in steps(name, full=full)
            for loss in FAMILIES
        ],
    )


@pytest.fixture
def opened(backend: str) -> Iterator[Library]:
    with prepared(backend) as found:
        yield found


def test_golden_cases(opened: Library, step: Step, loss: str, count: Add) -> None:
    """All cases of a class of loss by one route, in one dtype."""
    if not opened.has(step.dtype):
        pytest.skip(f"{opened.name} has no {step.dtype}")
    taken = step.cases(loss)
    outcomes = [o for batch in batches(taken) for o in run(opened, step.route, step.dtype, batch)]
    complaints = [line for o in outcomes if (line := _complaint(opened.name, step, o))]
    names = [o.case.name for o in outcomes if o.complaints]
    accepted = sum(known(n, opened.name, step.dtype, step.route) is not None for n in names)
    count(
        Count(
            opened.name,
            "grid",
            loss,
            detail=f"{step.route} {step.dtype}",
            passed=len(outcomes) - len(complaints) - accepted,
            failed=len(complaints),
            known=accepted,
            ulp=max((o.ulp for o in outcomes if not o.complaints), default=0.0),
            notes=tuple(complaints[:3]),
        )
    )
    assert not complaints, f"{len(complaints)} of {len(taken)} cases:\n" + "\n".join(complaints)


def _complaint(backend: str, step: Step, outcome: Outcome) -> str:
    """What is wrong with an outcome: also a known difference that has disappeared."""
    name = outcome.case.name
    row = known(name, backend, step.dtype, step.route)
    if row is not None and not outcome.complaints:
        return f"{name}: no longer differs; remove the known difference ({row.reason})"
    if row is None and outcome.complaints:
        return f"{name}: {'; '.join(outcome.complaints)}; {outcome.case.loss}"
    return ""


def test_known_differences_name_cases() -> None:
    names = [case.name for case in golden()]
    for row in KNOWN:
        assert row.reason
        assert any(row.covers(name, row.backend, row.dtype, row.route) for name in names)


def test_every_case_belongs_to_a_family() -> None:
    assert set(Counter(map(family, golden()))) == set(FAMILIES)


@pytest.mark.parametrize("backend", PLANS)
def test_a_full_run_leaves_no_case_out(backend: str) -> None:
    plan = list(steps(backend, full=True))
    taken = {c.name for step in plan for loss in FAMILIES for c in step.cases(loss)}
    assert taken == {case.name for case in golden()}
