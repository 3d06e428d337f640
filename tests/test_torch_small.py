"""Small torch tensors on a CPU, which NumPy computes."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from xploss import CrossEntropyLoss, DiceLoss, Loss, LovaszLoss
from xploss.adapters import backend_of

from .cases import LOSSES, draw
from .libraries import none_small


@pytest.mark.parametrize("loss", [*LOSSES, LovaszLoss("binary")], ids=repr)
def test_the_numbers_are_those_of_numpy(torch: Any, loss: Loss) -> None:
    arrays = pred, target, weight = draw(loss, seed=3, weighted=True)
    expected, gradient = loss.value_and_grad(pred, target, weight=weight)
    x, t, w = map(torch.tensor, arrays)
    found = loss.value_and_grad(x, t, weight=w)
    np.testing.assert_array_equal(found[0].numpy(), expected)
    np.testing.assert_array_equal(found[1].numpy(), gradient)
    np.testing.assert_array_equal(loss(x, t, weight=w).numpy(), expected)
    value = loss(x.requires_grad_(), t, weight=w)
    value.sum().backward()
    np.testing.assert_array_equal(value.detach().numpy(), expected)
    np.testing.assert_array_equal(x.grad.numpy(), gradient)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_rounded_once(torch: Any, dtype: str) -> None:
    loss = DiceLoss("multiclass") + CrossEntropyLoss("multiclass")
    x = torch.randn(2, 3, 7).to(getattr(torch, dtype))
    t, w = torch.randint(0, 3, (2, 7)), torch.rand(2, 7).to(x.dtype)
    expected, gradient = loss.value_and_grad(x.float(), t, weight=w.float())
    found = loss.value_and_grad(x, t, weight=w)
    torch.testing.assert_close(found, (expected, gradient.to(x.dtype)), rtol=0, atol=0)
    (slope,) = torch.autograd.grad(loss(x.requires_grad_(), t, weight=w), x)
    torch.testing.assert_close(slope, found[1], rtol=0, atol=0)


def test_what_is_small(torch: Any) -> None:
    """A few plain numbers on a CPU, in all arguments."""
    from xploss.adapters._torch_eager import EagerBackend
    from xploss.adapters._torch_small import MOST, SmallBackend

    few, many = torch.zeros(1, MOST), torch.zeros(1, MOST + 1)
    assert type(backend_of(few, few, None)) is SmallBackend
    assert type(backend_of(few.bfloat16(), few.bool(), few.double())) is SmallBackend
    for other in (many, few.numpy(), few.to_sparse(), few.to(torch.complex64)):
        assert type(backend_of(few, other, None)) is EagerBackend
    assert type(backend_of(many, many, None)) is EagerBackend
    with none_small():
        assert type(backend_of(few, few, None)) is EagerBackend


def test_views_of_numbers_of_the_other_sign(torch: Any) -> None:
    """torch may hold a tensor as the negative of what is in memory, which NumPy cannot read."""
    z = torch.randn(2, 3, 7, dtype=torch.complex64)
    x, t = z.conj().imag, torch.randint(0, 3, (2, 7))
    assert x.is_neg()
    loss = DiceLoss("multiclass")
    expected = loss.value_and_grad(x.resolve_neg(), t)
    torch.testing.assert_close(loss.value_and_grad(x, t), expected, rtol=0, atol=0)


def test_errors_that_numpy_is_to_raise_are_none_of_torch(torch: Any) -> None:
    """As everywhere in torch, an infinite logit gives NaN, and no warning or error."""
    x, t = torch.tensor([[[np.inf, 0.0], [np.inf, 0.0]]]), torch.tensor([[0, 1]])
    with np.errstate(all="raise"):
        assert CrossEntropyLoss("multiclass")(x, t).isnan()
        value = CrossEntropyLoss("multiclass")(x.requires_grad_(), t)
        assert torch.autograd.grad(value, x)[0].isnan().any()


def test_memory_stays_with_torch(torch: Any) -> None:
    """NumPy would keep torch from resizing what it has seen."""
    loss = DiceLoss("multiclass")
    x, t, w = torch.randn(1, 2, 5), torch.randint(0, 2, (1, 5)), torch.ones(1, 5)
    before = x.clone(), t.clone()
    value, gradient = loss.value_and_grad(x, t, weight=w)
    gradient.zero_()
    value.zero_()
    torch.testing.assert_close((x, t), before, rtol=0, atol=0)
    loss(x.requires_grad_(), t, weight=w).backward()
    for tensor in (x.detach(), t, w):
        tensor.untyped_storage().resize_(0)


@pytest.mark.parametrize("name", ["target", "weight"])
def test_gradients_flow_to_pred_only(torch: Any, name: str) -> None:
    x = torch.randn(1, 2, 5)
    given = {"target": torch.softmax(x, 1), "weight": torch.ones(1, 5)}
    given[name].requires_grad_()
    with pytest.raises(TypeError, match=f"{name} requires a gradient"):
        DiceLoss("multiclass").value_and_grad(x, given["target"], weight=given["weight"])


def test_cotangents_of_half_precision(torch: Any) -> None:
    """NumPy, which scores, has no bfloat16."""
    x, t = torch.randn(2, 3, 7), torch.randint(0, 3, (2, 7))
    loss = CrossEntropyLoss("multiclass")
    (value, gradient), factor = loss.value_and_grad(x, t), torch.tensor(8.0)
    for ways in (nullcontext, none_small):
        for dtype in (torch.bfloat16, torch.float16):
            with ways():
                found = loss.value_and_grad(x, t, cotangent=factor.to(dtype))
            torch.testing.assert_close(found, (value, 8 * gradient))


def test_a_missing_target_is_one_of_torch(torch: Any) -> None:
    with pytest.raises(TypeError, match=r"target is a NoneType and pred a torch\.Tensor"):
        DiceLoss("multiclass")(torch.zeros(2, 4, 8), None)
