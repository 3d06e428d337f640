"""Every check of a call, and the layout of its arrays as (sample, class, pixel)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from .shapes import among, moved, place, repair, singleton, without

if TYPE_CHECKING:
    from ._xp import Array, Dtype
    from .backend import Backend
    from .loss import Term


class Facts(NamedTuple):
    """What is known of an array before it is looked at."""

    shape: tuple[int, ...]
    dtype: Dtype


@dataclass(frozen=True)
class Layout:
    """How a call's arrays are laid out as (sample, class, pixel), for one way of reading them."""

    shape: tuple[int, ...]
    """That of `pred` as it was passed."""
    class_axis: int | None
    labels: bool
    """Whether the target holds class labels rather than one number per class."""
    merged: bool
    """Whether samples are laid out as one."""
    sizes: tuple[int, int, int]
    """N, C and n."""

    def planes(self, backend: Backend, x: Array) -> Array:
        """An array of the call as (N, C or 1, n)."""
        if self.merged:
            if self.class_axis is None or x.ndim < len(self.shape):
                return backend.reshape(x, (1, 1, -1))
            x = _moved(backend, x, self.class_axis, 0)
            return backend.reshape(x, (1, x.shape[0], -1))
        return planes(backend, x, self.class_axis, len(self.shape))


@dataclass
class Laid:
    """A call's arrays in their layout; None after `let_go`.

    `target` is (N, 1, n) if it holds labels, else (N, C, n); `weight` is None or (N, 1|C, n).
    """

    backend: Backend
    layout: Layout
    pred: Array = None
    target: Array = None
    weight: Array | None = None

    def hold(self, pred: Array, target: Array, weight: Array | None) -> None:
        """Lay out arrays that have been checked."""
        b, layout = self.backend, self.layout
        self.pred = None if pred is None else layout.planes(b, pred)
        self.target = layout.planes(b, b.widened(target))
        self.weight = None if weight is None else layout.planes(b, weight)

    def let_go(self) -> None:
        """Forget the arrays, and nothing else."""
        self.pred = self.target = self.weight = None


def lay_out(
    backend: Backend, term: Term, pred: Facts, target: Facts, weight: Facts | None, merges: float
) -> Layout:
    """Check the shapes and dtypes of a call, and tell how its arrays are laid out.

    With at most so many classes as `merges`, samples are laid out as one: those of a binary `pred`
    under a compiler, and those of one pixel.
    """
    _check_pred_dtype(backend, pred)
    shape = pred.shape
    axis = _class_axis(term, shape)
    if 0 in shape:
        raise ValueError(
            f"pred has shape {shape}: a loss over an empty batch is undefined; "
            "skip the batch, or pass at least one sample and one pixel"
        )
    labels = _target_is_labels(term, shape, target.shape, axis)
    _check_target_dtype(backend, target, labels)
    if weight is not None:
        _check_weight(backend, term, shape, weight, axis)
    samples, pixels = shape[0], prod(without(shape, axis)[1:])
    classes = 1 if axis is None else shape[axis]
    # a compiler computes in the same loop what it adds along one axis, not along two; elsewhere
    # each operation is a loop along the pixels
    alike = axis is None if backend.traces else backend.eager and pixels == 1
    merged = alike and classes <= merges
    sizes = (1, classes, samples * pixels) if merged else (samples, classes, pixels)
    return Layout(shape, axis, labels, merged, sizes)


def check_term(term: Term, layout: Layout) -> None:
    """Check what a term's own parameters ask of a call."""
    term.check_classes(layout.sizes[1])
    if term.mode == "multiclass" and not layout.labels and term.ignore_index is not None:
        raise ValueError(
            f"ignore_index is {term.ignore_index} and target is dense, in the shape of pred "
            f'{layout.shape}: a dense target of mode "multiclass" holds no labels; pass labels of '
            f"shape {without(layout.shape, layout.class_axis)}, or leave pixels out by weight=0"
        )


def restore(backend: Backend, planes: Array, layout: Layout) -> Array:
    """Planes (N, C, n), or those of some classes, in the layout of `pred`."""
    shape, axis = layout.shape, layout.class_axis
    if axis is None:
        return backend.reshape(planes, shape)
    if layout.merged:
        planes = backend.reshape(planes, (planes.shape[1], *without(shape, axis)))
        return _moved(backend, planes, 0, axis)
    planes = backend.reshape(planes, (shape[0], planes.shape[1], *without(shape, axis)[1:]))
    return planes if axis == 1 else _moved(backend, planes, 1, axis)


def restore_map(backend: Backend, plane: Array, layout: Layout) -> Array:
    """A plane (N, 1, n) as a map of pixels, (N, *S)."""
    return backend.reshape(plane, without(layout.shape, layout.class_axis))


def planes(backend: Backend, x: Array, axis: int | None, ndim: int | None = None) -> Array:
    """`x` as (N, C or 1, n), a view where its strides allow one; `ndim` is that of `pred`."""
    shape = tuple(x.shape)
    if axis is None or (ndim is not None and len(shape) < ndim):
        return backend.reshape(x, (shape[0], 1, -1))
    if axis != 1:
        x = _moved(backend, x, axis, 1)
    return backend.reshape(x, (shape[0], shape[axis], -1))


