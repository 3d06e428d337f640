"""torch: transformations, forward mode and tracers, also where they pass plain tensors by."""

import warnings
from threading import Event, Thread
from typing import Any

import pytest

from xploss import CrossEntropyLoss, DiceLoss, Loss, LovaszLoss

from .test_torch import FEW

# torch warns of its own use of torch.jit
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


@pytest.mark.parametrize("count", [60, 1 << 16])
def test_plain_tensors_within_a_transformation(torch: Any, count: int) -> None:
    """What func.grad() and vmap() do not differentiate or batch keeps its own graph."""
    loss, t = DiceLoss("binary"), (torch.arange(count) % 3 == 0)[None]
    x = torch.linspace(-2, 2, count)[None].requires_grad_()
    expected = loss(x, t)
    (slope,) = torch.autograd.grad(expected, x)
    found = torch.func.grad(lambda w: w * loss(x, t))(torch.tensor(3.0))
    torch.testing.assert_close(found, expected)
    values = torch.vmap(lambda w: w * loss(x, t))(torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(values, torch.stack([expected, 3 * expected]))
    torch.testing.assert_close(torch.autograd.grad(values.sum(), x), (4 * slope,))


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")
@pytest.mark.parametrize("loss", [*FEW, LovaszLoss("multiclass")], ids=repr)
def test_forward_mode(torch: Any, loss: Loss) -> None:
    """By torch.func and by dual tensors, alone, over reverse mode, under it, and in a batch."""
    from torch.autograd import forward_ad

    torch.manual_seed(3)
    x, t = torch.randn(2, 3, 5).double(), torch.randint(0, 3, (2, 5))
    w, direction = torch.rand(2, 5), torch.randn_like(x)

    def value(z: Any) -> Any:
        return loss(z, t, weight=w)

    def squares(z: Any) -> Any:
        return value(z).square().sum()

    def along(z: Any, d: Any = direction) -> Any:
        return torch.func.jvp(value, (z,), (d,))[1]

    jacobian = torch.func.jacrev(value)(x)
    hessian = torch.func.jacrev(torch.func.grad(squares))(x)
    expected = (jacobian * direction).sum((-3, -2, -1))
    turned = (hessian * direction).sum((-3, -2, -1))
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(value(forward_ad.make_dual(x, direction))).tangent
    both = torch.vmap(along)(torch.stack([x, x]), torch.stack([direction, 2 * direction]))
    for found, wanted in (
        (along(x), expected),
        (dual, expected),
        (both, torch.stack([expected, 2 * expected])),
        (torch.func.linearize(value, x)[1](direction), expected),
        (torch.func.jacfwd(value)(x), jacobian),
        (torch.func.hessian(squares)(x), hessian),
        (torch.func.jvp(torch.func.grad(squares), (x,), (direction,))[1], turned),
        (torch.func.grad(lambda z: torch.func.jvp(squares, (z,), (direction,))[1])(x), turned),
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-14)


def test_what_forward_mode_refuses(torch: Any) -> None:
    loss = DiceLoss("multilabel")
    x, t = torch.randn(2, 3, 5), torch.rand(2, 3, 5)
    one = torch.ones_like(x)
    with pytest.raises(TypeError, match="target carries a tangent; derivatives are by pred"):
        torch.func.jvp(loss, (x, t), (one, one))
    with pytest.raises(TypeError, match="weight carries a tangent; derivatives are by pred"):
        along(torch, lambda w: loss(x, t, weight=w), t, one)

    def slope(z: Any) -> Any:
        return torch.func.jvp(lambda y: loss(y, t), (z,), (one,))[1]

    with pytest.raises(NotImplementedError, match="forward mode within forward mode"):
        torch.func.jvp(slope, (x,), (one,))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
@pytest.mark.parametrize("loss", [*FEW, LovaszLoss("multiclass")], ids=repr)
def test_tracers(torch: Any, loss: Loss) -> None:
    """What is written down is the loss of any tensors, not its value of those it was shown."""
    from torch.fx.experimental.proxy_tensor import make_fx

    (x, y), t = torch.randn(2, 2, 3, 40).double(), torch.randint(0, 3, (2, 40))
    with warnings.catch_warnings():
        # not by a mark, which would import torch where it is not installed
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(loss.__call__, (x, t), check_trace=False)
    torch.testing.assert_close(traced(y, t), loss(y, t))
    # other operations would have other derivatives where a logit is 0
    assert not traced(y.clone().requires_grad_(), t).requires_grad

    def both(a: Any, b: Any) -> Any:
        return loss(a, b), *loss.value_and_grad(a, b)

    for early in (False, True):
        recorded = make_fx(both, pre_dispatch=early)(x, t)
        torch.testing.assert_close(recorded(y, t), both(y, t))
        assert not recorded(y.clone().requires_grad_(), t)[0].requires_grad
    slope = make_fx(torch.func.grad(lambda a, b: loss(a, b).sum()))(x, t)
    torch.testing.assert_close(slope(y, t), loss.value_and_grad(y, t)[1])


# torch calls its nested tensors a prototype
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_tensors_that_are_not_dense(torch: Any) -> None:
    loss = DiceLoss("multilabel")
    x, t = torch.randn(2, 3, 4), torch.zeros(2, 3, 4)
    with pytest.raises(TypeError, match=r"target has layout torch.sparse_coo.*target.to_dense"):
        loss(x, t.to_sparse())
    with pytest.raises(TypeError, match=r"pred has layout torch.sparse_coo.*pred.to_dense"):
        loss(x.to_sparse(), t)
    for layout in (torch.strided, torch.jagged):
        nested = torch.nested.nested_tensor([t[0], t[1]], layout=layout)
        with pytest.raises(TypeError, match=r"weight is a nested tensor.*weight=0"):
            loss(x, t, weight=nested)


def along(torch: Any, loss: Loss, x: Any, direction: Any, *arrays: Any) -> Any:
    """The tangent of a loss by dual tensors."""
    forward_ad = torch.autograd.forward_ad
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(loss(forward_ad.make_dual(x, direction), *arrays)).tangent


def test_derivatives_at_zero_that_others_take(torch: Any) -> None:
    """A compiler passes our gradient by where it is asked for within, or for a tangent."""
    loss, t = CrossEntropyLoss("binary"), torch.tensor([1.0, 1.0, 1.0, 0.0])
    x, one = torch.zeros(4), torch.ones(4)
    expected = loss.value_and_grad(x, t)[1]
    torch.testing.assert_close(along(torch, loss, x, one, t), expected.sum())

    def compiled(function: Any) -> Any:
        torch.compiler.reset()
        return torch.compile(function, fullgraph=True, backend="aot_eager")

    def slope(z: Any) -> Any:
        return torch.func.jvp(lambda y: loss(y, t), (z,), (one,))[1]

    torch.testing.assert_close(compiled(torch.func.grad(lambda y: loss(y, t)))(x), expected)
    torch.testing.assert_close(compiled(slope)(x), expected.sum())
    tangent = along(torch, compiled(lambda y: loss(y, t)), x, one)
    torch.testing.assert_close(tangent, expected.sum())


def test_values_without_a_graph_have_no_tangent(torch: Any) -> None:
    loss = CrossEntropyLoss("binary")
    x, t = torch.linspace(-1, 1, 5), torch.ones(5)
    for alone in (
        lambda z: loss.value_and_grad(z, t)[0],
        lambda z: loss.from_statistics(loss.statistics(z, t)),
    ):
        value, tangent = torch.func.jvp(alone, (x,), (t,))
        torch.testing.assert_close(value, loss(x, t))
        assert tangent == 0


@pytest.mark.parametrize("loss", [DiceLoss("binary"), CrossEntropyLoss("binary")], ids=repr)
def test_tangents_of_half_precision(torch: Any, loss: Loss) -> None:
    """Slopes too small for float16 are added in float32."""
    torch.manual_seed(4)
    x, direction = torch.randn(2, 1 << 18).half().unbind()
    t = (x > 0.5).float()
    expected = (loss.value_and_grad(x.double(), t)[1] * direction).sum()
    found = along(torch, loss, x, direction, t)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize("count", [60, 1 << 16])
def test_upstream_gradients_in_a_dual_level(torch: Any, count: int) -> None:
    """One that is undefined is 0, and the tangent of another is passed on."""
    forward_ad = torch.autograd.forward_ad
    loss, t = DiceLoss("binary"), (torch.arange(count) % 3 == 0)[None]
    x = torch.linspace(-2, 2, count)[None].requires_grad_()

    class Cut(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, y: Any) -> Any:
            return y.clone()

        @staticmethod
        def backward(ctx: Any, upstream: Any) -> None:
            return None

        @staticmethod
        def jvp(ctx: Any, tangent: Any) -> Any:
            return tangent.clone()

    (expected,) = torch.autograd.grad(loss(x, t), x)
    value = loss(x, t)
    with forward_ad.dual_level():
        upstream = forward_ad.make_dual(torch.tensor(1.0), torch.tensor(2.0))
        (slope,) = torch.autograd.grad(value, x, grad_outputs=upstream)
        torch.testing.assert_close(forward_ad.unpack_dual(slope).tangent, 2 * expected)
        dual = forward_ad.make_dual(x, torch.ones_like(x))
        (cut,) = torch.autograd.grad(Cut.apply(loss(dual, t)) + 0 * x.sum(), x)
        assert not cut.any()


def test_the_forward_mode_of_another_thread(torch: Any) -> None:
    """Its level is torch's for all threads; values of tensors without tangents are looked at."""
    inside, done = Event(), Event()

    def stay() -> None:
        with torch.autograd.forward_ad.dual_level():
            inside.set()
            done.wait()

    thread = Thread(target=stay)
    thread.start()
    inside.wait()
    try:
        with pytest.raises(ValueError, match="target has label 7"):
            DiceLoss("multiclass")(torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2, 7]]))
    finally:
        done.set()
        thread.join()
