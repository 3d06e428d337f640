"""Runs golden cases on a backend: the routes to value and gradient, and how far they are off."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

import xploss
from conformance import cases, tolerances
from conformance.cases import Case
from conformance.tolerances import Deviation, computing
from tests.libraries import Library
from xploss.backend import Backend

DTYPES = ("float64", "float32", "float16", "bfloat16")
Pair = tuple[Any, Any]  # value and gradient, arrays of the library
Arguments = tuple[Any, Any, Any, Any]  # pred, target, weight, cotangent
Route = Callable[[Library, Sequence[Case], str], list["Pair | Exception"]]


@dataclass(frozen=True)
class Outcome:
    """What came of one case: complaints (none if it passed), and the largest error in ulp."""

    case: Case
    complaints: tuple[str, ...]
    ulp: float


@cache
def golden() -> tuple[Case, ...]:
    """Every golden case."""
    return tuple(cases.load())


def family(case: Case) -> str:
    """The class of a case's loss, or "Sum"."""
    return case.loss.name if isinstance(case.loss, cases.Loss) else "Sum"


def build(loss: cases.Loss | cases.Sum) -> xploss.Loss:
    """The loss of a case; an AttributeError if the library lacks it."""
    if isinstance(loss, cases.Loss):
        made: xploss.Loss = getattr(xploss, loss.name)(loss.mode, **loss.kwargs)
        return made
    terms = [factor * build(term) for factor, term in loss.terms]
    return sum(terms[1:], start=terms[0])


def exact(array: cases.Array) -> np.ndarray:
    """Golden numbers in float64 (or as integers or booleans)."""
    kind = {"float": np.float64, "int": np.int64, "bool": np.bool_}[array.kind]
    return np.array(array.numbers(), dtype=kind).reshape(array.shape)


def arguments(xp: Library, case: Case, dtype: str) -> Arguments:
    """The arrays of a case in the library; floating ones in `dtype`."""

    def put(array: cases.Array | None, floats: str) -> Any:
        if array is None:
            return None
        return xp.asarray(exact(array), floats if array.kind == "float" else None)

    pred, target, weight = (put(a, dtype) for a in (case.pred, case.target, case.weight))
    return pred, target, weight, put(case.cotangent, computing(dtype))


def judge(xp: Library, case: Case, dtype: str, result: Pair | Exception) -> Outcome:
    """Compare a result with the golden one."""
    if isinstance(result, Exception):
        text = (str(result).strip() or "no message").splitlines()[0]
        return Outcome(case, (f"{type(result).__name__}: {text}",), 0.0)
    value, gradient = result
    complaints = list(_facts(xp, "value", value, case.value.shape, computing(dtype)))
    complaints += _facts(xp, "gradient", gradient, case.pred.shape, dtype)
    if complaints:
        return Outcome(case, tuple(complaints), 0.0)
    found = {"value": _value(case, xp.to_numpy(value), dtype)}
    if case.gradient is not None:
        found["gradient"] = _gradient(case, xp.to_numpy(gradient), dtype)
    elif not np.all(np.isfinite(xp.to_numpy(gradient))):
        complaints.append("the gradient is not finite")
    for name, off in found.items():
        if not off.within:
            complaints.append(f"{name} is off by {off.share:.3g} tolerances, {off.ulp:.3g} ulp")
    return Outcome(case, tuple(complaints), max(off.ulp for off in found.values()))


def _facts(xp: Library, name: str, x: Any, shape: tuple[int, ...], dtype: str) -> list[str]:
    try:
        xp.assert_like(x, shape, dtype)
    except AssertionError:
        found = f"{type(x).__name__} {tuple(x.shape)} {x.dtype}"
        return [f"{name} is {found}, expected {xp.name} {shape} {dtype}"]
    return []


def by_histogram(case: Case) -> bool:
    """Whether a case takes a Lovász loss by histogram, which is exact to its bins only."""
    terms = [(1.0, case.loss)] if isinstance(case.loss, cases.Loss) else case.loss.terms
    return any(t.name == "LovaszLoss" and t.kwargs.get("method") != "sort" for _, t in terms)


def _value(case: Case, found: np.ndarray, dtype: str) -> Deviation:
    if by_histogram(case):
        return tolerances.histogram_value(found, exact(case.value), dtype)
    held = computing(dtype)
    scale = exact(case.value_scale)
    return tolerances.deviation(found, exact(case.value), scale, held, held)


def _gradient(case: Case, found: np.ndarray, dtype: str) -> Deviation:
    assert case.gradient is not None
    assert case.gradient_scale is not None
    if by_histogram(case):
        return tolerances.histogram_gradient(found, exact(case.gradient), dtype)
    scale = exact(case.gradient_scale)
    return tolerances.deviation(found, exact(case.gradient), scale, dtype, computing(dtype))


