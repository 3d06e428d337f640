"""The messages: the argument, what came, what was expected, the repair."""

from typing import Any

import numpy as np
import pytest

import xploss
from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, Loss, LovaszLoss

from .libraries import Library
from .test_tiles import set_tiles

DICE = DiceLoss("multiclass")
Z = np.zeros((2, 3, 4, 5))
T = np.zeros((2, 4, 5), dtype=np.int64)


def refuses(
    xp: Library,
    error: type[Exception],
    message: str,
    loss: Loss,
    pred: np.ndarray,
    target: np.ndarray,
    **extra: np.ndarray,
) -> None:
    arrays = {name: xp.asarray(x) for name, x in extra.items()}
    for call in (loss, loss.value_and_grad, loss.statistics):
        with pytest.raises(error, match=message):
            call(xp.asarray(pred), xp.asarray(target), **arrays)


@pytest.mark.parametrize(
    ("mode", "pred", "target", "message"),
    [
        ("binary", (2, 4, 5), (2, 4), r"target has shape \(2, 4\) and pred \(2, 4, 5\).*nothing"),
        ("binary", (2, 3, 4, 5), (2, 4, 5), r'mode="multiclass" takes one channel per class'),
        ("binary", (2, 4, 5), (2, 3, 4, 5), r"expects target of shape \(2, 4, 5\)"),
        ("multiclass", (2, 3, 4, 5), (2, 5, 4), r"\(2, 4, 5\) or \(2, 1, 4, 5\) or \(2, 3, 4, 5\)"),
        ("multiclass", (2, 3, 4, 5), (2, 5, 4), r"transpose one: pred is \(2, 4, 5\) without"),
        ("binary", (2, 1, 4, 5), (2, 5, 4), r"transpose one: pred is \(2, 4, 5\) without"),
        ("binary", (2, 4, 5), (4, 5), r"check class_axis; nothing is broadcast"),
        ("binary", (2, 4, 5), (2, 3, 4, 5), r'mode="multiclass" takes one channel per class'),
        ("multiclass", (2, 3, 4, 5), (1, 4, 5), r"pred has 2 samples and target 1;"),
        (
            "multiclass",
            (2, 3, 4, 5),
            (2, 8, 9),
            r"resize one: pred has pixels \(4, 5\)",
        ),
        ("multiclass", (2, 3, 4, 5), (2, 2, 4, 5), r"target has 2 channels for 3 of pred;"),
        ("multiclass", (2, 3, 4, 5), (2, 4, 5, 3), r"move axis 3 of target to 1 if its classes"),
        ("multilabel", (2, 4, 5, 3), (2, 3, 4, 5), r"check class_axis; nothing is broadcast"),
        ("multiclass", (1, 3, 4, 5), (4, 5), r"pass target\[None\] if it is one sample"),
        ("multiclass", (2, 3, 4, 5), (2, 4), r"check class_axis; nothing is broadcast"),
        ("binary", (2, 1, 4, 5), (2, 8, 9), r"resize one: pred has pixels \(4, 5\)"),
        ("binary", (2, 1, 4, 5), (3, 1, 4, 5), r"pred has 2 samples and target 3;"),
        ("binary", (2, 4, 5), (3, 4, 5), r"pred has 2 samples and target 3;"),
        ("multiclass", (2, 4, 5, 3), (2, 4, 5), r"pass class_axis=3 if the classes are there"),
        ("multiclass", (3, 4, 5), (4, 5), r"pass pred\[None\] and target\[None\] if they are one"),
        ("multilabel", (2, 3, 4), (2, 2, 4), r"target has shape \(2, 2, 4\) and pred \(2, 3, 4\)"),
        ("multiclass", (2, 1, 4), (2, 4), r'at least 2; use mode="binary"'),
        ("multiclass", (2,), (2,), r"pred has shape \(2,\) and class_axis is 1"),
        ("binary", (), (), r'pred has shape \(\); mode "binary" expects \(N, \*S\)'),
    ],
)
def test_shapes(
    xp: Library, mode: Any, pred: tuple[int, ...], target: tuple[int, ...], message: str
) -> None:
    z, t = np.zeros(pred), np.zeros(target, dtype=np.int64)
    refuses(xp, ValueError, message, DiceLoss(mode), z, t)


