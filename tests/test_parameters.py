"""Hyperparameters: checked when a loss is built, kept in a plain frozen value."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from xploss import CrossEntropyLoss, DiceLoss, FBetaLoss, FocalLoss, JaccardLoss, Loss, TverskyLoss

from .cases import LOSSES

KINDS = [DiceLoss, JaccardLoss, TverskyLoss, FBetaLoss, CrossEntropyLoss, FocalLoss]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "multi"}, ValueError, 'mode is .multi.; expected one of "binary", "multiclass"'),
        ({"mode": None}, TypeError, "mode is None; expected one of"),
        ({"from_logits": 1}, TypeError, "from_logits is 1; expected True or False"),
        ({"class_axis": 0}, ValueError, "class_axis is 0, the axis of the samples"),
        ({"class_axis": 1.0}, TypeError, "class_axis is 1.0; expected an integer"),
        ({"classes": ()}, ValueError, "classes is empty; expected at least one class index"),
        ({"classes": 1}, TypeError, "classes is 1; expected a sequence of class indices"),
        ({"classes": (1, 1)}, ValueError, r"classes is \(1, 1\); expected distinct"),
        ({"classes": (-1,)}, ValueError, r"classes is \(-1,\); expected distinct.* at least 0"),
        ({"classes": (True, False)}, TypeError, r"classes\[0\] is True; expected an integer"),
        ({"class_weights": 2.0}, TypeError, "class_weights is 2.0; expected a sequence"),
        ({"class_weights": "12"}, TypeError, "class_weights is '12'; expected a sequence"),
        ({"class_weights": (1, -1)}, ValueError, r"class_weights\[1\] is -1; .* at least 0"),
        ({"class_weights": (0, 0)}, ValueError, "class_weights are all 0; expected"),
        ({"class_weights": (1, float("nan"))}, ValueError, r"class_weights\[1\] is nan"),
        ({"class_weights": (1,), "classes": (1, 2)}, ValueError, "1 numbers for 2 counted"),
        ({"ignore_index": 2.5}, TypeError, "ignore_index is 2.5; expected an integer"),
        ({"ignore_index": True}, TypeError, "ignore_index is True; expected an integer"),
        ({"reduction": "avg"}, ValueError, 'reduction is .avg.; expected one of "mean", "sum"'),
        ({"reduction": None}, TypeError, "reduction is None; expected one of"),
    ],
    ids=str,
)
def test_shared_parameters(
    kind: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        kind(**{"mode": "multiclass", **options})


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: DiceLoss("binary", smooth=-1), ValueError, "smooth is -1; .*at least 0"),
        (lambda: DiceLoss("binary", smooth="1"), TypeError, "smooth is '1'; expected a real"),
        (lambda: DiceLoss("binary", gamma=0), ValueError, "gamma is 0; expected a number above 0"),
        (lambda: DiceLoss("binary", log_loss=None), TypeError, "log_loss is None; expected True"),
        (
            lambda: DiceLoss("binary", log_loss=True, gamma=2),
            ValueError,
            "gamma is 2 and log_loss is True; expected one of them",
        ),
        (lambda: DiceLoss("binary", overlap="max"), ValueError, 'overlap is .max.; .*"min", "prod'),
        (lambda: DiceLoss("binary", absent="one"), ValueError, 'absent is .one.; .*"keep", "skip"'),
        (lambda: DiceLoss("binary", average="all"), ValueError, 'average is .all.; .*"macro"'),
        (lambda: DiceLoss("binary", per_image=0), TypeError, "per_image is 0; expected True"),
        (
            lambda: DiceLoss("multilabel", average="micro", class_weights=(1, 2)),
            ValueError,
            'class_weights is .* and average is "micro".*use average="macro"',
        ),
        (
            lambda: TverskyLoss("binary", alpha=0, beta=0),
            ValueError,
            "alpha and beta are both 0; expected one above 0",
        ),
        (lambda: TverskyLoss("binary", alpha=-0.1), ValueError, "alpha is -0.1; .*at least 0"),
        (lambda: FBetaLoss("binary", beta=-1), ValueError, "beta is -1; .*at least 0"),
        (
            lambda: DiceLoss("binary", class_weights=(1, 2)),
            ValueError,
            "2 numbers for 1 counted.*pass pos_weight=w",
        ),
        (
            lambda: CrossEntropyLoss("binary", label_smoothing=1.5),
            ValueError,
            r"label_smoothing is 1.5; expected a finite number in \[0, 1\]",
        ),
        (
            lambda: CrossEntropyLoss("multiclass", pos_weight=2),
            ValueError,
            'pos_weight is 2.0 in mode "multiclass".*pass class_weights instead',
        ),
        (
            lambda: CrossEntropyLoss("multiclass", balance="auto"),
            ValueError,
            'balance is auto in mode "multiclass".*pass class_weights instead',
        ),
        (
            lambda: CrossEntropyLoss("binary", pos_weight=2, balance=0.5),
            ValueError,
            "pos_weight is 2.0 and balance is 0.5; expected one of them",
        ),
        (
            lambda: CrossEntropyLoss("binary", balance="full"),
            ValueError,
            'balance is .full.; expected a number, or "auto"',
        ),
        (lambda: CrossEntropyLoss("binary", balance=2), ValueError, r"balance is 2; .*\[0, 1\]"),
        (
            lambda: CrossEntropyLoss("binary", pos_weight=-2),
            ValueError,
            "pos_weight is -2; .*least",
        ),
        (lambda: FocalLoss("binary", gamma=-1), ValueError, "gamma is -1; .*at least 0"),
        (lambda: FocalLoss("binary", alpha=2), ValueError, r"alpha is 2; .*\[0, 1\]"),
        (
            lambda: FocalLoss("multiclass", alpha=0.25),
            ValueError,
            'alpha is 0.25 in mode "multiclass", where libraries read a single number in three',
        ),
        (lambda: FocalLoss("binary", alpha="0.25"), TypeError, "alpha is '0.25'; expected a"),
    ],
)
def test_own_parameters(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def test_per_image_is_not_for_pointwise_losses() -> None:
    for kind in (CrossEntropyLoss, FocalLoss):
        with pytest.raises(TypeError, match="per_image"):
            kind("binary", per_image=True)


def test_options_are_keyword_only() -> None:
    for kind in KINDS:
        with pytest.raises(TypeError):
            kind("binary", True)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_loss_is_a_value(loss: Loss) -> None:
    for twin in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), eval(repr(loss))):
        assert twin == loss
        assert hash(twin) == hash(loss)
        assert repr(twin) == repr(loss)
    other = DiceLoss("binary", smooth=0.123)
    assert loss != other
    with pytest.raises(AttributeError):
        loss.anything = 1  # type: ignore[attr-defined]


def test_parameters_are_made_plain() -> None:
    weights = np.array([1, 2, 3], dtype=np.int32)
    loss = DiceLoss(
        "multiclass", class_weights=weights, classes=np.arange(3), ignore_index=np.int64(7)
    )
    assert loss == DiceLoss("multiclass", class_weights=[1, 2, 3], classes=range(3), ignore_index=7)
    weights[0] = 99
    assert loss.class_weights == (1.0, 2.0, 3.0)
    assert all(type(x) is float for x in loss.class_weights)
    assert all(type(x) is int for x in loss.classes)
    assert type(loss.ignore_index) is int
    assert type(FocalLoss("binary", gamma=np.float32(2)).gamma) is float
    assert FocalLoss("multilabel", alpha=[0.25, 0.5]).alpha == (0.25, 0.5)


def test_the_callers_arguments_are_not_kept() -> None:
    weights = [1.0, 2.0, 3.0]
    loss = CrossEntropyLoss("multiclass", class_weights=weights)
    weights.append(4.0)
    assert loss.class_weights == (1.0, 2.0, 3.0)


def test_losses_differ_by_kind_and_parameter() -> None:
    assert DiceLoss("binary") != FBetaLoss("binary")
    assert DiceLoss("binary") != DiceLoss("multilabel")
    assert DiceLoss("binary", smooth=0) == DiceLoss("binary")
    assert len({DiceLoss("binary"), DiceLoss("binary"), JaccardLoss("binary")}) == 2


def test_repr_shows_what_is_not_default() -> None:
    assert repr(DiceLoss("binary")) == "DiceLoss('binary')"
    loss = FocalLoss("multiclass", gamma=2.0, alpha=(0.5, 1), ignore_index=255)
    assert repr(loss) == "FocalLoss('multiclass', ignore_index=255, alpha=(0.5, 1.0))"


@pytest.mark.parametrize(
    "values", [{0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}.keys(), {1.0, 2.0}, "12", b"12", np.ndarray]
)
def test_values_without_an_order_are_refused(values: Any) -> None:
    for build in (
        lambda: DiceLoss("multiclass", class_weights=values),
        lambda: CrossEntropyLoss("multilabel", pos_weight=values),
        lambda: DiceLoss("multiclass", classes=values),
    ):
        with pytest.raises(TypeError, match=r" is .*; expected a (sequence|real)"):
            build()


def test_arrays_of_no_axes_are_numbers() -> None:
    assert CrossEntropyLoss("binary", pos_weight=np.array(2)).pos_weight == 2.0
    assert FocalLoss("binary", alpha=np.array(0.25)).alpha == 0.25
    with pytest.raises(TypeError, match=r"classes is array\(1\); expected a sequence of class"):
        DiceLoss("multiclass", classes=np.array(1))
