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
    def backward(ctx: Any, cotangent: torch.Tensor | None) -> tuple[Any, ...]:
        if cotangent is None:
            return None, None, None, None
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
                    f"{name} carries a tangent; derivatives are by pred only; pass {name}.detach()"
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