@pytest.mark.parametrize("shape", [(2, 5, 4), (4, 5), (2, 3, 5), (1, 4, 5), (2, 2, 4, 5), ()])
def test_shape_of_weight(xp: Library, shape: tuple[int, ...]) -> None:
    message = r"weight has shape \(.*expected weight of shape \(2, 4, 5\).*nothing is broadcast"
    refuses(xp, ValueError, message, DICE, Z, T, weight=np.ones(shape))
    message = r"weight has shape"
    refuses(xp, ValueError, message, DiceLoss("binary"), Z[:, 0], T, weight=np.ones(shape))


def test_dtypes(xp: Library) -> None:
    message = r"pred has dtype .*int64.*expected a floating dtype.*do not take its argmax"
    refuses(xp, TypeError, message, DICE, Z.astype(np.int64), T)
    refuses(xp, TypeError, "pred has dtype .*bool", DICE, Z.astype(bool), T)
    refuses(xp, TypeError, "pred has dtype .*complex", DICE, Z.astype(complex), T)
    message = r"target has shape \(2, 4, 5\) and dtype .*float64; expected labels of an integer"
    refuses(xp, TypeError, message, DICE, Z, T.astype(float))
    refuses(xp, TypeError, "target has shape .*complex", DICE, Z, Z.astype(complex))
    message = r"weight has dtype .*int64; expected a floating or bool dtype"
    refuses(xp, TypeError, message, DICE, Z, T, weight=T)


def test_arrays_of_one_library(xp: Library) -> None:
    x, t = xp.asarray(Z), xp.asarray(T)
    if xp.name != "numpy":
        with pytest.raises(TypeError, match=r"target is a numpy.ndarray and pred a .*convert"):
            DICE(x, T)
        with pytest.raises(TypeError, match=r"weight is a numpy.ndarray and pred a .*convert"):
            DICE(x, t, weight=T)
        with pytest.raises(TypeError, match=r"target is a .* and pred a numpy.ndarray"):
            DICE(Z, t)
    with pytest.raises(TypeError, match=r"target is a list and pred"):
        DICE(x, T.tolist())
    with pytest.raises(TypeError, match=r"target is a NoneType and pred"):
        DICE(x, None)
    with pytest.raises(TypeError, match=r"pred is a list; expected an array of NumPy"):
        DICE(Z.tolist(), t)
    with pytest.raises(TypeError, match=r"weight is a (int|float) and pred"):
        DICE(x, t, weight=1.0)


def test_torch_devices(torch: Any) -> None:
    z, t = torch.zeros(1, 2, 3), torch.zeros(1, 3, dtype=torch.int64)
    message = r"target is on device meta and pred on cpu; expected one device; move target to cpu"
    with pytest.raises(ValueError, match=message):
        DICE(z, t.to("meta"))
    with pytest.raises(ValueError, match="weight is on device meta"):
        DICE(z, t, weight=torch.ones(1, 3, device="meta"))


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("label", [3, 255, -1])
def test_labels_out_of_range(xp: Library, mode: Any, label: int) -> None:
    labels = T.copy()
    labels[1, 2, 3] = label
    message = rf"label {label}, outside 0\.\.2 of the 3.*pass ignore_index={label} to \w+ if"
    loss = DiceLoss(mode)
    with xploss.checks("always"):
        refuses(xp, ValueError, message, loss, Z, labels)
        # not at a pixel that is left out
        DiceLoss(mode, ignore_index=label)(xp.asarray(Z), xp.asarray(labels))
        weight = xp.asarray((labels == 0).astype(float))
        loss(xp.asarray(Z), xp.asarray(labels), weight=weight)


