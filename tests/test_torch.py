"""Autograd, second order, torch.func, half precision, autocast, threads."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Barrier
from typing import Any
from weakref import ref

import numpy as np
import pytest

from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, Loss, LovaszLoss, TverskyLoss

from .cases import LOSSES, SECOND_AT_ZERO, draw
from .libraries import none_small

SMOOTH = [loss for loss in LOSSES if all(t.from_logits for _, t in loss.terms)]
FEW = [
    DiceLoss("multiclass"),
    JaccardLoss("multilabel", per_image=True, reduction="none"),
    CrossEntropyLoss("multiclass", label_smoothing=0.1),
    FocalLoss("multilabel", reduction="none"),
    DiceLoss("multiclass") + FocalLoss("multiclass"),
]


def tensors(torch: Any, loss: Loss, seed: int = 1, **given: Any) -> tuple[Any, Any, Any]:
    pred, target, weight = draw(loss, seed, **given)
    x = torch.tensor(pred, requires_grad=True)
    return x, torch.tensor(target), None if weight is None else torch.tensor(weight)


@pytest.fixture(params=["small", "tiles"], autouse=True)
def _way(torch: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """Small tensors as NumPy computes them, and as torch does."""
    with none_small() if request.param == "tiles" else nullcontext():
        yield


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns far more often than they do."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_gradcheck(torch: Any, loss: Loss) -> None:
    x, t, w = tensors(torch, loss, weighted=True)
    assert torch.autograd.gradcheck(lambda z: loss(z, t, weight=w), x, eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("loss", SMOOTH, ids=repr)
def test_second_order_is_exact(torch: Any, loss: Loss) -> None:
    x, t, _ = tensors(torch, loss, seed=2)
    x = x.detach()[:1, ..., :2, :2].contiguous().requires_grad_()
    t = t[:1, ..., :2, :2]
    assert torch.autograd.gradgradcheck(lambda z: loss(z, t), x, eps=1e-7, atol=1e-4)


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_create_graph(torch: Any, loss: Loss) -> None:
    """The gradient of a squared gradient, against differences of the first one."""
    x, t, _ = tensors(torch, loss, seed=3)

    def penalty(z: Any) -> Any:
        (slopes,) = torch.autograd.grad(loss(z, t).sum(), z, create_graph=True)
        return (slopes**2).sum()

    (second,) = torch.autograd.grad(penalty(x), x)
    step = 1e-6 * torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    moved = [penalty((x + s * step).detach().requires_grad_()).item() for s in (1, -1)]
    expected = (moved[0] - moved[1]) / 2
    assert float((second * step).sum()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_backward_twice(torch: Any, loss: Loss) -> None:
    x, t, _ = tensors(torch, loss)
    value = loss(x, t).sum()
    value.backward(retain_graph=True)
    first = x.grad.clone()
    value.backward()
    torch.testing.assert_close(x.grad, 2 * first, rtol=1e-15, atol=0)
    with pytest.raises(RuntimeError, match="second time"):
        value.backward()


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_value_is_detached_where_nobody_differentiates(torch: Any, loss: Loss) -> None:
    x, t, _ = tensors(torch, loss)
    assert loss(x, t).requires_grad
    assert not loss(x.detach(), t).requires_grad
    with torch.no_grad():
        assert not loss(x, t).requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(loss(x, t), loss(x.detach(), t), rtol=0, atol=0)
    value, gradient = loss.value_and_grad(x, t)
    assert not value.requires_grad
    assert not gradient.requires_grad
    assert not any(a.requires_grad for a in FEW[0].statistics(x, t).arrays)


def test_leaf_and_intermediate(torch: Any) -> None:
    """Through a layer: the gradient of its weights equals the naive one."""
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(2, 3, 3, padding=1).double()
    image, labels = torch.randn(2, 2, 6, 5).double(), torch.randint(0, 3, (2, 6, 5))
    CrossEntropyLoss("multiclass")(layer(image), labels).backward()
    ours = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    torch.nn.functional.cross_entropy(layer(image), labels).backward()
    for mine, theirs in zip(ours, (p.grad for p in layer.parameters()), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["target", "weight"])
@pytest.mark.parametrize("grad", [True, False])
def test_target_and_weight_take_no_gradient(torch: Any, name: str, grad: bool) -> None:
    loss = DiceLoss("multilabel")
    x = torch.randn(2, 3, 4, requires_grad=grad)
    given = {"target": torch.rand(2, 3, 4), "weight": torch.rand(2, 4)}
    given[name].requires_grad_()
    message = rf"{name} requires a gradient; gradients flow to pred only; pass {name}.detach\(\)"
    with pytest.raises(TypeError, match=message):
        loss(x, given["target"], weight=given["weight"])
    given[name] = given[name].detach()
    loss(x, given["target"], weight=given["weight"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_half_precision(torch: Any, loss: Loss, dtype: str) -> None:
    x, t, _ = tensors(torch, loss)
    half = x.detach().to(getattr(torch, dtype)).requires_grad_()
    wide = half.detach().double().requires_grad_()
    value, expected = loss(half, t), loss(wide, t)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-7)
    value.sum().backward()
    expected.sum().backward()
    assert half.grad.dtype == half.dtype
    tolerance = {"float16": 1e-3, "bfloat16": 8e-3}[dtype]
    torch.testing.assert_close(half.grad.double(), wide.grad, rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_autocast_changes_nothing(torch: Any, loss: Loss) -> None:
    """Inside autocast a loss computes as outside: in float32 or wider."""
    pred, target, _ = draw(loss, seed=4)
    results = []
    for enabled in (False, True):
        x = torch.tensor(pred, dtype=torch.bfloat16, requires_grad=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            value = loss(x, torch.tensor(target))
        value.sum().backward()
        results.append((value.detach(), x.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-8)
    x = torch.tensor(pred)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss.value_and_grad(x, torch.tensor(target))
    outside = loss.value_and_grad(x, torch.tensor(target))
    torch.testing.assert_close(inside, outside, rtol=1e-14, atol=1e-17)


@pytest.mark.parametrize("kind", [DiceLoss, CrossEntropyLoss, LovaszLoss])
@pytest.mark.parametrize("classes", [3, 20])
def test_autocast_of_single_pixels(torch: Any, classes: int, kind: Any) -> None:
    """A sample may be one pixel, whose slopes have the shape of those of all pixels."""
    torch.manual_seed(9)
    x, t = torch.randn(20000, classes), torch.randint(classes, (20000,))
    loss = kind("multiclass") + DiceLoss("multiclass", overlap="squared")
    outside = loss.value_and_grad(x, t)
    with torch.autocast("cpu"):
        inside = loss.value_and_grad(x, t)
        _, alone = kind("multiclass").value_and_grad(x, t)
    torch.testing.assert_close(inside, outside, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(
        alone, kind("multiclass").value_and_grad(x, t)[1], rtol=1e-5, atol=1e-9
    )


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_func_grad(torch: Any, loss: Loss) -> None:
    x, t, w = tensors(torch, loss, weighted=True)
    x = x.detach()
    found = torch.func.grad(lambda z: loss(z, t, weight=w).sum())(x)
    torch.testing.assert_close(
        found, loss.value_and_grad(x, t, weight=w)[1], rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_vmap(torch: Any, loss: Loss) -> None:
    """Over predictions and targets, over predictions alone, and of the gradient."""
    torch.manual_seed(1)
    xs, ts = torch.randn(4, 2, 3, 5).double(), torch.randint(0, 3, (4, 2, 5))
    expected = [loss.value_and_grad(x, t) for x, t in zip(xs, ts, strict=True)]
    values = torch.vmap(loss)(xs, ts)
    torch.testing.assert_close(values, torch.stack([v for v, _ in expected]), rtol=1e-13, atol=0)
    slopes = torch.vmap(torch.func.grad(lambda x, t: loss(x, t).sum()))(xs, ts)
    torch.testing.assert_close(
        slopes, torch.stack([g for _, g in expected]), rtol=1e-12, atol=1e-16
    )
    shared = torch.vmap(lambda x: loss(x, ts[0]))(xs)
    torch.testing.assert_close(shared, torch.stack([loss(x, ts[0]) for x in xs]))
    x = xs.clone().requires_grad_()
    torch.vmap(loss)(x, ts).sum().backward()
    torch.testing.assert_close(x.grad, slopes, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0, False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_second_order_at_zero(torch: Any, gamma: float, smoothing: float, target: float) -> None:
    """Where abs() and the maximum have no derivative; of both sides there it is the same."""
    loss = FocalLoss("binary", gamma=gamma, label_smoothing=smoothing)
    t, zero = torch.full((1, 1), target), torch.zeros((1, 1)).double()
    t = t if t.dtype == torch.bool else t.double()
    found = torch.autograd.functional.hessian(lambda z: loss(z, t), zero)
    assert found.item() == pytest.approx(SECOND_AT_ZERO[gamma], rel=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        FocalLoss("multiclass", class_weights=(1, 2, 3)),
        FocalLoss("multiclass", alpha=(0.5, 0.2, 0.3)),
        FocalLoss("multiclass"),
        CrossEntropyLoss("multiclass", class_weights=(1, 2, 3)),
        CrossEntropyLoss("binary", pos_weight=3.0),
    ],
    ids=str,
)
def test_compiled_gradients_under_class_weights(torch: Any, loss: Loss) -> None:
    """torch.compile takes what super() gives of a property for the property itself."""
    torch.compiler.reset()
    torch.manual_seed(4)
    binary = loss.terms[0][1].mode == "binary"
    x = torch.randn(2, 1 if binary else 3, 5, dtype=torch.float64, requires_grad=True)
    t = torch.randint(0, 2 if binary else 3, (2, 5))
    value = torch.compile(loss, fullgraph=True, backend="aot_eager")(x, t)
    expected, slope = loss.value_and_grad(x.detach(), t)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(value, x)[0], slope)


@pytest.mark.parametrize("kind", ["bool", "int64", "float64"])
def test_second_order_of_a_sum_at_zero(torch: Any, kind: str) -> None:
    """Dice and cross-entropy share what is computed of a logit; beside autodiff of plain code."""
    loss = DiceLoss("binary") + CrossEntropyLoss("binary")
    z = torch.tensor([[0.0, 0.0, 0.7, -40.0]], dtype=torch.float64)
    t = torch.tensor([[0, 1, 0, 1]], dtype=getattr(torch, kind))

    def plain(x: Any) -> Any:
        p, truth = torch.sigmoid(x), t.double()
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(x, truth)
        return 1 - 2 * (p * truth).sum() / (p.sum() + truth.sum()) + entropy

    hessian = torch.autograd.functional.hessian
    found, expected = hessian(lambda x: loss(x, t), z), hessian(plain, z)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("loss", [DiceLoss("multiclass"), CrossEntropyLoss("multiclass")], ids=repr)
def test_jacobians_and_hessian(torch: Any, loss: Loss) -> None:
    torch.manual_seed(2)
    x, t = torch.randn(1, 3, 2).double(), torch.randint(0, 3, (1, 2))
    expected = loss.value_and_grad(x, t)[1]
    torch.testing.assert_close(torch.func.jacrev(lambda z: loss(z, t))(x), expected)
    hessian = torch.func.jacrev(torch.func.grad(lambda z: loss(z, t)))(x)
    rows = torch.autograd.functional.hessian(lambda z: loss(z, t), x)
    torch.testing.assert_close(hessian, rows)
    flat = hessian.reshape(6, 6)
    torch.testing.assert_close(flat, flat.T, rtol=1e-12, atol=1e-16)


def test_a_compound_with_terms(torch: Any) -> None:
    """Reduction "none", weighed and summed by the caller, as a map of pixels."""
    loss = CrossEntropyLoss("multiclass", reduction="none")
    x, t = torch.randn(2, 3, 4, 5).double().requires_grad_(), torch.randint(0, 3, (2, 4, 5))
    terms = loss(x, t)
    hardest = terms.flatten(1).topk(3).values.mean()
    hardest.backward()
    ours, x.grad = x.grad, None
    torch.nn.functional.cross_entropy(x, t, reduction="none").flatten(1).topk(
        3
    ).values.mean().backward()
    torch.testing.assert_close(ours, x.grad, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(2, 1, 163841), (2, 2, 65541)])
@pytest.mark.parametrize("per_image", [False, True])
def test_histograms_by_several_threads(
    torch: Any, threads: int, shape: tuple[int, ...], per_image: bool
) -> None:
    """Each of torch's threads adds up a histogram of its own: pixels that do not divide evenly."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    t, w = (rng.random(shape) < 0.3).astype(x.dtype), rng.integers(0, 3, (shape[0], shape[2])) / 2.0
    mode: Any = "binary" if shape[1] == 1 else "multilabel"
    loss = LovaszLoss(mode, per_image=per_image)
    value, gradient = loss.value_and_grad(x, t, weight=w)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = loss.value_and_grad(*map(torch.from_numpy, (x, t)), weight=torch.from_numpy(w))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found[0], torch.as_tensor(value), rtol=1e-13, atol=0)
    torch.testing.assert_close(found[1], torch.from_numpy(gradient), rtol=1e-9, atol=1e-18)


