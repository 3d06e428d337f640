"""Values and gradients equal to those of installed peers, on fresh random input."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from conformance.conftest import Add
from conformance.peers.evaluate import Answer, ours, theirs
from conformance.peers.guide import FAULTS, GUIDE, text
from conformance.peers.row import Library, Row
from conformance.peers.table import ROWS
from conformance.tally import Count
from conformance.traps.rows import ROWS as DEFECTS
from tests.libraries import selected


def _seed() -> int:
    """XPLOSS_SEED, or one that nobody chose."""
    given = os.environ.get("XPLOSS_SEED")
    return int(given) if given else int.from_bytes(os.urandom(4), "little")


SEED = _seed()


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """JAX with 64 bits, where it is installed."""
    context = nullcontext()
    if find_spec("jax"):
        import jax

        context = jax.enable_x64(True)
    with context:
        yield


@pytest.mark.parametrize(("library", "row"), ROWS, ids=[f"{x.name}: {row}" for x, row in ROWS])
def test_peer(library: Library, row: Row, count: Add) -> None:
    if library.arrays not in selected():
        pytest.skip(f"{library.arrays} is not among XPLOSS_BACKENDS")
    for package in (library.package, library.arrays):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    complaint = _complaint(library, row)
    loss = row.ours.replace("(", " ").split("Loss")[0].split()[-1] + "Loss"
    kind = "Sum" if row.ours.count("Loss(") > 1 else loss
    made = Count(library.arrays, "peers", kind, library.name)
    if complaint:
        count(replace(made, failed=1, notes=(f"{row}, seed {SEED}: {complaint}",)))
        pytest.fail(f"{complaint}\n{row}, seed {SEED}")
    count(replace(made, passed=1))


def _complaint(library: Library, row: Row) -> str:
    """What is not as the row says, or nothing."""
    expected = _numbers(ours(library, row, SEED), row)
    if not np.all(np.isfinite(expected)):
        return f"ours is not finite: {expected}"
    try:
        found = _numbers(theirs(library, row, SEED), row)
    except Exception as error:  # the peer's own
        return "" if row.fault == "raises" else f"the peer raises {error!r}"
    finite = bool(np.all(np.isfinite(found)))
    size = float(np.abs(expected).max())
    near = found.shape == expected.shape and finite
    off = float(np.abs(found - expected).max()) if near else float("inf")
    right = {
        "": off <= row.tolerance * size,
        # in float16 it depends on the input whether a sum that overflows ends as NaN
        "wrong": off > 1e-4 * size and (finite or row.dtype == "float16"),
        "nan": not finite,
        "raises": False,
    }[row.fault]
    return "" if right else f"off by {off} of {size}, fault {row.fault!r}: {found}, {expected}"


def _numbers(answer: Answer, row: Row) -> np.ndarray:
    """Value and gradient, in one row; the gradient in the scale of the value."""
    value, gradient = answer
    if not row.gradient or gradient is None:
        return value.reshape(-1)
    return np.concatenate([value.reshape(-1), gradient.reshape(-1)])


def test_the_guide_is_the_table() -> None:
    if not GUIDE.parent.exists():
        pytest.skip("no docs beside the package")
    assert GUIDE.read_text(encoding="utf-8") == text()


def test_remarks_name_known_defects() -> None:
    named = re.findall(r"\(([A-Z]\d+)\)", text().partition("## torch\n")[2])
    assert set(named) <= set(DEFECTS)


def test_every_fault_says_what_it_is() -> None:
    assert all(row.remark for _, row in ROWS if row.fault)
    assert {row.fault for _, row in ROWS} == {"", *FAULTS}
