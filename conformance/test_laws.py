"""The laws on random calls: few and always the same in CI, with `--long` 100,000 and more."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, seed, settings

from conformance.conftest import Add
from conformance.laws import LAWS, Law
from conformance.laws.draw import Drawn
from conformance.tally import Count
from tests.libraries import Library

pytestmark = pytest.mark.quick

SHORT = {"numpy": 25, "strict": 8, "torch": 12, "cupy": 8, "jax": 1}
LONG = 110_000
"""Examples of all laws together."""


def examples(xp: Library, *, long: bool) -> int:
    """How many examples each law takes on a backend."""
    return -(-LONG // len(LAWS)) if long else SHORT[xp.family]


@pytest.fixture(scope="session")
def root() -> int:
    """The seed of a long run: XPLOSS_SEED, or one that nobody chose."""
    given = os.environ.get("XPLOSS_SEED")
    return int(given) if given else int.from_bytes(os.urandom(4), "little")


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_law(xp: Library, law: Law, count: Add, request: pytest.FixtureRequest, root: int) -> None:
    long = request.config.getoption("--long")
    tried: Counter[str] = Counter()

    def check(case: Any) -> None:
        tried[case.kind if isinstance(case, Drawn) else law.loss] += 1
        law.check(xp, case)

    most = examples(xp, long=long)
    run = settings(max_examples=most, derandomize=not long)(given(law.cases)(check))
    run = seed(root)(run) if long else run
    column = "long laws" if long else "laws"
    detail = law.name + (f": seed {root}" if long else "")
    try:
        run()
    except BaseException:
        count(Count(xp.name, column, law.loss, detail, failed=1, notes=(detail,)))
        raise
    for loss, examples_ in tried.items():
        count(Count(xp.name, column, loss, detail, passed=examples_))