def _each(one: Callable[[Library, xploss.Loss, Arguments], Pair]) -> Route:
    """A route that takes the cases one by one."""

    def route(xp: Library, batch: Sequence[Case], dtype: str) -> list[Pair | Exception]:
        results: list[Pair | Exception] = []
        for case in batch:
            try:
                # NumPy says so when an exact gradient lies beyond the range of float16
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "overflow encountered in cast")
                    results.append(one(xp, build(case.loss), arguments(xp, case, dtype)))
            except Exception as error:  # whatever goes wrong is the outcome of this case
                results.append(error)
        return results

    return route


def _eager(_: Library, loss: xploss.Loss, given: Arguments) -> Pair:
    pred, target, weight, cotangent = given
    value, gradient = loss.value_and_grad(pred, target, weight=weight, cotangent=cotangent)
    return value, gradient


def _call(xp: Library, loss: xploss.Loss, given: Arguments) -> Pair:
    """The value by a plain call, the gradient as in the eager route."""
    pred, target, weight, _ = given
    return loss(pred, target, weight=weight), _eager(xp, loss, given)[1]


def _autodiff(xp: Library, loss: xploss.Loss, given: Arguments) -> Pair:
    """Value and gradient by the library's own autodiff."""
    pred, target, weight, cotangent = given

    def function(x: Any) -> Any:
        return loss(x, target, weight=weight)

    return function(pred), xp.autodiff(function, pred, cotangent)


def _tiled(xp: Library, loss: xploss.Loss, given: Arguments) -> Pair:
    """As in the eager route, or by autodiff where there is one, in tiles of a few elements."""
    kinds: list[Any] = [Backend]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    own = {kind: kind.__dict__["tile_limit"] for kind in kinds if "tile_limit" in kind.__dict__}
    try:
        for kind in own:
            kind.tile_limit = lambda *_: 4
        return (_autodiff if xp.differentiates else _eager)(xp, loss, given)
    finally:
        for kind, limit in own.items():
            kind.tile_limit = limit


def _compiled(backend: str) -> Callable[[Library, xploss.Loss, Arguments], Pair]:
    """Forward and backward through torch.compile without graph breaks."""

    def one(xp: Library, loss: xploss.Loss, given: Arguments) -> Pair:
        torch = import_module("torch")
        pred, target, weight, cotangent = given
        torch.compiler.reset()

        def function(x: Any) -> Any:
            return loss(x, target, weight=weight)

        function = torch.compile(function, fullgraph=True, backend=backend)
        with warnings.catch_warnings(action="ignore"):  # the compiler's own, about itself
            return function(pred).detach(), xp.autodiff(function, pred, cotangent)

    return one


def _together(one: Callable[[Library, xploss.Loss, Arguments], Pair]) -> Route:
    """A route that takes a batch in one jax.jit; case by case if that fails."""

    def route(xp: Library, batch: Sequence[Case], dtype: str) -> list[Pair | Exception]:
        try:
            losses = [build(case.loss) for case in batch]
            given = [arguments(xp, case, dtype) for case in batch]

            def every(arrays: list[Arguments]) -> list[Pair]:
                return [one(xp, *pair) for pair in zip(losses, arrays, strict=True)]

            return list(import_module("jax").jit(every)(given))
        except Exception as error:
            if len(batch) == 1:
                return [error]
            return [result for case in batch for result in route(xp, [case], dtype)]

    return route


ROUTES: dict[str, Route] = {
    "eager": _each(_eager),
    "call": _each(_call),
    "tiles": _each(_tiled),
    "autodiff": _each(_autodiff),
    "aot_eager": _each(_compiled("aot_eager")),
    "inductor": _each(_compiled("inductor")),
    "jit": _together(_eager),
    "jit-autodiff": _together(_autodiff),
}


def narrow(xp: Library, dtype: str) -> AbstractContextManager[Any]:
    """JAX as it comes, with 32 bits, for all but float64; nothing elsewhere."""
    if xp.family == "jax" and dtype != "float64":
        switched: AbstractContextManager[Any] = import_module("jax").enable_x64(False)
        return switched
    return nullcontext()


def run(xp: Library, route: str, dtype: str, batch: Sequence[Case]) -> list[Outcome]:
    """The outcome of each case of a batch by a route."""
    with narrow(xp, dtype):
        results = ROUTES[route](xp, batch, dtype)
        return [judge(xp, case, dtype, r) for case, r in zip(batch, results, strict=True)]
