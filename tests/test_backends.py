"""The backends that the tests run on: one visible skip for each that is absent."""

import numpy as np
import pytest

from xploss import DiceLoss

from .libraries import library, selected, why_absent


@pytest.mark.parametrize("name", selected())
def test_is_here_and_computes(name: str) -> None:
    if reason := why_absent(name):
        pytest.skip(reason)
    with library(name) as xp:
        pred, target = xp.asarray(np.zeros((1, 2, 3))), xp.asarray(np.array([[0, 1, 1]]))
        value, gradient = DiceLoss("multiclass").value_and_grad(pred, target)
        xp.assert_like(value, (), "float64")
        xp.assert_like(gradient, (1, 2, 3), "float64")
        # I = 1/2 and 1, P = 3/2, T = 1 and 2
        assert float(value) == pytest.approx(1 - (2 / 5 + 4 / 7) / 2, rel=1e-15)
