"""Gradients by central differences."""

from collections.abc import Callable

import numpy as np


def gradient(
    function: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-4
) -> np.ndarray:
    """The gradient of a function of an array, to fourth order in the step."""
    found = np.empty(x.size)
    for index in range(x.size):

        def at(steps: int, index: int = index) -> float:
            moved = x.copy()
            moved.flat[index] += steps * step
            return float(function(moved))

        found[index] = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
    return found.reshape(x.shape)
