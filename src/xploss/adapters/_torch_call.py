"""How torch's autograd calls a loss and its gradient: one node of the graph for all losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import forward_ad

if TYPE_CHECKING:
    from ..loss import Loss
    from ._torch_graph import TorchBackend


class State:
    """What one call keeps between forward and backward, beside the tensors."""

    def __init__(self, backend: TorchBackend, loss: Loss) -> None:
        self.backend = backend
        self.loss = loss
        self.problem: Any = None
        self.slopes: Any = None
        self.lock: Any = None
        """Held while a gradient is made of what is kept, which one thread does at a time."""


class Call(torch.autograd.Function):
    """One node of the graph for all losses."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        state: State, pred: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None
    ) -> torch.Tensor:
        return state.backend.forward(state, pred, target, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        state, *tensors = inputs
        ctx.state = state
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[Any, ...]:
        state: State = ctx.state
        pred, target, weight = ctx.saved_tensors
        return None, state.backend.backward(state, cotangent, pred, target, weight), None, None


class ForwardCall(Call):
    """The same with a derivative for forward mode, which torch.compile would not take."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        Call.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def jvp(ctx: Any, _: None, tangent: torch.Tensor | None, *others: Any) -> torch.Tensor:
        for name, other in zip(("target", "weight"), others, strict=True):
            if other is not None:
                raise TypeError(
                    f"{name} requires a gradient; gradients flow to pred only; pass {name}.detach()"
                )
        assert tangent is not None
        state: State = ctx.state
        return state.backend.push(state, tangent, *ctx.saved_tensors)


class EagerCall(torch.autograd.Function):
    """The same outside of any trace, in the form that costs torch less."""

    @staticmethod
    def forward(
        ctx: Any,
        state: State,
        pred: torch.Tensor,
        target: torch.Tensor,
        weight: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.state = state
        ctx.save_for_backward(pred, target, weight)
        return state.backend.forward(state, pred, target, weight)

    backward = Call.backward


def is_traced(x: Any) -> bool:
    """Whether `x` is a tensor under a transformation, or of a class of somebody else's.

    Not to be asked while torch compiles, which cannot trace it.
    """
    if type(x) is torch.Tensor or type(x) is torch.nn.Parameter:
        wrapped: bool = torch._C._functorch.is_functorch_wrapped_tensor(x)  # noqa: SLF001
        return wrapped
    return isinstance(x, torch.Tensor)


def is_watched() -> bool:
    """Whether a transformation, autograd's forward mode or a tracer is at work on some tensors."""
    transformed: bool = torch._C._are_functorch_transforms_active()  # noqa: SLF001
    return transformed or in_forward_mode() or torch.jit.is_tracing() or _is_recorded()


def _is_recorded() -> bool:
    """Whether operations on plain tensors are written down, as by make_fx()."""
    key = torch._C._TorchDispatchModeKey.PROXY  # noqa: SLF001
    return torch._C._get_dispatch_mode(key) is not None  # noqa: SLF001


def in_forward_mode() -> bool:
    """Whether derivatives are being computed with the values.

    Raises
    ------
    NotImplementedError
        If those of derivatives are asked for, which torch takes for 0 in a function of ours.
    """
    if forward_ad._current_level < 0:  # noqa: SLF001
        return False
    stack = torch._C._functorch.get_interpreter_stack() or ()  # noqa: SLF001
    jvp = torch._C._functorch.TransformType.Jvp  # noqa: SLF001
    if sum(level.key() == jvp for level in stack) > 1:
        raise NotImplementedError(
            "forward mode within forward mode, of which torch supports one level in a loss; take "
            "one of the derivatives in reverse mode, as torch.func.hessian() does"
        )
    return True


def is_batched(x: torch.Tensor) -> bool:
    """Whether `x` stands for a batch of tensors, as upstream gradients do that vmap passes on."""
    functorch = torch._C._functorch  # noqa: SLF001
    batched: bool = functorch.is_functorch_wrapped_tensor(x) or functorch.is_legacy_batchedtensor(x)
    return batched
