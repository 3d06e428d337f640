"""The tiles of eager mode as operations that torch.compile takes as they are.

On a CPU they are ahead of what the compiler makes of several classes or of a histogram in large
arrays, and take a tenth of its memory.
"""

from __future__ import annotations

from ast import literal_eval
from dataclasses import fields
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch._C import _functorch

from .._xp import Array

if TYPE_CHECKING:
    from ..loss import Loss, Term

LEAST = 1 << 20
"""From so many elements on, tiles are ahead of the compiler."""
# what tells whether the operations fit is not the same in earlier versions
_TESTED = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 13)


def fits(loss: Loss, pred: Array) -> bool:
    """Whether a call that is being traced may take the operations, and is better off with them."""
    if not _TESTED or pred.device.type != "cpu" or pred.dtype not in (torch.float32, torch.float64):
        return False
    terms = [term for _, term in loss.terms]
    if any(term.reduction == "none" or not _is_own(term) for term in terms):
        return False
    if not any(term.mode == "multiclass" or term.accumulates for term in terms):
        return False
    # torch.func has to see into what it differentiates; what is exported runs without xploss
    if isinstance(_functorch.peek_interpreter_stack(), _functorch.CInterpreter):
        return False
    return not torch.compiler.is_exporting() and bool(pred.numel() >= LEAST)


def value(loss: Loss, pred: Array, target: Array, weight: Array | None) -> Array:
    """The value, differentiable by `pred`: its gradient is made with it."""
    recipe = _recipe(loss)
    if pred.requires_grad and torch.is_grad_enabled():
        return _value_and_grad(pred, target, weight, recipe)[0]
    return _value(pred, target, weight, recipe)


def value_and_grad(
    loss: Loss, pred: Array, target: Array, weight: Array | None
) -> tuple[Array, Array]:
    """The value and its gradient."""
    found: tuple[Array, Array] = _value_and_grad(pred, target, weight, _recipe(loss))
    return found


def _is_own(term: Term) -> bool:
    return type(term).__module__.startswith("xploss.")


def _recipe(loss: Loss) -> str:
    """A text that says what a loss is made of, in this process or another."""
    terms = []
    for factor, term in loss.terms:
        named = [f"{f.name!r}: {_literal(getattr(term, f.name))}" for f in fields(term)]
        kind = f"{type(term).__module__!r}, {type(term).__qualname__!r}"
        terms.append(f"({_literal(factor)}, {kind}, {{{', '.join(named)}}})")
    return f"[{', '.join(terms)}]"


def _literal(x: Any) -> str:
    """A hyperparameter as Python reads it; of a number that is a symbol, its value."""
    if isinstance(x, tuple):
        return "(" + "".join([f"{_literal(part)}, " for part in x]) + ")"
    if isinstance(x, int | float):
        from torch.fx.experimental.symbolic_shapes import guard_scalar

        x = guard_scalar(x)
    return repr(x)


@lru_cache(maxsize=64)
def _made(recipe: str) -> Loss:
    terms = [
        factor * getattr(import_module(module), name)(**parameters)
        for factor, module, name, parameters in literal_eval(recipe)
    ]
    loss: Loss = sum(terms[1:], start=terms[0])
    return loss


@torch.library.custom_op("xploss::value", mutates_args=())
def _value(
    pred: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None, recipe: str
) -> torch.Tensor:
    # not by the loss's own call: another thread may be compiling, which is not told apart
    from .torch import EAGER

    found: Array = EAGER.value(_made(recipe), pred, target, weight)
    return found


@_value.register_fake
def _(pred: Array, target: Array, weight: Array | None, recipe: str) -> Array:
    return pred.new_empty(())


@torch.library.custom_op("xploss::value_and_grad", mutates_args=())
def _value_and_grad(
    pred: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None, recipe: str
) -> tuple[torch.Tensor, torch.Tensor]:
    from .torch import EAGER

    found, gradient = EAGER.value_and_grad(_made(recipe), pred, target, weight, None, None)
    return found, gradient.contiguous()


@_value_and_grad.register_fake
def _(pred: Array, target: Array, weight: Array | None, recipe: str) -> tuple[Array, Array]:
    return pred.new_empty(()), pred.new_empty(pred.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Array, Array]) -> None:
    ctx.save_for_backward(output[1])


def _backward(ctx: Any, by_value: Array, _: Array) -> tuple[Array | None, ...]:
    if torch.is_grad_enabled():
        raise RuntimeError(
            "a compiled loss has no second derivative; differentiate the loss twice without "
            "torch.compile"
        )
    return ctx.saved_tensors[0] * by_value, None, None, None


_value_and_grad.register_autograd(_backward, setup_context=_keep)
