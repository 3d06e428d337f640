"""Bad calls give the documented error with its repair, change no input, and never give a number."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import xploss
from conformance.bad import Row, rows
from conformance.bad.parameters import LOSSES, BadLoss
from conformance.bad.rows import DICE, T, Z, put
from tests.libraries import Library

pytestmark = [pytest.mark.check("bad input"), pytest.mark.quick]


@pytest.mark.parametrize("row", rows(), ids=str)
def test_bad_call(xp: Library, row: Row) -> None:
    if reason := row.skip(xp):
        pytest.skip(reason)
    arrays = put(xp, row.arrays)
    before = {name: _snapshot(xp, x) for name, x in arrays.items()}
    with xploss.checks("always"), pytest.raises(row.error) as caught:
        row.call(xp, arrays)
    assert type(caught.value) is row.error
    for part in row.says:
        assert part in str(caught.value)
    for name, x in arrays.items():
        np.testing.assert_equal(_snapshot(xp, x), before[name])


def _snapshot(xp: Library, x: Any) -> Any:
    return copy.deepcopy(xp.to_numpy(x) if hasattr(x, "shape") else x)


@pytest.mark.parametrize("row", LOSSES, ids=str)
def test_bad_hyperparameter(xp: Library, row: BadLoss) -> None:
    with pytest.raises(row.error) as caught:
        row.build()
    assert type(caught.value) is row.error
    for part in row.says:
        assert part in str(caught.value)


def test_the_table_is_long_enough_and_without_doubles() -> None:
    calls, losses = [str(row) for row in rows()], [str(row) for row in LOSSES]
    assert len(set(calls)) == len(calls) >= 150
    assert len(set(losses)) == len(losses) >= 150


def test_read_only_input_is_read(xp: Library) -> None:
    """Arrays that must not be written are enough, where the library knows such."""
    pred, target, weight = xp.asarray(Z), xp.asarray(T), xp.asarray(np.ones(T.shape))
    if xp.name == "numpy":
        for x in (pred, target, weight):
            x.flags.writeable = False
    before = [_snapshot(xp, x) for x in (pred, target, weight)]
    value, gradient = DICE.value_and_grad(pred, target, weight=weight)
    assert xp.to_numpy(gradient).shape == Z.shape
    assert float(value) > 0
    np.testing.assert_equal([_snapshot(xp, x) for x in (pred, target, weight)], before)


def test_overlapping_input_is_read(xp: Library) -> None:
    """Views of one buffer, shifted against each other, are as good as copies."""
    loss = xploss.DiceLoss("binary", from_logits=False, overlap="squared")
    buffer = xp.asarray(np.linspace(0, 1, 9).reshape(1, 9))
    before = _snapshot(xp, buffer)
    pred, target = buffer[:, 1:], buffer[:, :-1]
    found = loss.value_and_grad(pred, target, weight=pred)
    apart = [xp.asarray(xp.to_numpy(x)) for x in (pred, target)]
    expected = loss.value_and_grad(*apart, weight=xp.asarray(xp.to_numpy(pred)))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(xp.to_numpy(a), xp.to_numpy(b))
    np.testing.assert_equal(_snapshot(xp, buffer), before)
