"""From arrays in any layout to [sample][class][pixel], and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from types import SimpleNamespace
from typing import Any

from conformance.cases import Array
from conformance.oracle.numbers import Grid, Number, number


@dataclass(frozen=True)
class Problem:
    """One call, laid out: x, t, w and valid are indexed [sample][class][pixel]."""

    x: Grid
    t: Grid
    w: Grid
    valid: list[list[list[bool]]]
    counted: tuple[int, ...]  # the classes that count, in the order given
    class_weights: tuple[Number, ...]  # one per counted class

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Samples, classes, pixels."""
        return len(self.x), len(self.x[0]), len(self.x[0][0])


def places(shape: tuple[int, ...], class_axis: int | None) -> list[list[list[int]]]:
    """[sample][class][pixel] -> position in the row-major data of an array of this shape.

    Without a class axis there is one class.
    """
    if class_axis is None:
        shape, axis = (*shape, 1), len(shape)
    else:
        axis = class_axis % len(shape)
    strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
    spatial = [i for i in range(1, len(shape)) if i != axis]
    pixels = [
        sum(i * strides[a] for i, a in zip(index, spatial, strict=True))
        for index in product(*(range(shape[a]) for a in spatial))
    ]
    return [
        [[n * strides[0] + c * strides[axis] + k for k in pixels] for c in range(shape[axis])]
        for n in range(shape[0])
    ]


def pred_places(o: SimpleNamespace, shape: tuple[int, ...]) -> list[list[list[int]]]:
    """`places` of pred; in binary mode a class axis of length 1 changes no order."""
    if o.mode == "binary":
        return places((shape[0], prod(shape[1:])), None)
    return places(shape, o.class_axis)


def layout(o: SimpleNamespace, pred: Array, target: Array, weight: Array | None) -> Problem:
    """The call as a problem."""
    x = [number(v) for v in pred.data]
    at = pred_places(o, pred.shape)
    t, ignored = _target(o, pred, target, at)
    w = _weight(pred, weight, at)
    valid = _grid(at, lambda n, c, k: w[n][c][k] > 0 and not ignored[n][c][k])
    counted = tuple(o.classes) if o.classes is not None else tuple(range(len(at[0])))
    weights = o.class_weights if o.class_weights is not None else (1,) * len(counted)
    if len(weights) != len(counted):
        raise ValueError("one class weight per counted class")
    return Problem(
        x=_grid(at, lambda n, c, k: x[at[n][c][k]]),
        t=t,
        w=w,
        valid=valid,
        counted=counted,
        class_weights=tuple(number(v) for v in weights),
    )


def moved(o: SimpleNamespace, pred: Array, problem: Problem, x: Sequence[Number]) -> Problem:
    """The problem with the numbers `x`, in the layout of pred, as its prediction."""
    at = pred_places(o, pred.shape)
    return replace(problem, x=_grid(at, lambda n, c, k: x[at[n][c][k]]))


def _target(o: SimpleNamespace, pred: Array, target: Array, at: Any) -> tuple[Grid, Any]:
    """The target as a number per entry, and which entries carry the ignored label."""
    data = [number(v) for v in target.data]
    ignore = None if o.ignore_index is None else number(o.ignore_index)
    if o.mode == "binary" or target.shape == pred.shape:
        if o.mode == "multiclass" and ignore is not None:
            raise ValueError("a dense multiclass target has no label to ignore")
        entry = _grid(at, lambda n, c, k: data[at[n][c][k]])
        return entry, _grid(at, lambda n, c, k: entry[n][c][k] == ignore)
    label = _per_pixel(data, at)
    one_hot = _grid(at, lambda n, c, k: number(1 if label[n][k] == c else 0))
    return one_hot, _grid(at, lambda n, c, k: label[n][k] == ignore)


def _weight(pred: Array, weight: Array | None, at: Any) -> Grid:
    if weight is None:
        return _grid(at, lambda n, c, k: number(1))
    data = [number(v) for v in weight.data]
    if weight.shape == pred.shape:
        return _grid(at, lambda n, c, k: data[at[n][c][k]])
    pixel = _per_pixel(data, at)
    return _grid(at, lambda n, c, k: pixel[n][k])


def _per_pixel(data: list[Number], at: Any) -> list[list[Number]]:
    """Data of shape (N, *S), a class axis of length 1 or not, as [sample][pixel]."""
    samples, pixels = len(at), len(at[0][0])
    if len(data) != samples * pixels:
        raise ValueError("one number per pixel")
    return [data[n * pixels : (n + 1) * pixels] for n in range(samples)]


def _grid(at: Any, entry: Callable[[int, int, int], Any]) -> list[list[list[Any]]]:
    return [
        [[entry(n, c, k) for k in range(len(at[n][c]))] for c in range(len(at[n]))]
        for n in range(len(at))
    ]
