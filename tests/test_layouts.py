"""Shapes, axes, strides and dtypes of the arrays of a call."""

from typing import Any

import numpy as np
import pytest

from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, Loss

from .libraries import Library

RNG = np.random.default_rng(11)
SPATIAL = [(), (5,), (3, 4), (2, 3, 2)]
TERMS = [DiceLoss, FocalLoss, CrossEntropyLoss]


def grads(xp: Library, loss: Loss, pred: Any, target: Any, **extra: Any) -> tuple[Any, Any]:
    value, gradient = loss.value_and_grad(pred, target, **extra)
    return xp.to_numpy(value), xp.to_numpy(gradient)


def assert_same(found: tuple[Any, Any], expected: tuple[Any, Any]) -> None:
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-14)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("spatial", SPATIAL, ids=str)
def test_spatial_axes_and_class_axis(xp: Library, spatial: tuple[int, ...], mode: Any) -> None:
    """Any number of spatial axes, and the classes anywhere among them, are the flat image."""
    pred = RNG.normal(size=(2, 3, *spatial))
    labels = RNG.integers(0, 3, (2, *spatial))
    flat = (2, 3, -1)

    def build(**options: Any) -> Loss:
        return DiceLoss(mode, **options) + FocalLoss(mode, **options)

    expected = grads(xp, build(), xp.asarray(pred.reshape(flat)), xp.asarray(labels.reshape(2, -1)))
    for axis in {1, pred.ndim - 1, pred.ndim // 2, -1} - {0}:
        moved = np.moveaxis(pred, 1, axis)
        loss = build(class_axis=axis)
        value, gradient = loss.value_and_grad(xp.asarray(moved), xp.asarray(labels))
        xp.assert_like(gradient, moved.shape, "float64")
        back = np.moveaxis(xp.to_numpy(gradient), axis, 1).reshape(flat)
        assert_same((xp.to_numpy(value), back.reshape(expected[1].shape)), expected)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_all_forms_of_a_target_are_one(xp: Library, mode: Any, axis: int) -> None:
    pred = np.moveaxis(RNG.normal(size=(2, 3, 4, 5)), 1, axis)
    labels = RNG.integers(0, 3, (2, 4, 5))
    hot = np.moveaxis(np.eye(3)[labels], -1, axis)
    forms = [labels, np.expand_dims(labels, axis), hot, hot.astype(bool), hot.astype(np.uint8)]
    weight = RNG.random((2, 4, 5))
    weights = [
        weight,
        np.expand_dims(weight, axis),
        np.moveaxis(np.stack([weight] * 3, 1), 1, axis),
    ]
    loss = JaccardLoss(mode, class_axis=axis) + FocalLoss(mode, class_axis=axis)
    x = xp.asarray(pred)
    expected = grads(xp, loss, x, xp.asarray(forms[0]), weight=xp.asarray(weights[0]))
    for form, w in [*zip(forms, weights * 2, strict=False), (forms[0], weights[2])]:
        assert_same(grads(xp, loss, x, xp.asarray(form), weight=xp.asarray(w)), expected)


def test_binary_with_and_without_a_class_axis(xp: Library) -> None:
    pred, target = RNG.normal(size=(2, 4, 5)), RNG.integers(0, 2, (2, 4, 5))
    weight = RNG.random((2, 4, 5))
    loss = DiceLoss("binary") + CrossEntropyLoss("binary")
    expected = grads(xp, loss, *map(xp.asarray, (pred, target)), weight=xp.asarray(weight))
    for axis in (1, -1):
        at = DiceLoss("binary", class_axis=axis) + CrossEntropyLoss("binary", class_axis=axis)
        for longer in ((1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 1), (0, 0, 1), (1, 1, 1)):
            x, t, w = (
                xp.asarray(np.expand_dims(a, axis) if more else a)
                for a, more in zip((pred, target, weight), longer, strict=True)
            )
            value, gradient = at.value_and_grad(x, t, weight=w)
            xp.assert_like(gradient, tuple(x.shape), "float64")
            found = xp.to_numpy(value), xp.to_numpy(gradient).reshape(pred.shape)
            assert_same(found, expected)


@pytest.mark.parametrize(
    ("mode", "shape", "expected"),
    [
        ("binary", (2, 4, 5), (2, 4, 5)),
        ("binary", (2, 1, 4, 5), (2, 1, 4, 5)),
        ("multiclass", (2, 3, 4, 5), (2, 4, 5)),
        ("multilabel", (2, 3, 4, 5), (2, 3, 4, 5)),
    ],
)
@pytest.mark.parametrize("kind", [CrossEntropyLoss, FocalLoss])
def test_shape_of_a_pixel_map(
    xp: Library, kind: Any, mode: Any, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    pred = xp.asarray(RNG.normal(size=shape))
    target = xp.asarray(RNG.integers(0, 2, (2, 4, 5)))
    terms = kind(mode, reduction="none")(pred, target)
    xp.assert_like(terms, expected, "float64")
    # the shape does not depend on another option
    ignoring = kind(mode, reduction="none", ignore_index=255)(pred, target)
    xp.assert_like(ignoring, expected, "float64")
    np.testing.assert_allclose(xp.to_numpy(ignoring), xp.to_numpy(terms), rtol=1e-14)


def test_pixel_map_of_channels_last(xp: Library) -> None:
    pred, labels = RNG.normal(size=(2, 4, 5, 3)), RNG.integers(0, 3, (2, 4, 5))
    first = CrossEntropyLoss("multilabel", reduction="none", classes=(0, 2))
    last = CrossEntropyLoss("multilabel", reduction="none", classes=(0, 2), class_axis=-1)
    expected = xp.to_numpy(first(xp.asarray(np.moveaxis(pred, -1, 1)), xp.asarray(labels)))
    found = last(xp.asarray(pred), xp.asarray(labels))
    xp.assert_like(found, (2, 4, 5, 2), "float64")
    np.testing.assert_allclose(xp.to_numpy(found), np.moveaxis(expected, 1, -1), rtol=1e-14)


LABEL_DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", LABEL_DTYPES)
@pytest.mark.parametrize("kind", [DiceLoss, CrossEntropyLoss])
def test_labels_of_every_integer_dtype(xp: Library, kind: Any, dtype: str) -> None:
    pred, labels = RNG.normal(size=(2, 3, 7)), RNG.integers(0, 3, (2, 7))
    labels[0, 0] = 100
    loss = kind("multiclass", ignore_index=100)
    x = xp.asarray(pred)
    expected = grads(xp, loss, x, xp.asarray(labels, "int64"))
    assert_same(grads(xp, loss, x, xp.asarray(labels, dtype)), expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bool"])
def test_a_label_that_the_dtype_cannot_hold_occurs_nowhere(xp: Library, dtype: str) -> None:
    pred, labels = RNG.normal(size=(2, 3, 7)), RNG.integers(0, 2, (2, 7))
    x, t = xp.asarray(pred), xp.asarray(labels, dtype)
    beyond = DiceLoss("multiclass", ignore_index=-(2**40))
    assert_same(grads(xp, beyond, x, t), grads(xp, DiceLoss("multiclass"), x, t))


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
def test_bool_labels(xp: Library, mode: Any) -> None:
    pred = RNG.normal(size=(2, 7) if mode == "binary" else (2, 2, 7))
    labels = RNG.integers(0, 2, (2, 7))
    for loss in (DiceLoss(mode), CrossEntropyLoss(mode, ignore_index=0), FocalLoss(mode)):
        expected = grads(xp, loss, xp.asarray(pred), xp.asarray(labels))
        assert_same(grads(xp, loss, xp.asarray(pred), xp.asarray(labels.astype(bool))), expected)


def test_bool_weight_is_a_mask(xp: Library) -> None:
    pred, labels = RNG.normal(size=(2, 3, 7)), RNG.integers(0, 3, (2, 7))
    mask = RNG.random((2, 7)) < 0.5
    for loss in (DiceLoss("multiclass"), FocalLoss("multilabel")):
        x, t = xp.asarray(pred), xp.asarray(labels)
        expected = grads(xp, loss, x, t, weight=xp.asarray(mask.astype(float)))
        assert_same(grads(xp, loss, x, t, weight=xp.asarray(mask)), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(
    "loss",
    [
        DiceLoss("multiclass"),
        JaccardLoss("multilabel", per_image=True, reduction="none"),
        CrossEntropyLoss("multiclass"),
        FocalLoss("multilabel", reduction="none"),
    ],
    ids=repr,
)
def test_floating_dtypes(xp: Library, loss: Loss, dtype: str) -> None:
    """Computed in float32 or wider; the gradient has the dtype of the prediction."""
    if not xp.has(dtype):
        pytest.skip(f"{xp.name} has no {dtype}")
    x = xp.asarray(RNG.normal(size=(2, 3, 4, 5)), dtype)
    labels = xp.asarray(RNG.integers(0, 3, (2, 4, 5)))
    value, gradient = loss.value_and_grad(x, labels)
    result = "float64" if dtype == "float64" else "float32"
    exact = xp.asarray(xp.to_numpy(x), "float64")
    expected, slopes = loss.value_and_grad(exact, labels)
    xp.assert_like(value, tuple(expected.shape), result)
    xp.assert_like(gradient, (2, 3, 4, 5), dtype)
    xp.assert_like(loss(x, labels), tuple(expected.shape), result)
    np.testing.assert_allclose(xp.to_numpy(value), xp.to_numpy(expected), rtol=2e-6, atol=1e-7)
    bits = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 1e-5, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(xp.to_numpy(gradient), xp.to_numpy(slopes), rtol=bits, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_of_target_and_weight_does_not_matter(xp: Library, dtype: str) -> None:
    x = xp.asarray(RNG.normal(size=(2, 3, 5)), dtype)
    soft, weight = RNG.integers(0, 9, (2, 3, 5)) / 8, RNG.integers(0, 9, (2, 5)) / 8
    loss = DiceLoss("multilabel") + CrossEntropyLoss("multilabel")
    expected = grads(xp, loss, x, xp.asarray(soft, dtype), weight=xp.asarray(weight, dtype))
    # XLA fuses, and so rounds, the operations of each program in its own way
    rounding = 4 * float(np.finfo(dtype).eps) if xp.family == "jax" else 0.0
    for other in ("float16", "float32", "float64"):
        if not xp.has(other):
            continue
        found = grads(xp, loss, x, xp.asarray(soft, other), weight=xp.asarray(weight, other))
        np.testing.assert_allclose(found[0], expected[0], rtol=rounding)
        np.testing.assert_allclose(found[1], expected[1], rtol=rounding)


def test_half_precision_sums_do_not_overflow(xp: Library) -> None:
    """512² probabilities of about 1/2 sum to more than 65,504, the largest float16."""
    if not xp.has("float16"):
        pytest.skip(f"{xp.name} has no float16")
    x = xp.asarray(np.zeros((1, 512, 512)), "float16")
    labels = xp.asarray(np.ones((1, 512, 512), dtype=np.int64))
    value, gradient = DiceLoss("binary").value_and_grad(x, labels)
    assert float(value) == pytest.approx(1 / 3, rel=1e-6)
    assert np.isfinite(xp.to_numpy(gradient)).all()
    assert float(CrossEntropyLoss("binary")(x, labels)) == pytest.approx(np.log(2), rel=1e-6)


@pytest.mark.parametrize("loss", [DiceLoss("multiclass"), FocalLoss("multiclass")], ids=repr)
def test_inputs_are_not_modified(xp: Library, loss: Loss) -> None:
    pred, labels = RNG.normal(size=(2, 3, 5)), RNG.integers(0, 3, (2, 5))
    labels[0, 0], pred[0, 0, 0] = 255, np.nan
    weight = RNG.random((2, 5))
    x, t, w = xp.asarray(pred), xp.asarray(labels), xp.asarray(weight)
    ignoring = type(loss)("multiclass", ignore_index=255)
    ignoring(x, t, weight=w)
    ignoring.value_and_grad(x, t, weight=w)
    np.testing.assert_array_equal(xp.to_numpy(x), pred)
    np.testing.assert_array_equal(xp.to_numpy(t), labels)
    np.testing.assert_array_equal(xp.to_numpy(w), weight)


@pytest.mark.parametrize("kind", TERMS)
def test_read_only_and_strided_numpy(kind: Any) -> None:
    pred, labels = RNG.normal(size=(4, 6, 8)), RNG.integers(0, 3, (4, 8))
    loss = kind("multiclass")
    strided = pred[::2, ::2, ::-1], labels[::2, ::-1]
    expected = loss.value_and_grad(*map(np.ascontiguousarray, strided))
    for array in (pred, labels):
        array.flags.writeable = False
    assert_same(loss.value_and_grad(*strided), expected)
    value, gradient = loss.value_and_grad(pred[::2, ::2, ::-1], labels[::2, ::-1])
    assert_same((value, gradient), expected)
    assert gradient.flags.writeable
    fortran = loss.value_and_grad(*map(np.asfortranarray, strided))
    assert_same(fortran, expected)
    swapped = loss.value_and_grad(strided[0].astype(">f8"), strided[1].astype(">i8"))
    assert_same(swapped, expected)


def apart_by_half_numbers(x: np.ndarray) -> np.ndarray:
    """A copy whose rows do not begin at multiples of the size of a number."""
    row = x.shape[2] * 4 + 2
    memory = bytearray(x.shape[0] * x.shape[1] * row)
    copy = np.ndarray(x.shape, x.dtype, memory, 0, (x.shape[1] * row, row, 4))
    copy[...] = x
    return copy


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[::-1],
        lambda x: x[:, ::-1],
        lambda x: x[..., ::-1],
        lambda x: np.broadcast_to(x[:1], x.shape),
        lambda x: np.pad(x, ((0, 0), (1, 1), (2, 2)))[:, 1:-1, 2:-2],
        apart_by_half_numbers,
    ],
)
@pytest.mark.parametrize("kind", [*TERMS, "sum"])
def test_views_of_numpy(kind: Any, view: Any) -> None:
    pred = view(RNG.normal(size=(3, 20, 5000)).astype(np.float32))
    labels = RNG.integers(0, 20, (3, 5000))
    both = DiceLoss("multiclass") + FocalLoss("multiclass")
    loss: Loss = both if kind == "sum" else kind("multiclass")
    weights = RNG.random((3, 20, 5000)).astype(np.float32)
    for weight in (None, view(weights)):
        plain = None if weight is None else np.ascontiguousarray(weight)
        expected = loss.value_and_grad(np.ascontiguousarray(pred), labels, weight=plain)
        value, gradient = loss.value_and_grad(pred, labels, weight=weight)
        np.testing.assert_allclose(value, expected[0], rtol=1e-6)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-5, atol=1e-12)


def test_torch_channels_last_memory_format(torch: Any) -> None:
    pred = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    labels = torch.randint(0, 3, (2, 4, 5))
    last = pred.to(memory_format=torch.channels_last)
    for kind in TERMS:
        expected = kind("multiclass").value_and_grad(pred, labels)
        found = kind("multiclass").value_and_grad(last, labels)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-16)
        x = last.detach().requires_grad_()
        kind("multiclass")(x, labels).backward()
        torch.testing.assert_close(x.grad, expected[1], rtol=1e-14, atol=1e-16)