def test_threads_share_a_loss(torch: Any) -> None:
    loss = DiceLoss("multiclass") + TverskyLoss("multilabel", beta=0.7)
    inputs = [tensors(torch, FEW[0], seed=s)[:2] for s in range(24)]

    def work(given: tuple[Any, Any]) -> tuple[Any, Any]:
        x, t = given[0].detach().clone().requires_grad_(), given[1]
        value = loss(x, t)
        value.backward()
        return value.detach(), x.grad

    expected = [work(given) for given in inputs]
    with ThreadPoolExecutor(4) as pool:
        for found, alone in zip(pool.map(work, inputs), expected, strict=True):
            torch.testing.assert_close(found, alone, rtol=0, atol=0)


def test_subclass_and_parameter(torch: Any) -> None:
    class Image(torch.Tensor):  # type: ignore[misc, name-defined]
        pass

    pred, target, _ = draw(FEW[0], seed=5)
    expected = FEW[0].value_and_grad(torch.tensor(pred), torch.tensor(target))
    p = torch.nn.Parameter(torch.tensor(pred))
    FEW[0](p, torch.tensor(target)).backward()
    torch.testing.assert_close(p.grad, expected[1])
    x = torch.tensor(pred).as_subclass(Image)
    value = FEW[0](x, torch.tensor(target))
    torch.testing.assert_close(value.as_subclass(torch.Tensor), expected[0])


