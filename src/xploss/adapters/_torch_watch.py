"""Who watches the operations on tensors: transformations, tracers, autograd's forward mode.

Not to be asked while torch compiles, which traces none of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad


def is_watched(*arrays: Any) -> bool:
    """Whether operations on these arrays are more than what they compute."""
    # transformations and tracers pass plain tensors by, and still see what is done with them
    if transforms() or torch.jit.is_tracing() or _is_recorded():
        return True
    if in_forward_mode() and any(map(carries_tangent, arrays)):
        return True
    return any(map(_is_more, arrays))


def in_dispatch_mode() -> bool:
    """Whether a mode, as that of fake tensors, sees the operations on plain tensors."""
    watched: bool = torch._C._len_torch_dispatch_stack() > 0  # noqa: SLF001
    return watched


def transforms() -> bool:
    """Whether a transformation of torch.func is at work."""
    active: bool = torch._C._are_functorch_transforms_active()  # noqa: SLF001
    return active


def _is_recorded() -> bool:
    """Whether operations on plain tensors are written down, as by make_fx()."""
    key = torch._C._TorchDispatchModeKey.PROXY  # noqa: SLF001
    if torch._C._get_dispatch_mode(key) is not None:  # noqa: SLF001
        return True
    before = torch._ops._get_dispatch_mode_pre_dispatch(key)  # noqa: SLF001
    return before is not None


def _is_more(x: Any) -> bool:
    """Whether `x` is a tensor wrapped by a transformation, or computes in a way of its own."""
    if not isinstance(x, torch.Tensor):
        return False
    if type(x).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return True
    wrapped: bool = torch._C._functorch.is_functorch_wrapped_tensor(x)  # noqa: SLF001
    return wrapped


def in_forward_mode() -> bool:
    """Whether some thread is within a level of autograd's forward mode."""
    level: int = forward_ad._current_level  # noqa: SLF001
    return level >= 0


def carries_tangent(x: Any) -> bool:
    """Whether `x` is a tensor with a tangent."""
    if not in_forward_mode() or not isinstance(x, torch.Tensor):
        return False
    return forward_ad.unpack_dual(x).tangent is not None


def refuse_nested(pred: torch.Tensor) -> None:
    """Raise NotImplementedError for forward mode within forward mode.

    torch takes the derivatives of a tangent that a function of ours gives for 0.
    """
    stack = torch._C._functorch.get_interpreter_stack() or ()  # noqa: SLF001
    jvp = torch._C._functorch.TransformType.Jvp  # noqa: SLF001
    if _is_more(pred) and sum(level.key() == jvp for level in stack) > 1:
        raise NotImplementedError(
            "forward mode within forward mode, of which torch supports one level in a loss; take "
            "one of the derivatives in reverse mode, as torch.func.hessian() does"
        )


def is_batched(x: torch.Tensor) -> bool:
    """Whether `x` stands for a batch of tensors, as upstream gradients do that vmap passes on."""
    functorch = torch._C._functorch  # noqa: SLF001
    batched: bool = functorch.is_functorch_wrapped_tensor(x) or functorch.is_legacy_batchedtensor(x)
    return batched
