"""The worked example of CONTRIBUTING.md, run as it stands there."""

import re
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .differences import gradient as differences
from .libraries import Library

GUIDE = Path(__file__).parents[1] / "CONTRIBUTING.md"


@pytest.fixture(scope="module")
def matthews() -> Any:
    """The class that the guide defines."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    module = types.ModuleType("guide")
    exec(compile(blocks[0], str(GUIDE), "exec"), module.__dict__)
    return module.__dict__["MatthewsLoss"]


def naive(p: Any, t: Any) -> float:
    """1 − MCC from a soft confusion matrix."""
    tp, fp = (p * t).sum(), (p * (1 - t)).sum()
    fn, tn = ((1 - p) * t).sum(), ((1 - p) * (1 - t)).sum()
    root = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return float(1 - (tp * tn - fp * fn) / root)


def test_the_value_is_that_of_the_confusion_matrix(matthews: Any, xp: Library) -> None:
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(2, 4, 5)), rng.integers(0, 2, (2, 4, 5))
    value = matthews("binary")(xp.asarray(logits), xp.asarray(target))
    expected = naive(1 / (1 + np.exp(-logits)), target)
    np.testing.assert_allclose(xp.to_numpy(value), expected, rtol=1e-6)


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
def test_the_gradient_is_that_of_differences(matthews: Any, xp: Library, mode: str) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2, 3, 4))
    target = rng.integers(0, 2, (2, 3, 4)) if mode == "binary" else rng.integers(0, 3, (2, 4))
    loss = matthews(mode)
    _, gradient = loss.value_and_grad(xp.asarray(logits), xp.asarray(target))
    expected = differences(lambda z: float(loss(z, target)), logits)
    np.testing.assert_allclose(xp.to_numpy(gradient), expected, rtol=1e-4, atol=1e-7)
    if xp.differentiates:
        held = xp.asarray(target)
        traced = xp.autodiff(lambda z: 2 * loss(z, held), xp.asarray(logits))
        np.testing.assert_allclose(xp.to_numpy(traced), 2 * expected, rtol=1e-4, atol=1e-7)


def test_empty_masks_are_finite(matthews: Any, xp: Library) -> None:
    logits, target = np.full((1, 4), -1e4), np.zeros((1, 4), dtype=np.int64)
    value, gradient = matthews("binary").value_and_grad(xp.asarray(logits), xp.asarray(target))
    assert float(value) == 0.0
    assert not np.any(xp.to_numpy(gradient))
