"""How torch's autograd calls a loss and its gradient: one node of the graph for all losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

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


def is_batched(x: torch.Tensor) -> bool:
    """Whether `x` stands for a batch of tensors, as upstream gradients do that vmap passes on."""
    functorch = torch._C._functorch  # noqa: SLF001
    batched: bool = functorch.is_functorch_wrapped_tensor(x) or functorch.is_legacy_batchedtensor(x)
    return batched
