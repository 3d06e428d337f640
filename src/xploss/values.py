"""Checks of values, made where looking at them is free, or where the user asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

from .parameters import choice

if TYPE_CHECKING:
    from ._xp import Array, Dtype
    from .backend import Backend
    from .inputs import Laid
    from .loss import Term

_CHECKS: ContextVar[str] = ContextVar("xploss_checks", default="auto")


def checks(when: Literal["always", "auto", "never"]) -> AbstractContextManager[None]:
    """Choose when the *values* of targets, weights and probabilities are checked.

    Parameters
    ----------
    when : {"always", "auto", "never"}
        ``"auto"``, the default of the library, looks at values where that is free of a device
        synchronisation: eager arrays on a CPU. ``"always"`` looks on any device; ``"never"``
        trusts the caller. Under ``jax.jit``, ``torch.compile``, ``torch.func``, ``vmap``, forward
        mode and tracers there are no values to look at, except where a compiled loss runs the
        tiles of eager mode: with torch 2.13 or later, on a CPU, in float32 or float64, of 2^20
        elements or more, multi-class or a histogram of `LovaszLoss`, and not with
        ``reduction="none"``. Types, shapes, dtypes and devices are checked always.

    Notes
    -----
    Where values are not checked, an out-of-range label counts as no class, never as another.
    The setting holds in this context (thread, task) only.

    Examples
    --------
    >>> with xploss.checks("never"):
    ...     value = loss(logits, target)
    """
    return _checking(choice("when", when, ("always", "auto", "never")))


@contextmanager
def _checking(when: str) -> Iterator[None]:
    token = _CHECKS.set(when)
    try:
        yield
    finally:
        _CHECKS.reset(token)


def are_checked(backend: Backend, pred: Array, *others: Array | None) -> bool:
    """Whether this call looks at values: eager, and on a CPU or asked to always."""
    for x in (pred, *others):
        if x is not None and not backend.concrete(x):
            return False
    when = _CHECKS.get()
    return when == "always" or (when == "auto" and backend.on_host(pred))


def check(backend: Backend, term: Term, laid: Laid, dtype: Dtype) -> None:
    """Look at all values; raise ValueError for a weight, target or probability without meaning.

    `dtype` is that of the computation.
    """
    if laid.weight is not None and backend.isdtype(laid.weight, "real floating"):
        _check_weight(backend, laid.weight, dtype)
    if not backend.isdtype(laid.target, "bool"):
        if laid.layout.labels:
            _check_labels(backend, term, laid)
        else:
            _check_dense(backend, term, laid)
    if not term.from_logits:
        _check_probabilities(backend, term, laid)


def left_out(
    backend: Backend, target: Array, weight: Array | None, ignore_index: int | None
) -> Array | None:
    """Where pixels are left out by weight or ignored by label; None if nowhere."""
    out = None if weight is None else backend.equals(weight, 0)
    if ignore_index is None:
        return out
    ignored = backend.equals(target, ignore_index)
    return ignored if out is None else out | ignored


def heaviest(backend: Backend, dtype: Dtype) -> float:
    """The largest weight whose products with what a pixel costs stay in a dtype."""
    return float(backend.xp.finfo(dtype).max) * 1e-8


def _check_weight(backend: Backend, weight: Array, dtype: Dtype) -> None:
    low, high = backend.extent(weight)
    most = heaviest(backend, dtype)
    if not (low >= 0 and high <= most):
        hint = "use weight=0 to leave a pixel out"
        if most < high < float("inf"):
            bits = backend.xp.finfo(dtype).bits
            hint = f"{most:.0e} is the most in float{bits}; divide the weights by their largest"
        raise ValueError(
            f"weight has values in [{low:g}, {high:g}]; expected finite weights of at least 0; "
            f"{hint}"
        )


def _offence(
    backend: Backend, term: Term, laid: Laid, x: Array, low: float, high: float
) -> float | None:
    """A value of `x` outside [low, high] at a pixel that counts, or None."""
    smallest, largest = backend.extent(x)
    if smallest >= low and largest <= high:
        return None
    xp = backend.xp
    if backend.isdtype(x, "integral"):
        # of a limit beyond the dtype, some libraries take the last bits
        high = min(high, xp.iinfo(x.dtype).max)
    bad = ~((x >= low) & (x <= high))
    out = left_out(backend, laid.target, laid.weight, term.ignore_index)
    if out is not None:
        bad = bad & ~out
    if not bool(xp.any(bad)):
        return None
    first = xp.argmax(xp.astype(xp.reshape(bad, (-1,)), xp.int32))
    flat = xp.reshape(xp.broadcast_to(x, bad.shape), (-1,))
    return float(flat[int(first)])


def _check_labels(backend: Backend, term: Term, laid: Laid) -> None:
    last = laid.layout.sizes[1] - 1
    label = _offence(backend, term, laid, laid.target, 0, last)
    if label is not None:
        raise ValueError(
            f"target has label {label:.0f}, outside 0..{last} of the {last + 1} classes of pred; "
            f"{_excuse(term, label, 'pixels', last == 1)}"
        )


def _excuse(term: Term, label: float, what: str, mask: bool) -> str:
    """What a label outside of the classes may mean, and how to say so to the loss."""
    threshold = "pass target > 0 if it is a mask of 0 and 255, or " if mask and label == 255 else ""
    kind = type(term).__name__
    return f"{threshold}pass ignore_index={label:.0f} to {kind} if it marks {what} to leave out"


def _check_dense(backend: Backend, term: Term, laid: Laid) -> None:
    value = _offence(backend, term, laid, laid.target, 0, 1)
    if value is not None:
        if value != value // 1 or term.mode == "multiclass":
            hint = "pass class labels as (N, *S), or dense targets as shares of the classes"
        else:
            hint = _excuse(term, value, "entries", mask=True)
        raise ValueError(f"target has value {value:g}, outside [0, 1] of a dense target; {hint}")
    if term.hard_targets and backend.isdtype(laid.target, "real floating"):
        bad = (laid.target != 0.0) & (laid.target != 1.0)
        out = left_out(backend, laid.target, laid.weight, term.ignore_index)
        if bool(backend.xp.any(bad if out is None else bad & ~out)):
            raise ValueError(
                f"target has values between 0 and 1; {type(term).__name__} is defined for hard "
                "targets; round the target, or take a loss for soft ones such as JaccardLoss"
            )


def _check_probabilities(backend: Backend, term: Term, laid: Laid) -> None:
    value = _offence(backend, term, laid, laid.pred, 0.0, 1.0)
    if value is not None:
        raise ValueError(
            f"pred has value {value:g}, outside [0, 1] of probabilities (from_logits=False); "
            "pass from_logits=True if pred holds logits"
        )
