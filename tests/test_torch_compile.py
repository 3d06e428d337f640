"""torch.compile with fullgraph=True: one graph, static and dynamic shapes."""

import shutil
from typing import Any

import pytest

from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, Loss, LovaszLoss

from .cases import LOSSES, draw

pytestmark = pytest.mark.slow
FEW = [
    DiceLoss("multiclass", ignore_index=255),
    JaccardLoss("multilabel", per_image=True, class_weights=(1, 2, 3)),
    CrossEntropyLoss("multiclass", label_smoothing=0.1, class_weights=(1, 2, 3)),
    DiceLoss("multiclass") + 0.5 * FocalLoss("multiclass"),
]


@pytest.fixture(autouse=True)
def fresh(torch: Any) -> Any:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_traces_as_one_graph(torch: Any, loss: Loss) -> None:
    """Forward and backward, traced without a C++ compiler."""
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    pred, target, weight = draw(loss, seed=1, weighted=True)
    x, t, w = torch.tensor(pred, requires_grad=True), torch.tensor(target), torch.tensor(weight)
    value = compiled(x, t, weight=w)
    value.sum().backward()
    expected, gradient = loss.value_and_grad(x, t, weight=w)
    torch.testing.assert_close(value.detach(), expected, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(x.grad, gradient, rtol=1e-11, atol=1e-15)


# the compiler warns of its own use of torch.jit
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("loss", FEW[-2:], ids=repr)
def test_inductor(torch: Any, loss: Loss) -> None:
    torch.manual_seed(0)
    x, t = torch.randn(2, 3, 8, 9, requires_grad=True), torch.randint(0, 3, (2, 8, 9))
    torch.compile(loss, fullgraph=True)(x, t).backward()
    expected = loss.value_and_grad(x.detach(), t)[1]
    torch.testing.assert_close(x.grad, expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("loss", FEW[-2:], ids=repr)
def test_dynamic_shapes_compile_once(torch: Any, loss: Loss) -> None:
    """A second batch size makes the shapes dynamic; no further size compiles anything."""
    graphs = 0

    def counting(graph: Any, _: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return graph

    compiled = torch.compile(loss, fullgraph=True, backend=counting)
    counts = []
    for samples, height, width in ((2, 8, 9), (3, 10, 11), (5, 12, 7), (7, 9, 16)):
        x = torch.randn(samples, 3, height, width, dtype=torch.float64)
        t = torch.randint(0, 3, (samples, height, width))
        torch.testing.assert_close(compiled(x, t), loss(x, t), rtol=1e-12, atol=1e-15)
        counts.append(graphs)
    assert counts[1:] == [counts[1]] * 3
    assert counts[1] <= 2


def test_dynamic_shapes_marked_from_the_start(torch: Any) -> None:
    graphs = 0

    def counting(graph: Any, _: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return graph

    loss = FEW[0]
    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend=counting)
    for samples, size in ((2, 8), (3, 10), (6, 7)):
        x = torch.randn(samples, 3, size, size + 1, dtype=torch.float64, requires_grad=True)
        t = torch.randint(0, 3, (samples, size, size + 1))
        value = compiled(x, t)
        value.backward()
        expected, gradient = loss.value_and_grad(x, t)
        torch.testing.assert_close(value.detach(), expected, rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(x.grad, gradient, rtol=1e-11, atol=1e-15)
    assert graphs == 1


def test_a_training_step(torch: Any) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(2, 3, 3, padding=1)
    loss = FEW[-1]

    def step(image: Any, labels: Any) -> Any:
        return loss(layer(image), labels)

    image, labels = torch.randn(2, 2, 8, 8), torch.randint(0, 3, (2, 8, 8))
    step(image, labels).backward()
    expected = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    torch.compile(step, fullgraph=True, backend="aot_eager")(image, labels).backward()
    for p, slopes in zip(layer.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, slopes, rtol=1e-4, atol=1e-7)


def test_checks_inside_a_trace_cost_nothing(torch: Any) -> None:
    """Values are not looked at while tracing: an unknown label is no class."""
    loss = DiceLoss("multiclass")
    x, t = torch.randn(1, 3, 5), torch.tensor([[0, 1, 2, 9, 1]])
    with pytest.raises(ValueError, match="label 9"):
        loss(x, t)
    assert torch.compile(loss, fullgraph=True, backend="eager")(x, t).isfinite()


@pytest.mark.parametrize("loss", FEW[1:3], ids=repr)
def test_transforms_inside_a_trace(torch: Any, loss: Loss) -> None:
    torch.manual_seed(0)
    xs, ts = torch.randn(4, 2, 3, 5).double(), torch.randint(0, 3, (4, 2, 5))
    expected = loss.value_and_grad(xs[0], ts[0])
    gradient = torch.compile(torch.func.grad(loss), fullgraph=True, backend="eager")(xs[0], ts[0])
    torch.testing.assert_close(gradient, expected[1], rtol=1e-12, atol=1e-16)
    values = torch.compile(torch.vmap(loss), fullgraph=True, backend="eager")(xs, ts)
    torch.testing.assert_close(values, torch.vmap(loss)(xs, ts), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("loss", FEW[-2:], ids=repr)
def test_value_and_grad_and_statistics_inside_a_trace(torch: Any, loss: Loss) -> None:
    def both(x: Any, t: Any) -> Any:
        return loss.value_and_grad(x, t), loss.from_statistics(loss.statistics(x, t))

    x, t = torch.randn(2, 3, 5).double(), torch.randint(0, 3, (2, 5))
    found = torch.compile(both, fullgraph=True, backend="eager")(x, t)
    torch.testing.assert_close(found, both(x, t), rtol=1e-12, atol=1e-16)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("mode", ["binary", "multilabel"])
@pytest.mark.parametrize("dynamic", [None, True])
def test_few_pixels_and_what_is_left_over(torch: Any, mode: Any, dynamic: bool | None) -> None:
    """Eight costs share a logarithm: of fewer pixels, and of some more than a multiple."""
    loss = CrossEntropyLoss(mode)
    compiled = torch.compile(loss, fullgraph=True, dynamic=dynamic)
    for pixels in (1000, 1001, 9, 7, 3):
        x = torch.randn(2, 3, pixels, requires_grad=True)
        t = torch.rand(2, 3, pixels)
        value = compiled(x, t)
        (gradient,) = torch.autograd.grad(value, x)
        expected, slopes = loss.value_and_grad(x.detach().double(), t.double())
        torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=0)
        torch.testing.assert_close(gradient.double(), slopes, rtol=1e-5, atol=1e-9)


# torch warns of its own doing
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("side", [8, 100, 400])
@pytest.mark.parametrize("loss", [LovaszLoss("multiclass"), FEW[-1]], ids=repr)
def test_compiled_autograd(torch: Any, loss: Loss, side: int) -> None:
    """What eager calls left for the way back may be traced then."""
    compiled_autograd = pytest.importorskip("torch._dynamo.compiled_autograd")
    torch.manual_seed(0)
    x, t = torch.randn(2, 3, side, side, requires_grad=True), torch.randint(0, 3, (2, side, side))
    expected = loss.value_and_grad(x.detach(), t)[1]
    with compiled_autograd._enable(torch.compile(backend="aot_eager")):
        loss(x * 1.0, t).backward()
    torch.testing.assert_close(x.grad, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def test_a_parameter_traces_as_one_graph(torch: Any) -> None:
    x, t = torch.nn.Parameter(torch.randn(2, 3, 8)), torch.randint(0, 3, (2, 8))
    loss = FEW[-1]
    torch.compile(lambda x: loss(x, t), fullgraph=True, backend="aot_eager")(x).backward()
    expected = loss.value_and_grad(x.detach(), t)[1]
    torch.testing.assert_close(x.grad, expected, rtol=1e-5, atol=1e-8)
