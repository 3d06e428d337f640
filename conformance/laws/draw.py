"""Random calls: a loss with random options, and arrays that fit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

import xploss
from xploss import Loss

IGNORED = 255
MODES = ("binary", "multiclass", "multilabel")
OVERLAP = ("DiceLoss", "JaccardLoss", "TverskyLoss", "FBetaLoss")
POINTWISE = ("CrossEntropyLoss", "FocalLoss")
REGIONS = (*OVERLAP, "LovaszLoss")
ALL = (*REGIONS, *POINTWISE)


@dataclass(frozen=True)
class Drawn:
    """A call in NumPy arrays."""

    kind: str
    mode: Any
    options: dict[str, Any]
    pred: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None
    seed: int

    @property
    def loss(self) -> Loss:
        made: Loss = getattr(xploss, self.kind)(self.mode, **self.options)
        return made

    @property
    def rng(self) -> np.random.Generator:
        """Numbers that belong to this call, apart from its arrays."""
        return np.random.default_rng(self.seed + 1)

    def but(self, **changes: Any) -> Drawn:
        """The call with other arrays, another kind or mode."""
        return replace(self, **changes)

    def having(self, **options: Any) -> Drawn:
        """The call with other options; None removes one."""
        merged = {**self.options, **options}
        return replace(self, options={k: v for k, v in merged.items() if v is not None})


@st.composite
def calls(
    draw: st.DrawFn,
    kinds: Sequence[str] = ALL,
    modes: Sequence[str] = MODES,
    *,
    target: str = "any",
    weighted: bool | None = None,
    ignoring: bool | None = None,
    reduction: Sequence[str] = ("mean", "sum", "none"),
    logits: bool = True,
    plain: Sequence[str] = (),
) -> Drawn:
    """A call of one of the kinds and modes.

    `target` is labels, hard (dense), soft, or any; `weighted` and `ignoring` may be left to
    chance; options named in `plain` keep their defaults.
    """
    kind, mode = draw(st.sampled_from(kinds)), draw(st.sampled_from(modes))
    options = _options(draw, kind, mode, reduction, plain)
    if not logits:
        options["from_logits"] = False
    form = _form(draw, kind, target)
    dense_labels = mode == "multiclass" and form != "labels"
    ignore = ignoring if ignoring is not None else draw(st.booleans())
    if ignore and not dense_labels:
        options["ignore_index"] = IGNORED
    weight = weighted if weighted is not None else draw(st.booleans())
    seed = draw(st.integers(0, 2**32))
    return _arrays(kind, mode, options, form, weight, seed)


def _form(draw: st.DrawFn, kind: str, target: str) -> str:
    if target != "any":
        return target
    return draw(st.sampled_from(("labels", "hard") + (() if kind == "LovaszLoss" else ("soft",))))


def _options(
    draw: st.DrawFn, kind: str, mode: str, reduction: Sequence[str], plain: Sequence[str]
) -> dict[str, Any]:
    """Options that a loss of three classes (binary: one) takes."""
    choices: dict[str, list[Any]] = {"reduction": list(reduction)}
    if mode != "binary":
        choices["class_weights"] = [None, (0.5, 2.0, 1.25)]
    if kind in REGIONS:
        choices |= {"per_image": [False, True], "absent": [None, "keep", "skip", "zero"]}
    if kind in OVERLAP:
        choices |= {
            "smooth": [0.0, 0.5, 1.0],
            "overlap": ["min", "product", "squared"],
            "gamma": [1.0, 0.75, 2.0],
        }
    if kind in POINTWISE:
        choices["label_smoothing"] = [0.0, 0.1]
    if kind == "TverskyLoss":
        choices |= {"alpha": [0.3, 0.5, 1.0], "beta": [0.7, 0.5, 0.0]}
    if kind == "FBetaLoss":
        choices["beta"] = [1.0, 2.0, 0.5]
    if kind == "FocalLoss":
        choices |= {"gamma": [2.0, 0.0, 0.5, 1.0, 2.5]}
        choices["alpha"] = [None, (0.5, 0.25, 1.0)] if mode == "multiclass" else [None, 0.25]
    if kind == "CrossEntropyLoss" and mode != "multiclass":
        choices["pos_weight"] = [None, 3.0]
    if kind == "LovaszLoss" and mode != "multiclass":
        choices["surrogate"] = ["hinge", "probability"]
    drawn = {k: draw(st.sampled_from(v)) for k, v in choices.items() if k not in plain}
    return {k: v for k, v in drawn.items() if v is not None}


def _arrays(
    kind: str, mode: str, options: dict[str, Any], form: str, weighted: bool, seed: int
) -> Drawn:
    rng = np.random.default_rng(seed)
    pixels = (int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 5)))
    shape = pixels if mode == "binary" else (pixels[0], 3, *pixels[1:])
    pred = 2 * rng.normal(size=shape)
    if options.get("from_logits") is False:
        pred = activated(pred, mode)
    target = _target(rng, mode, form, shape, pixels)
    if "ignore_index" in options:
        target = np.where(rng.random(target.shape) < 0.25, IGNORED, target)
    weight = rng.choice([0.0, 0.5, 1.0, 2.0, 3.0], pixels) if weighted else None
    return Drawn(kind, mode, options, pred, target, weight, seed)


def _target(
    rng: np.random.Generator, mode: str, form: str, shape: tuple[int, ...], pixels: tuple[int, ...]
) -> np.ndarray:
    labels = rng.integers(0, 2 if mode == "binary" else 3, pixels)
    if form == "labels" or (form == "hard" and mode == "binary"):
        return labels
    if form == "hard" and mode == "multilabel":
        return rng.integers(0, 2, shape)
    if form == "hard":
        return one_hot(labels)
    soft = rng.random(shape)
    return soft / soft.sum(1, keepdims=True) if mode == "multiclass" else soft


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Labels of three classes as (N, 3, *S)."""
    return np.moveaxis(np.eye(3, dtype=np.int64)[labels], -1, 1)


def activated(z: np.ndarray, mode: str) -> np.ndarray:
    """Probabilities from logits."""
    if mode != "multiclass":
        sigmoid: np.ndarray = 1 / (1 + np.exp(-z))
        return sigmoid
    e = np.exp(z - z.max(1, keepdims=True))
    softmax: np.ndarray = e / e.sum(1, keepdims=True)
    return softmax
