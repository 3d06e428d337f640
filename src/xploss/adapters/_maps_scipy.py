"""The distance transform of SciPy, for NumPy arrays."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np


@cache
def available() -> bool:
    return find_spec("scipy") is not None


def distance_transform(
    mask: np.ndarray[Any, Any], axes: tuple[int, ...], sampling: tuple[float, ...]
) -> np.ndarray[Any, Any]:
    """Distances along ``axes``; inf where a sample has no background, where SciPy has no answer."""
    transform = import_module("scipy.ndimage").distance_transform_edt
    last = range(-len(axes), 0)
    samples = np.moveaxis(mask, axes, last)
    result = np.empty(samples.shape, dtype=np.float32)
    for sample in np.ndindex(samples.shape[: -len(axes)]):
        if np.all(samples[sample]):
            result[sample] = np.inf
        else:
            result[sample] = transform(samples[sample], sampling=sampling)
    return np.ascontiguousarray(np.moveaxis(result, last, axes))
