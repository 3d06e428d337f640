"""Bad cotangents, statistics, sums of losses, and gradients that are asked of the wrong array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from conformance.bad.rows import DICE, B, L, M, Row, T, Z, bad
from tests.libraries import Library
from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, LovaszLoss

ARRAYS = {"pred": Z, "target": T}
TERMS = DiceLoss(M, reduction="none")
MAP = FocalLoss(M, reduction="none")


def _cotangents() -> Iterator[Row]:
    for name, loss, shape in (
        ("scalar", DICE, (1,)),
        ("classes", DICE, (3,)),
        ("terms", TERMS, ()),
        ("too-many-terms", TERMS, (4,)),
        ("map", MAP, (4, 2)),
        ("dense-map", MAP, (2, 3, 4)),
    ):
        says = f"cotangent has shape {shape}", "expected that of the value"
        yield bad(f"cotangent-{name}", loss, ValueError, *says, cotangent=np.ones(shape))
    for name, given in (
        ("number", 1.0),
        ("list", [1.0]),
        ("integers", np.ones((), dtype=np.int64)),
        ("bools", np.ones((), dtype=bool)),
    ):
        says = "cotangent is", "expected an array of floats of the library of pred"
        yield bad(f"cotangent-{name}", DICE, TypeError, *says, cotangent=given)


def _statistics() -> Iterator[Row]:
    def measured(loss: Any, xp: Library) -> Any:
        return loss.statistics(xp.asarray(Z), xp.asarray(T))

    none = 'reduction="none"', 'expected "mean" or "sum"'
    yield Row(
        "statistics-of-map",
        lambda _, a: MAP.statistics(a["pred"], a["target"]),
        ValueError,
        none,
        ARRAYS,
    )
    sort = LovaszLoss(M, method="sort")
    says = 'method="sort"', 'expected "histogram"'
    yield Row(
        "statistics-of-sort",
        lambda _, a: sort.statistics(a["pred"], a["target"]),
        ValueError,
        says,
        ARRAYS,
    )
    other = "statistics are those of", "expected those of", "statistics() of the same loss"
    yield Row(
        "statistics-of-another-loss",
        lambda xp, _: DICE.from_statistics(measured(JaccardLoss(M), xp)),
        ValueError,
        other,
    )
    yield Row(
        "statistics-of-another-parameter",
        lambda xp, _: DICE.from_statistics(measured(DiceLoss(M, smooth=1.0), xp)),
        ValueError,
        other,
    )
    yield Row(
        "statistics-of-another-loss-for-a-gradient",
        lambda xp, a: DICE.value_and_grad(
            a["pred"], a["target"], statistics=measured(FocalLoss(M), xp)
        ),
        ValueError,
        other,
        ARRAYS,
    )
    for name, given in (("tuple", (1, 2)), ("array", Z), ("number", 0.5)):
        yield Row(
            f"statistics-are-a-{name}",
            _without_arrays(partial(DICE.from_statistics, given)),
            TypeError,
            ("statistics is a", "expected what statistics()"),
        )
    yield Row(
        "statistics-of-two-losses-added",
        lambda xp, _: measured(DICE, xp) + measured(JaccardLoss(M), xp),
        ValueError,
        ("statistics of", "expected statistics of one loss"),
    )
    yield Row(
        "statistics-of-other-samples-added",
        lambda xp, _: (
            measured(DiceLoss(M, per_image=True), xp)
            + DiceLoss(M, per_image=True).statistics(xp.asarray(Z[:1]), xp.asarray(T[:1]))
        ),
        ValueError,
        ("statistics of shapes", "expected equal shapes", "the same samples"),
    )
    yield Row(
        "statistics-and-a-number",
        lambda xp, _: measured(DICE, xp) + 1.0,
        TypeError,
        ("unsupported operand",),
    )


def _sums() -> Iterator[Row]:
    shapes = "have values of shapes", "expected equal shapes", 'take reduction="mean" or "sum"'
    yield bad("sum-of-shapes", DICE + MAP, ValueError, *shapes)
    yield bad("sum-of-terms", TERMS + MAP, ValueError, *shapes)
    yield bad("sum-of-terms-and-mean", TERMS + DICE, ValueError, *shapes)
    says = "target has shape (2, 4)", 'mode "binary"'
    yield bad("sum-of-modes", DICE + DiceLoss(B), ValueError, *says)
    says = "ignore_index is 255", "target is dense"
    loss = DiceLoss(L, ignore_index=255) + CrossEntropyLoss(M, ignore_index=255)
    target = np.eye(3, dtype=np.int64)[T].transpose(0, 2, 1)
    yield bad("sum-ignore-dense", loss, ValueError, *says, target=target)
    operators: tuple[tuple[str, Any, type[Exception], tuple[str, ...]], ...] = (
        ("loss-plus-one", lambda: DICE + 1, TypeError, ("unsupported operand",)),
        ("loss-minus-loss", lambda: DICE - DICE, TypeError, ("unsupported operand",)),
        ("loss-times-loss", lambda: DICE * DICE, TypeError, ("unsupported operand",)),
        ("loss-times-text", lambda: DICE * "2", TypeError, ()),
        ("loss-times-true", lambda: DICE * True, TypeError, ("unsupported operand",)),
        ("loss-times-array", lambda: DICE * [1, 2], TypeError, ()),
        ("one-over-loss", lambda: 1 / DICE, TypeError, ("unsupported operand",)),
        ("minus-loss", lambda: -DICE, TypeError, ("bad operand",)),
        (
            "loss-over-zero",
            lambda: DICE / 0,
            ValueError,
            ("divisor of a loss is 0", "other than 0"),
        ),
        ("loss-times-nan", lambda: float("nan") * DICE, ValueError, ("factor of a loss is nan",)),
        ("loss-times-inf", lambda: DICE * float("inf"), ValueError, ("factor of a loss is inf",)),
        ("loss-over-nan", lambda: DICE / float("nan"), ValueError, ("divisor of a loss is nan",)),
        ("sum-with-text", lambda: sum([DICE, "x"]), TypeError, ("unsupported operand",)),
    )
    for name, make, error, parts in operators:
        yield Row(name, _without_arrays(make), error, parts)


def _without_arrays(make: Callable[[], Any]) -> Callable[[Library, dict[str, Any]], Any]:
    return lambda _, __: make()


def _calls() -> Iterator[Row]:
    """Calls whose arguments Python itself refuses, or that ask too many gradients."""
    for name, call in (
        ("weight-positional", lambda _, a: DICE(a["pred"], a["target"], a["weight"])),
        ("unknown-keyword", lambda _, a: DICE(a["pred"], a["target"], mask=a["weight"])),
        ("keywords", lambda _, a: DICE(pred=a["pred"], target=a["target"])),
        ("no-target", lambda _, a: DICE(a["pred"])),
    ):
        arrays = {**ARRAYS, "weight": np.ones(T.shape)}
        yield Row(f"call-{name}", call, TypeError, ("argument",), arrays)

    def differentiable(xp: Library) -> str:
        return "" if xp.differentiates else f"{xp.name} has no autodiff"

    def by(name: str) -> Any:
        def call(xp: Library, arrays: dict[str, Any]) -> Any:
            if xp.family == "torch":
                held = {k: x.requires_grad_() if k == name else x for k, x in arrays.items()}
                return DiceLoss(L)(held["pred"], held["target"], weight=held["weight"])

            def function(x: Any) -> Any:
                held = {**arrays, name: x}
                return DiceLoss(L)(held["pred"], held["target"], weight=held["weight"])

            return import_module("jax").grad(function)(arrays[name])

        return call

    arrays = {"pred": Z, "target": np.full(Z.shape, 0.25), "weight": np.ones(T.shape)}
    for name in ("target", "weight"):
        says = f"{name} requires a gradient", "gradients flow to pred only", "pass "
        yield Row(f"gradient-by-{name}", by(name), TypeError, says, arrays, differentiable)


USES: tuple[Row, ...] = (*_cotangents(), *_statistics(), *_sums(), *_calls())