def test_non_contiguous_and_expanded(torch: Any) -> None:
    x = torch.randn(2, 5, 4, 3).double().permute(0, 3, 2, 1)
    t = torch.randint(0, 3, (1, 4, 5)).expand(2, 4, 5)
    for loss in FEW:
        found = loss.value_and_grad(x, t)
        expected = loss.value_and_grad(x.contiguous(), t.contiguous())
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-16)
    cotangent = torch.ones(()).double().expand(2, 4, 5)
    x.requires_grad_()
    CrossEntropyLoss("multiclass", reduction="none")(x, t).backward(cotangent)
    assert np.isfinite(x.grad.numpy()).all()


def test_gradient_buffers_are_not_shared(torch: Any) -> None:
    """Writing into a gradient or an input afterwards harms no later call."""
    x, t, _ = tensors(torch, FEW[0])
    value = FEW[0](x, t)
    (one,) = torch.autograd.grad(value, x, retain_graph=True)
    kept = one.clone()
    one.zero_()
    (two,) = torch.autograd.grad(value, x, retain_graph=True)
    torch.testing.assert_close(two, kept, rtol=0, atol=0)
    with torch.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
@pytest.mark.parametrize("ignore", [None, 255])
@pytest.mark.parametrize(
    "kinds",
    [(DiceLoss,), (CrossEntropyLoss,), (FocalLoss,), (DiceLoss, CrossEntropyLoss), (LovaszLoss,)],
    ids=str,
)
def test_tiles_have_no_arrays_of_the_allocator_of_torch(
    torch: Any, mode: Any, ignore: int | None, kinds: Any
) -> None:
    """Aligned blocks, which glibc does not give again at once, double the memory of a tile."""
    from torch.utils._python_dispatch import TorchDispatchMode

    # more than one tile, with classes that are apart in memory
    shape = (1, 1, 1100, 1000) if mode == "binary" else (1, 4, 600, 700)
    tile, found = 1 << 15, []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, op: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = op(*args, **(kwargs or {}))
            for returned, x in zip(op._schema.returns, [result], strict=False):
                if returned.alias_info is None and isinstance(x, torch.Tensor):
                    size = x.numel() * x.element_size()
                    found.extend([op] * (size >= 4 * tile and x.dtype != torch.bool))
            return result

    losses = [kind(mode, ignore_index=ignore) for kind in kinds]
    loss = losses[0] if len(losses) == 1 else losses[0] + losses[1]
    x = torch.randn(shape)
    target = torch.randint(0, shape[1], (1, *shape[2:])) if shape[1] > 1 else (x > 0).float()
    if ignore is not None:
        target[..., :9] = ignore
    loss.value_and_grad(x, target)  # makes what is kept for later calls
    with Watch():
        loss.value_and_grad(x, target)
    assert not found, sorted(map(str, set(found)))


