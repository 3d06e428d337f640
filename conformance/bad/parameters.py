"""Bad hyperparameters: refused when a loss is built, whatever arrays it will see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import xploss
from conformance.bad.rows import B, L, M

NAN, INF = float("nan"), float("inf")
OVERLAP = ("DiceLoss", "JaccardLoss", "TverskyLoss", "FBetaLoss")
POINTWISE = ("CrossEntropyLoss", "FocalLoss")
ALL = (*OVERLAP, *POINTWISE, "LovaszLoss")


@dataclass(frozen=True)
class BadLoss:
    """A loss that cannot be built, and what the message must contain."""

    kind: str
    mode: Any
    options: dict[str, Any]
    error: type[Exception]
    says: tuple[str, ...]

    def __str__(self) -> str:
        options = "".join(f",{key}={value!r}" for key, value in self.options.items())
        return f"{self.kind}({self.mode!r}{options})"

    def build(self) -> Any:
        """Try to build the loss."""
        return getattr(xploss, self.kind)(self.mode, **self.options)


Rule = tuple[str, Any, type[Exception], str]  # parameter, value, error, a part of the message

SHARED: tuple[Rule, ...] = (
    ("from_logits", 1, TypeError, "expected True or False"),
    ("from_logits", "yes", TypeError, "expected True or False"),
    ("from_logits", None, TypeError, "expected True or False"),
    ("class_axis", 0, ValueError, "the axis of the samples"),
    ("class_axis", 1.0, TypeError, "expected an integer"),
    ("class_axis", None, TypeError, "expected an integer"),
    ("class_axis", True, TypeError, "expected an integer"),
    ("classes", (), ValueError, "expected at least one class index"),
    ("classes", 1, TypeError, "expected a sequence of class indices"),
    ("classes", "01", TypeError, "expected a sequence of class indices"),
    ("classes", (1, 1), ValueError, "expected distinct class indices"),
    ("classes", (-1,), ValueError, "of at least 0"),
    ("classes", (0.5,), TypeError, "expected an integer"),
    ("classes", (True, False), TypeError, "expected an integer"),
    ("class_weights", 2.0, TypeError, "expected a sequence, one number per counted class"),
    ("class_weights", "12", TypeError, "expected a sequence"),
    ("class_weights", {0: 1.0, 1: 2.0}, TypeError, "expected a sequence"),
    ("class_weights", {1.0, 2.0}, TypeError, "expected a sequence"),
    ("class_weights", (), ValueError, "expected one number per counted class"),
    ("class_weights", (1, -1), ValueError, "of at least 0"),
    ("class_weights", (1, NAN), ValueError, "expected a finite number"),
    ("class_weights", (INF, 1), ValueError, "expected a finite number"),
    ("class_weights", (0, 0), ValueError, "expected at least one weight above 0"),
    ("class_weights", (1, None), TypeError, "expected a real number"),
    ("class_weights", ("1", "2"), TypeError, "expected a real number"),
    ("class_weights", (1j, 2), TypeError, "expected a real number"),
    ("ignore_index", 2.5, TypeError, "expected an integer"),
    ("ignore_index", True, TypeError, "expected an integer"),
    ("ignore_index", "255", TypeError, "expected an integer"),
    ("ignore_index", (255, 254), TypeError, "expected an integer"),
    ("reduction", "avg", ValueError, '"mean", "sum", "none"'),
    ("reduction", None, TypeError, '"mean", "sum", "none"'),
    ("reduction", "Mean", ValueError, '"mean", "sum", "none"'),
)

REGION: tuple[Rule, ...] = (
    ("per_image", 0, TypeError, "expected True or False"),
    ("per_image", "batch", TypeError, "expected True or False"),
    ("absent", "one", ValueError, '"keep", "skip", "zero"'),
    ("absent", 0, TypeError, '"keep", "skip", "zero"'),
)

SCORE: tuple[Rule, ...] = (
    ("smooth", -1, ValueError, "of at least 0"),
    ("smooth", NAN, ValueError, "expected a finite number"),
    ("smooth", INF, ValueError, "expected a finite number"),
    ("smooth", "1", TypeError, "expected a real number"),
    ("smooth", None, TypeError, "expected a real number"),
    ("gamma", 0, ValueError, "above 0"),
    ("gamma", -0.5, ValueError, "above 0"),
    ("gamma", NAN, ValueError, "expected a finite number"),
    ("gamma", True, TypeError, "expected a real number"),
    ("log_loss", 1, TypeError, "expected True or False"),
    ("overlap", "max", ValueError, '"min", "product", "squared"'),
    ("overlap", 2, TypeError, '"min", "product", "squared"'),
    ("average", "weighted", ValueError, '"macro", "micro"'),
    ("average", None, TypeError, '"macro", "micro"'),
)

PER_PIXEL: tuple[Rule, ...] = (
    ("label_smoothing", -0.1, ValueError, "in [0, 1]"),
    ("label_smoothing", 1.1, ValueError, "in [0, 1]"),
    ("label_smoothing", NAN, ValueError, "expected a finite number"),
    ("label_smoothing", None, TypeError, "expected a real number"),
)

OWN: tuple[tuple[str, str, dict[str, Any], type[Exception], tuple[str, ...]], ...] = (
    ("TverskyLoss", M, {"alpha": -0.1}, ValueError, ("alpha is -0.1", "of at least 0")),
    ("TverskyLoss", M, {"alpha": NAN}, ValueError, ("alpha is nan", "finite")),
    ("TverskyLoss", M, {"beta": INF}, ValueError, ("beta is inf", "finite")),
    ("TverskyLoss", M, {"beta": "0.5"}, TypeError, ("beta is '0.5'", "real number")),
    ("TverskyLoss", M, {"alpha": (0.3, 0.7)}, TypeError, ("alpha is (0.3, 0.7)", "real number")),
    ("TverskyLoss", M, {"alpha": 0, "beta": 0}, ValueError, ("alpha and beta", "one above 0")),
    ("FBetaLoss", M, {"beta": -1}, ValueError, ("beta is -1", "of at least 0")),
    ("FBetaLoss", M, {"beta": NAN}, ValueError, ("beta is nan", "finite")),
    ("FBetaLoss", M, {"beta": None}, TypeError, ("beta is None", "real number")),
    ("FocalLoss", M, {"gamma": -1}, ValueError, ("gamma is -1", "of at least 0")),
    ("FocalLoss", M, {"gamma": INF}, ValueError, ("gamma is inf", "finite")),
    ("FocalLoss", M, {"gamma": "2"}, TypeError, ("gamma is '2'", "real number")),
    ("FocalLoss", M, {"alpha": 0.25}, ValueError, ("alpha is 0.25", "one number per class")),
    ("FocalLoss", M, {"alpha": (0.5, -1)}, ValueError, ("alpha[1] is -1", "of at least 0")),
    ("FocalLoss", M, {"alpha": (0.5, NAN)}, ValueError, ("alpha[1] is nan", "finite")),
    ("FocalLoss", B, {"alpha": 1.5}, ValueError, ("alpha is 1.5", "in [0, 1]")),
    ("FocalLoss", B, {"alpha": -0.5}, ValueError, ("alpha is -0.5", "in [0, 1]")),
    ("FocalLoss", B, {"alpha": (0.2, 0.8)}, ValueError, ("alpha has 2 numbers", "1 counted")),
    ("FocalLoss", L, {"alpha": "balanced"}, TypeError, ("alpha is 'balanced'",)),
    ("CrossEntropyLoss", B, {"pos_weight": -1}, ValueError, ("pos_weight is -1", "at least 0")),
    ("CrossEntropyLoss", B, {"pos_weight": NAN}, ValueError, ("pos_weight is nan", "finite")),
    ("CrossEntropyLoss", B, {"pos_weight": "3"}, TypeError, ("pos_weight is '3'",)),
    ("CrossEntropyLoss", B, {"pos_weight": (1, 2)}, ValueError, ("pos_weight has 2", "1 counted")),
    ("CrossEntropyLoss", M, {"pos_weight": 2}, ValueError, ("pos_weight is 2", "class_weights")),
    ("CrossEntropyLoss", M, {"balance": "auto"}, ValueError, ("balance is auto", "class_weights")),
    ("CrossEntropyLoss", L, {"balance": 1.5}, ValueError, ("balance is 1.5", "in [0, 1]")),
    ("CrossEntropyLoss", L, {"balance": "on"}, ValueError, ("balance is 'on'", '"auto"')),
    ("CrossEntropyLoss", L, {"balance": True}, TypeError, ("balance is True", "real number")),
    (
        "CrossEntropyLoss",
        L,
        {"balance": "auto", "pos_weight": 2},
        ValueError,
        ("pos_weight is 2", "balance is auto", "expected one of them"),
    ),
    ("LovaszLoss", B, {"surrogate": "softmax"}, ValueError, ("surrogate is", '"hinge"')),
    ("LovaszLoss", B, {"method": "exact"}, ValueError, ("method is 'exact'", '"sort"')),
    ("LovaszLoss", B, {"method": None}, TypeError, ("method is None", '"sort"')),
    ("LovaszLoss", B, {"bins": 1}, ValueError, ("bins is 1", "expected 2 to")),
    ("LovaszLoss", B, {"bins": 0}, ValueError, ("bins is 0", "expected 2 to")),
    ("LovaszLoss", B, {"bins": 2**30}, ValueError, ("bins is", "expected 2 to")),
    ("LovaszLoss", B, {"bins": 64.0}, TypeError, ("bins is 64.0", "expected an integer")),
    ("DiceLoss", B, {"class_weights": (1, 2)}, ValueError, ("class_weights has 2", "1 counted")),
    ("DiceLoss", L, {"classes": (0, 1), "class_weights": (1,)}, ValueError, ("2 counted",)),
    (
        "DiceLoss",
        L,
        {"average": "micro", "class_weights": (1, 2)},
        ValueError,
        ("class_weights is (1.0, 2.0)", '"micro"', 'use average="macro"'),
    ),
    (
        "JaccardLoss",
        M,
        {"log_loss": True, "gamma": 2},
        ValueError,
        ("gamma is 2", "log_loss is True", "expected one of them"),
    ),
    # options that a loss cannot honour are not in its signature
    ("CrossEntropyLoss", M, {"per_image": True}, TypeError, ("per_image",)),
    ("FocalLoss", M, {"absent": "skip"}, TypeError, ("absent",)),
    ("LovaszLoss", M, {"smooth": 1.0}, TypeError, ("smooth",)),
    ("DiceLoss", M, {"alpha": 0.5}, TypeError, ("alpha",)),
    ("DiceLoss", M, {"include_background": False}, TypeError, ("include_background",)),
)


def _rules(kinds: tuple[str, ...], rules: tuple[Rule, ...]) -> Iterator[BadLoss]:
    for kind in kinds:
        for name, value, error, part in rules:
            yield BadLoss(kind, M, {name: value}, error, (name, part))


def _modes() -> Iterator[BadLoss]:
    for kind in ALL:
        for mode, error in (
            ("multi", ValueError),
            ("Binary", ValueError),
            (None, TypeError),
            (1, TypeError),
        ):
            says = f"mode is {mode!r}", '"binary", "multiclass", "multilabel"'
            yield BadLoss(kind, mode, {}, error, says)


LOSSES: tuple[BadLoss, ...] = (
    *_modes(),
    *_rules(ALL, SHARED),
    *_rules((*OVERLAP, "LovaszLoss"), REGION),
    *_rules(OVERLAP, SCORE),
    *_rules(POINTWISE, PER_PIXEL),
    *(BadLoss(*row) for row in OWN),
)