def test_values_of_dense_targets(xp: Library) -> None:
    with xploss.checks("always"):
        t = T.copy()
        t[0, 0, 0] = 255
        message = (
            r"value 255, outside \[0, 1\].*pass target > 0 if.*ignore_index=255 to DiceLoss if"
        )
        refuses(xp, ValueError, message, DiceLoss("binary"), Z[:, 0], t)
        # not at an entry that is ignored
        ignoring = DiceLoss("binary", ignore_index=255)
        ignoring(xp.asarray(Z[:, 0]), xp.asarray(t))
        t[1, 0, 0] = 2
        refuses(xp, ValueError, r"target has value 2, outside \[0, 1\]", ignoring, Z[:, 0], t)
        soft = Z.copy()
        soft[0, 0, 0, 0] = 1.5
        message = r"target has value 1.5, outside \[0, 1\] of a dense target; pass class labels"
        refuses(xp, ValueError, message, DICE, Z, soft)
        soft[0, 0, 0, 0] = np.nan
        refuses(xp, ValueError, "target has value nan", DICE, Z, soft)


def test_values_of_probabilities(xp: Library) -> None:
    p = np.full(Z.shape, 0.5)
    p[1, 1, 1, 1] = 1.25
    with xploss.checks("always"):
        for kind in (DiceLoss, FocalLoss):
            loss = kind("multilabel", from_logits=False)
            message = r"pred has value 1.25, outside \[0, 1\] of probabilities.*from_logits=True"
            refuses(xp, ValueError, message, loss, p, T)
            refuses(xp, ValueError, "pred has value -0.25", loss, p - 0.75, T)


