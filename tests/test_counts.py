"""Counts are integers, which no sum of pixels can outgrow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.libraries import Library
from xploss import LovaszLoss
from xploss.adapters import backend_of


def test_the_sort_counts_in_integers(xp: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """A float32 count would stop at 2^24 pixels, where no test of numbers goes."""
    if xp.name == "torch":
        pytest.skip("torch: NumPy counts small tensors, and torch-tiles does the others")
    z, t = xp.asarray(np.linspace(-1, 1, 12)[None], "float32"), xp.asarray(np.arange(12)[None] % 2)
    kind = type(backend_of(z))
    running_sum, kinds = kind.running_sum, []

    def watched(self: Any, x: Any, dtype: Any = None) -> Any:
        found = running_sum(self, x, dtype)
        kinds.append(self.isdtype(found, "integral"))
        return found

    monkeypatch.setattr(kind, "running_sum", watched)
    LovaszLoss("binary", method="sort").value_and_grad(z, t)
    assert kinds
    assert all(kinds)
