"""Shapes of a call: with an axis less, and what is likely to be wrong about two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .loss import Term

Shape = tuple[int, ...]


def place(axis: int, ndim: int) -> int:
    """An axis of so many, counted from the first."""
    return axis + ndim if axis < 0 else axis


def without(shape: Shape, axis: int | None) -> Shape:
    """The shape with an axis less."""
    return shape if axis is None else shape[:axis] + shape[axis + 1 :]


def singleton(shape: Shape, axis: int) -> Shape:
    """The shape with length 1 along an axis."""
    return (*shape[:axis], 1, *shape[axis + 1 :])


def among(shape: Shape, others: Sequence[Shape]) -> bool:
    """Whether a shape is one of several.

    Sizes may be symbols, each comparison of which an exported program is bound to.
    """
    return any(len(shape) == len(other) and shape == other for other in others)


def repair(term: Term, pred: Shape, target: Shape, axis: int | None) -> str:
    """What is likely to mend the shape of a target that does not fit that of `pred`.

    `axis` is that of the classes; None in binary mode.
    """
    if axis is None:
        at = place(term.class_axis, len(pred))
        return _binary_axes(pred, target, at) or _sizes(pred, target, at, classes=False)
    return _axes(pred, target, axis) or _sizes(pred, target, axis, classes=True)


def _binary_axes(pred: Shape, target: Shape, axis: int) -> str | None:
    fits = among(target, [without(pred, axis), singleton(pred, axis)])
    if (1 <= axis < len(pred) and fits) or without(target, axis) == pred:
        return 'mode="multiclass" takes one channel per class'
    return None


def _axes(pred: Shape, target: Shape, axis: int) -> str | None:
    others = [a for a in range(1, len(pred)) if without(pred, a) == target]
    if others:
        return f"pass class_axis={others[-1]} if the classes are there"
    for a in range(1, len(pred)):
        if target in (moved(pred, axis, a), moved(singleton(pred, axis), axis, a)):
            return f"move axis {a} of target to {axis} if its classes are there"
    return None


def moved(shape: Shape, axis: int, to: int) -> Shape:
    """The shape with an axis at another place."""
    rest = without(shape, axis)
    return (*rest[:to], shape[axis], *rest[to:])


def _sizes(pred: Shape, target: Shape, axis: int, classes: bool) -> str:
    """What sizes tell; `classes` is whether `pred` has some at the axis, as in binary mode not."""
    dropped = classes or (1 <= axis < len(pred) and pred[axis] == 1)
    mine = without(pred, axis) if dropped else pred
    theirs = without(target, axis) if dropped and len(target) == len(pred) else target
    if pred[0] == 1 and target in (pred[1:], mine[1:]):
        return "pass target[None] if it is one sample"
    if classes and target == pred[1:]:
        return "pass pred[None] and target[None] if they are one sample"
    if len(theirs) != len(mine) or sorted(target) == sorted(pred) != sorted(mine):
        return "check class_axis"
    if theirs != mine and sorted(theirs) == sorted(mine):
        return f"transpose one: pred is {mine} without classes, and target {theirs}"
    if theirs[0] != mine[0]:
        return f"pred has {mine[0]} samples and target {theirs[0]}"
    if theirs[1:] != mine[1:]:
        return f"resize one: pred has pixels {mine[1:]}, and target {theirs[1:]}"
    return f"target has {target[axis]} channels for {pred[axis]} of pred"