def _moved(backend: Backend, x: Array, axis: int, to: int) -> Array:
    """`x` with an axis at another place; of moveaxis(), torch's vmap knows nothing."""
    return backend.xp.permute_dims(x, moved(tuple(range(x.ndim)), axis, to))


def check_arrays(backend: Backend, pred: Array, target: Array, weight: Array | None) -> None:
    """Check that the arrays of a call are of one library and device, and ask for no gradient."""
    backend.refuse_kind("pred", pred)
    kind = backend.array or _type(pred)
    for name, x in (("target", target), ("weight", weight)):
        if x is None and name == "weight":
            continue
        if not backend.owns(x):
            raise TypeError(
                f"{name} is a {_type(x)} and pred a {kind}; expected arrays of one library; "
                f"convert {name} to a {kind}"
            )
        if backend.apart(pred, x):
            device = backend.device(pred)
            raise ValueError(
                f"{name} is on device {backend.device(x)} and pred on {device}; expected one "
                f"device; move {name} to {device}"
            )
        backend.refuse_kind(name, x)


def _check_pred_dtype(backend: Backend, pred: Facts) -> None:
    if not backend.isdtype(pred, "real floating") or backend.xp.finfo(pred.dtype).bits > 64:
        argmax = backend.isdtype(pred, ("bool", "integral"))
        raise TypeError(
            f"pred has dtype {pred.dtype}; expected a floating dtype of at most 64 bits; "
            f"convert pred to float32{', and do not take its argmax' if argmax else ''}"
        )


def _type(x: Any) -> str:
    return f"{type(x).__module__.partition('.')[0]}.{type(x).__name__}".removeprefix("builtins.")


def _class_axis(term: Term, shape: tuple[int, ...]) -> int | None:
    """The class axis of `pred`, not negative; None in binary mode, where it says nothing."""
    if term.mode == "binary":
        if not shape:
            raise ValueError('pred has shape (); mode "binary" expects (N, *S); add a batch axis')
        return None
    axis = place(term.class_axis, len(shape))
    if not 1 <= axis < len(shape):
        raise ValueError(
            f'pred has shape {shape} and class_axis is {term.class_axis}; mode "{term.mode}" '
            "expects (N, C, *S) with the samples first and the classes at class_axis"
        )
    if term.mode == "multiclass" and shape[axis] < 2:
        raise ValueError(
            f"pred has shape {shape}, so {shape[axis]} class at class_axis={term.class_axis}; "
            'mode "multiclass" expects at least 2; use mode="binary" for one foreground class'
        )
    return axis


def _binary_shapes(term: Term, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes that hold the entries of a binary `pred`, with or without a class axis."""
    shapes = [shape]
    at = place(term.class_axis, len(shape))
    if 1 <= at < len(shape) and shape[at] == 1:
        shapes.append(without(shape, at))
    longer = place(term.class_axis, len(shape) + 1)
    if 1 <= longer <= len(shape):
        shapes.append((*shape[:longer], 1, *shape[longer:]))
    return shapes


def _target_is_labels(
    term: Term, shape: tuple[int, ...], target: tuple[int, ...], axis: int | None
) -> bool:
    """Whether `target` holds class labels rather than one number per class."""
    if axis is None:
        expected = _binary_shapes(term, shape)
        if among(target, expected):
            return False
    else:
        if among(target, [shape]):
            return False
        expected = [without(shape, axis), singleton(shape, axis), shape]
        if among(target, expected):
            # of a single class, a label says whether it is there
            return term.mode == "multiclass" or shape[axis] > 1
    raise ValueError(
        f'target has shape {target} and pred {shape}; mode "{term.mode}" with '
        f"class_axis={term.class_axis} expects target of shape "
        f"{' or '.join(map(str, expected))}; {repair(term, shape, target, axis)}; "
        "nothing is broadcast"
    )


def _check_target_dtype(backend: Backend, target: Facts, labels: bool) -> None:
    if backend.isdtype(target, ("bool", "integral")):
        return
    if labels or not backend.isdtype(target, "real floating"):
        kind = "labels of an integer or bool dtype" if labels else "an integer, bool or float dtype"
        raise TypeError(
            f"target has shape {target.shape} and dtype {target.dtype}; expected {kind}; "
            "convert the target, for example to int64"
        )


def _check_weight(
    backend: Backend, term: Term, shape: tuple[int, ...], weight: Facts, axis: int | None
) -> None:
    if not backend.isdtype(weight, ("bool", "real floating")):
        raise TypeError(
            f"weight has dtype {weight.dtype}; expected a floating or bool dtype; "
            "convert it, for example to float32"
        )
    if axis is None:
        expected = _binary_shapes(term, shape)
    else:
        expected = [without(shape, axis), singleton(shape, axis), shape]
    if not among(weight.shape, expected):
        hint = "numbers per class are class_weights of the loss"
        if weight.shape == shape[:1]:
            hint = "spread numbers per sample over their pixels"
        raise ValueError(
            f"weight has shape {weight.shape} and pred {shape}; expected weight of shape "
            f"{' or '.join(map(str, expected))}; {hint}; nothing is broadcast"
        )