def test_what_autograd_saves_is_not_held_beside(torch: Any) -> None:
    """Hooks for saved tensors, which may move them elsewhere, decide how long these live."""
    loss = DiceLoss("multiclass") + LovaszLoss("multilabel", method="histogram")
    x = torch.randn(1, 4, 300, 400, requires_grad=True)
    t = torch.randint(0, 4, (1, 300, 400))
    y = x * 1.0
    held = ref(y)
    with torch.autograd.graph.saved_tensors_hooks(lambda a: a.clone(), lambda a: a):
        value = loss(y, t)
    del y
    assert held() is None
    (found,) = torch.autograd.grad(value, x)
    _, expected = loss.value_and_grad(x.detach(), t)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("size", [8, 300], ids=["small", "one tile"])
@pytest.mark.parametrize(
    "loss",
    [
        DiceLoss("multiclass"),
        DiceLoss("multiclass") + CrossEntropyLoss("multiclass"),
        LovaszLoss("multiclass", method="sort"),
    ],
    ids=repr,
)
def test_a_value_holds_no_arrays_once_its_gradient_is_known(
    torch: Any, loss: Loss, size: int, graph: bool
) -> None:
    """As values are collected for a mean at the end of an epoch."""
    x = torch.randn(1, 4, size, size, requires_grad=True)
    t = torch.randint(0, 4, (1, size, size))
    value = loss(x, t)
    (first,) = torch.autograd.grad(value, x, retain_graph=True, create_graph=graph)
    problem = value.grad_fn.state.problem
    assert problem.pred is None
    for walk in problem.walks:
        assert walk.laid.pred is None
        assert walk._kept is None
        assert not walk.memory.whole
    (second,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(first.detach(), second, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("mode", ["binary", "multiclass"])
def test_second_order_of_saturated_pixels(torch: Any, mode: Any, gamma: float) -> None:
    """Right and wrong ones, in float32: as in float64, where a margin of 110 is none."""
    margins = torch.tensor([-1e4, -110, -68, -50, -44, -20, 20, 44, 50, 68, 110, 1e4])[None]
    labels = torch.zeros(margins.shape, dtype=torch.int64)
    loss = FocalLoss(mode, gamma=gamma, reduction="sum")

    def second(dtype: Any) -> Any:
        m = margins.to(dtype)
        z = m if mode == "binary" else torch.stack((torch.zeros_like(m), m, m / 2), 1)
        z.requires_grad_()
        (slope,) = torch.autograd.grad(loss(z, labels), z, create_graph=True)
        return torch.autograd.grad((slope * slope.detach().sign()).sum(), z)[0].double()

    torch.testing.assert_close(second(torch.float32), second(torch.float64), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_vmap_with_the_classes_last(torch: Any, mode: Any) -> None:
    loss = DiceLoss(mode, class_axis=-1)
    x, t = torch.randn(3, 2, 5, 4), torch.randint(0, 4, (3, 2, 5))
    found = torch.func.vmap(torch.func.grad(loss))(x, t)
    for z, labels, gradient in zip(x, t, found, strict=True):
        torch.testing.assert_close(gradient, loss.value_and_grad(z, labels)[1])


def test_second_order_of_a_histogram_is_finite(torch: Any) -> None:
    """Also where the hinge error is 0, at which a square root has no derivative."""
    x = torch.linspace(-2, 2, 130 * 130).round(decimals=1).reshape(1, 130, 130).requires_grad_()
    t = (torch.arange(130 * 130).reshape(1, 130, 130) % 3 == 0).long()
    value = LovaszLoss("binary")(x, t)
    (slope,) = torch.autograd.grad(value, x, create_graph=True)
    (second,) = torch.autograd.grad((slope * slope).sum(), x)
    assert torch.isfinite(second).all()


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_upstream_gradient_of_a_graph(torch: Any, loss: Loss) -> None:
    """With a graph of the gradient, the cotangent of the value counts too."""
    x, t, _ = tensors(torch, loss, seed=5)
    value = loss(x, t)
    cotangent = 1 + torch.rand_like(value)
    (slope,) = torch.autograd.grad(value, x, cotangent, create_graph=True)
    expected = loss.value_and_grad(x.detach(), t, cotangent=cotangent.detach())[1]
    torch.testing.assert_close(slope.detach(), expected)


@pytest.mark.parametrize("loss", [DiceLoss("binary"), CrossEntropyLoss("binary")], ids=repr)
def test_a_large_graph_can_be_used_twice(torch: Any, loss: Loss) -> None:
    """The first backward uses up what the gradient's array holds; the second computes it anew."""
    x = torch.randn(2, 420, 420, requires_grad=True)
    value = loss(x, (torch.rand(2, 420, 420) < 0.3).long())
    first = torch.autograd.grad(value, x, retain_graph=True)[0].clone()
    second = torch.autograd.grad(3 * value, x)[0]
    assert (second - 3 * first).norm() < 1e-5 * first.norm()


@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("loss", [DiceLoss("binary"), CrossEntropyLoss("binary")], ids=repr)
def test_threads_can_share_a_graph(torch: Any, loss: Loss) -> None:
    together = Barrier(4)
    x, t = torch.randn(2, 12, 12), (torch.rand(2, 12, 12) < 0.3).long()
    once = loss.value_and_grad(x, t)[1]
    x.requires_grad_()

    def worst(value: Any, factor: int) -> float:
        together.wait()
        cotangent = torch.tensor(float(factor))
        return max(
            float(
                (torch.autograd.grad(value, x, cotangent, retain_graph=True)[0] / factor - once)
                .abs()
                .max()
            )
            for _ in range(50)
        )

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            found = max(pool.map(worst, [loss(x, t)] * 4, range(1, 5)))
            assert found < 1e-4 * float(once.abs().max())


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_batches_of_upstream_gradients(torch: Any, loss: Loss) -> None:
    """All rows of a Jacobian in one backward pass that torch vectorises."""
    x, t, _ = tensors(torch, loss)
    jacobian = torch.autograd.functional.jacobian
    found = jacobian(lambda y: loss(y, t), x.detach(), vectorize=True)
    torch.testing.assert_close(found, jacobian(lambda y: loss(y, t), x.detach()))
    value = loss(x, t)
    upstream = torch.randn(3, *value.shape, dtype=value.dtype)

    def pull(cotangent: Any) -> Any:
        return torch.autograd.grad(value, x, cotangent, retain_graph=True)[0]

    expected = torch.stack([pull(row) for row in upstream])
    torch.testing.assert_close(torch.func.vmap(pull)(upstream), expected)


@pytest.mark.parametrize("kind", [DiceLoss, CrossEntropyLoss, FocalLoss])
def test_labels_that_are_no_class_under_a_transformation(torch: Any, kind: Any) -> None:
    """Nobody looks at values there; such a pixel has a target of 0 everywhere."""
    loss, x = kind("multiclass"), torch.randn(2, 3, 5, dtype=torch.float64)
    t = torch.randint(0, 3, (2, 5))
    dense = torch.nn.functional.one_hot(t, 3).movedim(2, 1)
    t[0, 1], t[1, 2], dense[0, :, 1], dense[1, :, 2] = 7, -1, 0, 0
    found = torch.func.grad(lambda y: loss(y, t))(x)
    torch.testing.assert_close(found, torch.func.grad(lambda y: loss(y, dense))(x))


@pytest.mark.parametrize(
    "loss",
    [*LOSSES, LovaszLoss("multiclass"), LovaszLoss("binary", method="sort"), *FEW],
    ids=repr,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_nothing_of_a_device_is_looked_at(torch: Any, loss: Loss, weighted: bool) -> None:
    """On a device without memory, where looking fails, and so does mixing in the CPU's tensors."""
    pred, target, weight = tensors(torch, loss, weighted=weighted)
    x = pred.detach().float().to("meta").requires_grad_()
    w = None if weight is None else weight.to("meta")
    value = loss(x, target.to("meta"), weight=w)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    assert value.device.type == gradient.device.type == "meta"
    assert (value.dtype, gradient.shape) == (torch.float32, x.shape)


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (LovaszLoss, {"method": "sort"}),
        *((kind, {}) for kind in (LovaszLoss, DiceLoss, CrossEntropyLoss, FocalLoss)),
    ],
)
def test_nothing_of_many_pixels_of_a_device_is_looked_at(
    torch: Any, mode: Any, dtype: str, kind: Any, given: Any
) -> None:
    """So many that a histogram is not computed by sorting, and that there are several tiles."""
    shape = (2, 7, 600, 700)
    x = torch.empty(shape, device="meta", requires_grad=True, dtype=getattr(torch, dtype))
    labels = shape if mode == "binary" else (2, 600, 700)
    t = torch.empty(labels, device="meta", dtype=torch.int64)
    value = kind(mode, ignore_index=255, **given)(x, t)
    (gradient,) = torch.autograd.grad(value, x)
    assert value.device.type == gradient.device.type == "meta"
    assert (value.dtype, gradient.shape) == (torch.float32, x.shape)


def test_a_gradient_that_is_not_kept_is_not_made(
    torch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a device nobody looks whether one rounded to half precision needs no other factor."""
    from xploss.adapters.torch import _DEVICE
    from xploss.walk import Walk

    made, pulled = [], Walk._pulled
    monkeypatch.setattr(Walk, "_pulled", lambda *given: made.append(1) or pulled(*given))
    monkeypatch.setattr(_DEVICE, "on_host", lambda x: False)
    monkeypatch.setattr(_DEVICE, "scoring", lambda arrays: (_DEVICE, arrays))
    x, t = torch.randn(2, 7, 300, 300), torch.randint(0, 7, (2, 300, 300))
    for dtype in (torch.float32, torch.bfloat16):
        _DEVICE.value_and_grad(CrossEntropyLoss("multiclass"), x.to(dtype), t, None, None, None)
        assert len(made) == 1
        made.clear()


def test_tensors_of_subclasses_are_checked_as_plain_ones(torch: Any) -> None:
    class Named(torch.Tensor):  # type: ignore[misc]
        """As medical and vision libraries have them: more than numbers, computed as usual."""

    def named(x: Any) -> Any:
        return x.as_subclass(Named)

    loss = DiceLoss("multiclass") + CrossEntropyLoss("multiclass")
    x, t = torch.randn(2, 3, 7), torch.randint(0, 3, (2, 7))
    value, gradient = loss.value_and_grad(x, t)
    found = loss.value_and_grad(named(x), named(t))
    torch.testing.assert_close(found, (value, gradient), rtol=0, atol=0)
    leaf = named(x.clone()).requires_grad_()
    loss(leaf, named(t)).backward()
    torch.testing.assert_close(leaf.grad.as_subclass(torch.Tensor), gradient, rtol=0, atol=0)
    for call in (loss, loss.value_and_grad, loss.statistics):
        for given in ((x, named(t + 7)), (named(x), t + 7)):
            with pytest.raises(ValueError, match="target has label"):
                call(*given)


def test_tensors_spread_over_processes_are_refused(torch: Any) -> None:
    spread = pytest.importorskip("torch.distributed.tensor")
    distributed = torch.distributed
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = distributed.init_device_mesh("cpu", (1,))
        x, t = torch.randn(2, 3, 7), torch.randint(0, 3, (2, 7))
        parts = [spread.DTensor.from_local(a, mesh, [spread.Replicate()]) for a in (x, t)]
        for given in ((parts[0], t), (x, parts[1])):
            with pytest.raises(TypeError, match=r"(pred|target) is a DTensor; .*to_local\(\)"):
                DiceLoss("multiclass")(*given)
    finally:
        distributed.destroy_process_group()


def test_devices_of_a_cotangent_and_of_statistics(torch: Any) -> None:
    loss = DiceLoss("multiclass")
    x, t = torch.randn(2, 3, 7), torch.randint(0, 3, (2, 7))
    with pytest.raises(ValueError, match=r"cotangent is on device meta and pred on cpu; .*move"):
        loss.value_and_grad(x, t, cotangent=torch.ones((), device="meta"))
    elsewhere = loss.statistics(x, t).map(lambda part: part.to("meta"))
    with pytest.raises(ValueError, match=r"statistics are on device meta and pred on cpu; .*move"):
        loss.value_and_grad(x, t, statistics=elsewhere)