@pytest.mark.parametrize(
    ("ignore", "label"),
    [(255, 3), (255, -1), (-100, 254), (2**24, 2**24 + 1), (-(2**31), -(2**31) + 1)],
)
def test_labels_out_of_range_beside_one_that_is_ignored(
    xp: Library, ignore: int, label: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the last of several tiles, also where floats would take one label for the other."""
    set_tiles(monkeypatch, 30)
    labels = T.copy()
    labels[:, 1:3] = ignore
    kept = xp.asarray(labels)
    labels[-1, -1, -1] = label
    message = rf"label {label}, outside 0\.\.2 of the 3.*pass ignore_index={label} to \w+ if"
    for kind in (DiceLoss, CrossEntropyLoss, LovaszLoss):
        loss = kind("multiclass", ignore_index=ignore)
        assert np.isfinite(float(loss(xp.asarray(Z.astype(np.float32)), kept)))
        refuses(xp, ValueError, message, loss, Z.astype(np.float32), labels)


def test_more_classes_than_the_labels_can_name(xp: Library) -> None:
    """int8 labels of 150 classes, also where an ignored label makes all of them be looked at."""
    x, labels = np.random.default_rng(0).normal(size=(1, 150, 30)), np.arange(30, dtype=np.int8)
    labels[3] = -1
    loss = DiceLoss("multiclass", ignore_index=-1)
    with xploss.checks("always"):
        found = loss(xp.asarray(x), xp.asarray(labels[None]))
        expected = loss(xp.asarray(x), xp.asarray(labels[None].astype(np.int64)))
        assert float(found) == float(expected)
        labels[4] = -2
        refuses(xp, ValueError, "label -2, outside", loss, x, labels[None])


def test_an_ignored_label_that_no_integer_can_hold(xp: Library) -> None:
    expected = xp.to_numpy(CrossEntropyLoss("multiclass")(xp.asarray(Z), xp.asarray(T)))
    for ignore in (2**63, 2**200, 10**400):
        loss = CrossEntropyLoss("multiclass", ignore_index=ignore)
        value, _ = loss.value_and_grad(xp.asarray(Z), xp.asarray(T))
        np.testing.assert_array_equal(xp.to_numpy(value), expected)


@pytest.mark.parametrize(("value", "shown"), [(-1.0, "-1"), (np.nan, "nan"), (np.inf, "inf")])
def test_values_of_weight(xp: Library, value: float, shown: str) -> None:
    weight = np.ones((2, 4, 5))
    weight[0, 1, 2] = value
    with xploss.checks("always"):
        message = rf"weight has values in \[.*{shown}.*expected finite weights of at least 0"
        refuses(xp, ValueError, message, DICE, Z, T, weight=weight)


def test_weights_beyond_what_is_computed_with(xp: Library) -> None:
    """A product with a float64 weight would be infinite, or the weight itself, in float32."""
    pred, target = xp.asarray(Z, "float32"), xp.asarray(T)
    with xploss.checks("always"):
        for heavy in (1e39, 1e38, 1e31):
            weight = xp.asarray(np.full(T.shape, heavy), "float32" if heavy < 3e38 else "float64")
            with pytest.raises(ValueError, match=r"3e\+30 is the most in float32; divide the"):
                CrossEntropyLoss("multiclass").value_and_grad(pred, target, weight=weight)
        weight = xp.asarray(np.full(T.shape, 1e30), "float32")
        found = CrossEntropyLoss("multiclass").value_and_grad(pred, target, weight=weight)
    expected = CrossEntropyLoss("multiclass").value_and_grad(pred, target)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(xp.to_numpy(one), xp.to_numpy(other), rtol=1e-5)


def test_checks_can_be_turned_off(xp: Library) -> None:
    labels = T + 7
    x, t = xp.asarray(Z), xp.asarray(labels)
    with xploss.checks("never"):
        DICE(x, t)
        with xploss.checks("always"), pytest.raises(ValueError, match="label 7"):
            DICE(x, t)
        DICE(x, t)  # the inner context has ended
    if xp.name in ("numpy", "strict", "torch", "jax"):
        with pytest.raises(ValueError, match="label 7"):
            DICE(x, t)


def test_checks_takes_three_words() -> None:
    with pytest.raises(ValueError, match=r'when is .often.; expected one of "always", "auto"'):
        xploss.checks("often").__enter__()  # type: ignore[arg-type]


def test_ignore_index_with_dense_multiclass(xp: Library) -> None:
    message = r"ignore_index is 255 and target is dense.*pass labels of shape \(2, 4, 5\).*weight=0"
    refuses(xp, ValueError, message, DiceLoss("multiclass", ignore_index=255), Z, Z)


def test_number_of_classes(xp: Library) -> None:
    message = r"classes is \(0, 3\) and pred has 3 classes; expected class indices in 0\.\.2"
    refuses(xp, ValueError, message, DiceLoss("multiclass", classes=(0, 3)), Z, T)
    message = r"class_weights has 2 numbers for 3 counted classes"
    refuses(xp, ValueError, message, DiceLoss("multiclass", class_weights=(1, 2)), Z, T)
    message = r"alpha has 2 numbers for 3 counted classes"
    refuses(xp, ValueError, message, FocalLoss("multiclass", alpha=(1, 2)), Z, T)
    message = r"pos_weight has 4 numbers for 3 counted classes"
    refuses(xp, ValueError, message, CrossEntropyLoss("multilabel", pos_weight=(1, 2, 3, 4)), Z, T)


def test_cotangent(xp: Library) -> None:
    x, t = xp.asarray(Z), xp.asarray(T)
    with pytest.raises(ValueError, match=r"cotangent has shape \(3,\); expected that of the value"):
        DICE.value_and_grad(x, t, cotangent=xp.asarray(np.ones(3)))
    with pytest.raises(TypeError, match=r"cotangent is .*; expected an array of floats"):
        DICE.value_and_grad(x, t, cotangent=1.0)
    with pytest.raises(TypeError, match=r"cotangent is .*; expected an array of floats"):
        DICE.value_and_grad(x, t, cotangent=xp.asarray(np.ones((), dtype=np.int64)))


def test_terms_of_several_shapes_do_not_add(xp: Library) -> None:
    loss = DICE + CrossEntropyLoss("multiclass", reduction="none")
    for call in (loss, loss.value_and_grad):
        with pytest.raises(ValueError, match=r"values of shapes \(\), \(2, 4, 5\); expected equal"):
            call(xp.asarray(Z), xp.asarray(T))


def test_arguments_are_positional_and_keyword() -> None:
    with pytest.raises(TypeError):
        DICE(pred=Z, target=T)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        DICE(Z, T, T)  # type: ignore[misc]


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("name", ["pred", "target", "weight"])
def test_masks_of_numpy_are_not_passed_by(name: str) -> None:
    """A masked array would be read with what is masked, and a matrix has two axes only."""
    arrays = {"pred": Z, "target": T, "weight": np.ones(T.shape)}
    arrays[name] = np.ma.masked_less(arrays[name], 0)
    with pytest.raises(TypeError, match=f"{name} is a MaskedArray.*weight=0"):
        DICE(arrays.pop("pred"), arrays.pop("target"), **arrays)
    masked = np.ma.masked_less(np.ones(()), 0)
    with pytest.raises(TypeError, match="cotangent is a MaskedArray"):
        DICE.value_and_grad(Z, T, cotangent=masked)
    with pytest.raises(TypeError, match="mask is a MaskedArray"):
        xploss.maps.distance_transform(np.ma.masked_less(T, 0) == 0)
    with pytest.raises(TypeError, match=r"pred is a matrix.*numpy.asarray\(pred\)"):
        DiceLoss("multiclass")(np.asmatrix(Z[..., 0, 0]), T[:, 0, 0])


def test_subclasses_of_numpy_arrays_are_read_as_arrays(tmp_path: Any) -> None:
    z = np.memmap(tmp_path / "z", Z.dtype, "w+", shape=Z.shape)
    value, gradient = LovaszLoss("multiclass").value_and_grad(z, T)
    assert type(gradient) is np.ndarray
    assert value == LovaszLoss("multiclass")(Z, T)


def test_a_bad_label_names_the_loss_that_reads_it(xp: Library) -> None:
    loss = DiceLoss("multiclass", ignore_index=255) + CrossEntropyLoss("multiclass")
    refuses(xp, ValueError, "pass ignore_index=255 to CrossEntropyLoss if", loss, Z, T + 255)


@pytest.mark.parametrize("several", [{"out": Z}, (Z, Z)], ids=["dict", "tuple"])
def test_several_outputs_are_not_one(several: Any) -> None:
    with pytest.raises(TypeError, match="pass one of those that it holds, and add the losses"):
        DICE(several, T)


def test_a_mask_of_0_and_255_is_no_label_of_two_classes(xp: Library) -> None:
    loss = DiceLoss("multiclass")
    refuses(xp, ValueError, "pass target > 0 if it is a mask of 0 and 255", loss, Z[:, :2], T + 255)


def test_statistics_are_not_mapped_to_none() -> None:
    with pytest.raises(TypeError, match=r"function returned None.*each of statistics\.arrays"):
        DICE.statistics(Z, T).map(lambda _: None)


def test_weights_per_sample_are_to_be_spread(xp: Library) -> None:
    message = "spread numbers per sample over their pixels"
    refuses(xp, ValueError, message, DICE, Z, T, weight=np.ones(2))


def test_dtypes_of_other_packages_are_refused_by_name() -> None:
    foreign = pytest.importorskip("ml_dtypes").bfloat16
    with pytest.raises(TypeError, match="pred has dtype bfloat16, which is not NumPy's own"):
        DICE(Z.astype(foreign), T)
