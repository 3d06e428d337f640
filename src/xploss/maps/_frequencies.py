"""Class weights from the class frequencies of label arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median
from typing import Literal, NamedTuple, TypeAlias, get_args

from xploss._xp import Array, is_array
from xploss.backend import Backend
from xploss.parameters import choice, flag, integer, number

from ._checks import backend_for

Scheme: TypeAlias = Literal["inverse", "median", "effective"]


class Frequencies(NamedTuple):
    """Per class: its pixels, and the pixels of all the samples where it occurs."""

    pixels: list[int]
    area: list[int]


def class_weights(
    targets: Array | Iterable[Array],
    num_classes: int,
    scheme: Scheme = "inverse",
    *,
    ignore_index: int | None = None,
    beta: float | None = None,
    progress: bool = False,
) -> tuple[float, ...]:
    """Class weights from class frequencies, for ``class_weights=`` of a loss.

    With n_c pixels of class c, n pixels in all, and K classes that occur:

    * ``"inverse"``: w_c = n / (K n_c). The average pixel has weight 1.
    * ``"median"``: w_c = median(f) / f_c, where f_c is n_c over the pixels of those samples that
      class c occurs in, and the median is that of the K classes.
    * ``"effective"``: w_c in proportion to (1 - beta) / (1 - beta**n_c), the inverse of the
      effective number of pixels. The average over the K classes is 1.

    A class that does not occur gets the neutral weight 1.0 and has no part in the others.

    Parameters
    ----------
    targets : Array or iterable of Array
        Labels as a loss takes them, integer or bool ``(N, *S)``, samples first: one array, or an
        iterable of arrays of any sizes, which is read once. From a loader of pairs pass
        ``(target for _, target in loader)``; to single images give a sample axis, ``target[None]``.
    num_classes : int
        The labels are 0 to ``num_classes - 1``.
    scheme : {"inverse", "median", "effective"}
        One of the above.
    ignore_index : int, optional
        Pixels with this label are not counted anywhere.
    beta : float, optional
        For ``"effective"`` only, in [0, 1). 0 gives equal weights; towards 1 they become those of
        ``"inverse"``, up to a factor. ``None`` is 1 - 1/n. Values made for numbers of images,
        such as 0.999, give nearly equal weights for numbers of pixels.
    progress : bool
        Show a progress bar over the arrays. Needs tqdm.

    Returns
    -------
    tuple of float
        One finite number above 0 per class.

    Raises
    ------
    TypeError
        If `targets` holds anything but arrays of labels.
    ValueError
        If a label or an option is out of range, a target looks one-hot (classes at axis 1, or
        last), or there is no label to count.
    ImportError
        If `progress` is set and tqdm is not installed.

    Notes
    -----
    The result is made of Python numbers: call it before training, not under a compiler. Median is
    the only scheme that depends on how pixels are divided into samples. Mode ``"binary"`` counts
    one class: of the weights of two, give cross-entropy ``pos_weight=w[1] / w[0]``.

    References
    ----------
    Inverse: G. King, L. Zeng: Logistic Regression in Rare Events Data. Political Analysis 2001.
    Median: D. Eigen, R. Fergus: Predicting Depth, Surface Normals and Semantic Labels with a
    Common Multi-Scale Convolutional Architecture. ICCV 2015.
    Effective: Y. Cui, M. Jia, T.-Y. Lin, Y. Song, S. Belongie: Class-Balanced Loss Based on
    Effective Number of Samples. CVPR 2019; there beta is (N - 1) / N.

    Examples
    --------
    >>> import numpy as np
    >>> from xploss.maps import class_weights
    >>> class_weights(np.asarray([[0, 0, 0, 1]]), 2)
    (0.6666666666666666, 2.0)
    """
    if (num_classes := integer("num_classes", num_classes)) < 1:
        raise ValueError(f"num_classes is {num_classes}; expected at least 1")
    if ignore_index is not None:
        ignore_index = integer("ignore_index", ignore_index)
    choice("scheme", scheme, get_args(Scheme))
    _check_beta(scheme, beta)
    arrays = [targets] if is_array(targets) else targets
    found = _frequencies(
        _bar(arrays) if flag("progress", progress) else arrays, num_classes, ignore_index
    )
    if scheme == "inverse":
        weights = _inverse(found)
    elif scheme == "median":
        weights = _median(found)
    else:
        weights = _effective(found, beta)
    return tuple(weights.get(c, 1.0) for c in range(num_classes))


def _check_beta(scheme: str, beta: float | None) -> None:
    if beta is None:
        return
    if scheme != "effective":
        raise ValueError(
            f'beta is {beta!r} and scheme is "{scheme}", which has none; pass scheme="effective"'
        )
    if number("beta", beta, 0.0, 1.0) == 1.0:
        raise ValueError('beta is 1.0; expected less; pass scheme="inverse" for its limit')


def _inverse(found: Frequencies) -> dict[int, float]:
    present = {c: n for c, n in enumerate(found.pixels) if n}
    total = sum(present.values())
    return {c: total / (len(present) * n) for c, n in present.items()}


def _median(found: Frequencies) -> dict[int, float]:
    pairs = zip(found.pixels, found.area, strict=True)
    frequency = {c: n / area for c, (n, area) in enumerate(pairs) if n}
    middle = median(frequency.values())
    return {c: middle / f for c, f in frequency.items()}


def _effective(found: Frequencies, beta: float | None) -> dict[int, float]:
    total = sum(found.pixels)
    beta = 1 - 1 / total if beta is None else beta
    log_beta = math.log(beta) if beta else -math.inf
    inverse = {c: -1 / math.expm1(n * log_beta) for c, n in enumerate(found.pixels) if n}
    mean = sum(inverse.values()) / len(inverse)
    return {c: value / mean for c, value in inverse.items()}


def _bar(arrays: Iterable[Array]) -> Iterable[Array]:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            "progress is True, which needs tqdm; pip install tqdm, or pass progress=False"
        ) from error
    bar: Iterable[Array] = tqdm(arrays, desc="class_weights", unit="array")
    return bar


def _frequencies(
    arrays: Iterable[Array], num_classes: int, ignore_index: int | None
) -> Frequencies:
    if not isinstance(arrays, Iterable):
        raise TypeError(f"targets is a {type(arrays).__name__}; expected an array or an iterable")
    pixels, area = [0] * num_classes, [0] * num_classes
    for i, array in enumerate(arrays):
        backend, labels = _labels(f"targets[{i}]", array, num_classes, ignore_index)
        counts = _counts(backend, labels, num_classes)
        xp = backend.xp
        valid = xp.sum(counts, axis=1, keepdims=True, dtype=counts.dtype)
        seen = xp.where(counts > 0, valid, xp.zeros_like(counts))
        for total, part in ((pixels, counts), (area, seen)):
            added = xp.sum(part, axis=0, dtype=part.dtype)
            for c in range(num_classes):
                total[c] += int(added[c])
    if not any(pixels):
        raise ValueError("targets has no labels, or ignored ones only; expected at least one")
    return Frequencies(pixels, area)


def _labels(
    name: str, array: Array, num_classes: int, ignore_index: int | None
) -> tuple[Backend, Array]:
    """Return the labels of one array as (sample, pixel), with num_classes where ignored."""
    if isinstance(array, tuple | list):
        raise TypeError(
            f"{name} is a {type(array).__name__}; expected an array of labels; "
            "pass (target for _, target in loader) if the loader gives pairs"
        )
    hint = "make labels of a dense target by argmax over its class axis"
    backend = backend_for(name, array, ("bool", "integral"), hint)
    if array.ndim == 0:
        raise ValueError(f"{name} has no axes; expected labels of shape (N, *S)")
    xp = backend.xp
    if backend.name == "jax" and not backend.concrete(array):
        raise TypeError(
            f"{name} is traced; expected labels that are at hand; call class_weights() "
            "before compiling, and pass what it returns to the loss"
        )
    # that few pixels of the last axis are as one-hot is not to be told from labels
    for axis in (1,) if array.ndim < 4 else (1, array.ndim - 1):
        if _is_one_hot(backend, array, num_classes, axis, ignore_index):
            raise ValueError(
                f"{name} has shape {tuple(array.shape)} and is one-hot over its axis {axis}; "
                f"expected labels of shape (N, *S); {hint}"
            )
    shape = (array.shape[0], math.prod(array.shape[1:]))
    labels = xp.reshape(xp.astype(array, xp.arange(1).dtype), shape)
    if 0 in shape:
        return backend, labels
    counted = labels
    if ignore_index is not None:
        ignored = xp.reshape(backend.equals(array, ignore_index), shape)
        labels = xp.where(ignored, num_classes, labels)
        counted = xp.where(ignored, 0, labels)
    _check_range(backend, name, counted, num_classes)
    return backend, labels


def _check_range(backend: Backend, name: str, labels: Array, num_classes: int) -> None:
    xp = backend.xp
    for label in (int(xp.min(labels)), int(xp.max(labels))):
        if not 0 <= label < num_classes:
            hint = f"pass ignore_index={label} if it marks pixels to leave out"
            if num_classes == label == 1:
                hint = "a mask has two classes: pass num_classes=2, and w[1] / w[0] as pos_weight"
            raise ValueError(
                f"{name} has label {label}, outside 0..{num_classes - 1} of num_classes="
                f"{num_classes}; {hint}"
            )


def _is_one_hot(
    backend: Backend, array: Array, num_classes: int, axis: int, ignore_index: int | None
) -> bool:
    """Whether the classes have an axis of their own, with a single 1 per pixel that counts."""
    if array.ndim < 3 or array.shape[axis] != num_classes or 0 in tuple(array.shape):
        return False
    xp = backend.xp
    one = backend.equals(array, 1)
    rest = backend.equals(array, 0)
    out = xp.zeros_like(one)
    if ignore_index is not None and ignore_index not in (0, 1):
        out = backend.equals(array, ignore_index)
    if not bool(xp.all(one | rest | out)) or not bool(xp.any(one)):
        return False
    ones = xp.sum(xp.astype(one, xp.int32), axis=axis, dtype=xp.int32)
    # a pixel is left out by all of its entries
    every, some = xp.all(out, axis=axis), xp.any(out, axis=axis)
    return bool(xp.all(xp.where(some, every, ones == 1)))


def _counts(backend: Backend, labels: Array, num_classes: int) -> Array:
    """Return the pixels of each class in each sample, (N, num_classes)."""
    xp = backend.xp
    if not hasattr(xp, "bincount"):
        columns = [
            xp.sum(xp.astype(labels == c, labels.dtype), axis=1, dtype=labels.dtype)
            for c in range(num_classes)
        ]
        return xp.stack(columns, axis=1)
    bins = num_classes + 1
    samples = labels.shape[0]
    rows = xp.arange(samples, dtype=labels.dtype, device=backend.device(labels))
    flat = xp.reshape(labels + rows[:, None] * bins, (-1,))
    counts = xp.bincount(flat, minlength=samples * bins)
    return xp.reshape(counts, (samples, bins))[:, :num_classes]
