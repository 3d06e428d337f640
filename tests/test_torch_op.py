"""The operations that stand for a loss in a graph of torch.compile on a CPU."""

import shutil
from enum import StrEnum
from typing import Any

import pytest

from xploss import CrossEntropyLoss, DiceLoss, Loss, LovaszLoss

from .cases import LOSSES, draw
from .libraries import none_small
from .test_tiles import set_tiles

TAKEN = [
    loss
    for loss in (*LOSSES, LovaszLoss("binary", ignore_index=255), LovaszLoss("multilabel"))
    if all(term.reduction != "none" for _, term in loss.terms)
    and any(term.mode == "multiclass" or term.accumulates for _, term in loss.terms)
]


@pytest.fixture(autouse=True)
def fresh(torch: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    from xploss import plan
    from xploss.adapters import _torch_op

    monkeypatch.setattr(_torch_op, "LEAST", 1)
    torch.compiler.reset()
    plan._kept.cache_clear()
    yield
    plan._kept.cache_clear()
    torch.compiler.reset()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_recipes(torch: Any, loss: Loss) -> None:
    """What an operation of the graph is told of a loss is all of it."""
    from xploss.adapters import _torch_op

    assert _torch_op._made(_torch_op._recipe(loss)).terms == loss.terms


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", TAKEN, ids=repr)
def test_operations_of_each_loss(
    torch: Any, monkeypatch: pytest.MonkeyPatch, loss: Loss, dtype: str
) -> None:
    """With weights and ignored pixels, in tiles; a second shape makes the first axis a symbol."""
    set_tiles(monkeypatch, 8)
    monkeypatch.setattr("xploss.losses.lovasz.SMALL", 0)
    graphs: list[Any] = []

    def kept(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph

    compiled = torch.compile(loss, fullgraph=True, backend=kept)
    pred, target, weight = draw(loss, seed=1, weighted=True)
    for count in (1, 2, 3):
        x, t, w = (torch.tensor(part).repeat(count, *[1] * (part.ndim - 1))
                   for part in (pred, target, weight))  # fmt: skip
        x, w = x.to(getattr(torch, dtype)).requires_grad_(), w.to(torch.float32)
        value = compiled(x, t, weight=w)
        with none_small():
            expected, gradient = loss.value_and_grad(x.detach(), t, weight=w)
        (slope,) = torch.autograd.grad(value, x)
        torch.testing.assert_close(value.detach(), expected, rtol=0, atol=0)
        torch.testing.assert_close(slope, gradient, rtol=0, atol=0)
    assert len(graphs) <= 2
    assert all("xploss.value_and_grad" in str(graph.graph) for graph in graphs)


# the compiler warns of its own use of torch.jit
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.slow
def test_inductor_takes_the_operation(torch: Any) -> None:
    """Between what comes before and after in a graph."""
    loss = DiceLoss("multiclass") + CrossEntropyLoss("multiclass")
    torch.manual_seed(0)
    x, t = torch.randn(2, 3, 8, 9, requires_grad=True), torch.randint(0, 3, (2, 8, 9))

    def step(x: Any) -> Any:
        return 2 * loss(torch.sin(x), t)

    torch.compile(step, fullgraph=True)(x).backward()
    (expected,) = torch.autograd.grad(step(x), x)
    torch.testing.assert_close(x.grad, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("layout", ["strided", "channels last", "class_axis=-1"])
def test_operations_in_any_layout(torch: Any, layout: str) -> None:
    """Value and gradient of tiles in a graph, scaled; a user's own loss does without."""
    from xploss.adapters import _torch_op

    torch.manual_seed(0)
    axis = -1 if layout == "class_axis=-1" else 1
    shape = (2, 4, 6, 3) if axis == -1 else (2, 3, 4, 6)
    x, t = torch.randn(shape), torch.randint(0, 3, (2, 4, 6))
    if layout == "strided":
        x = torch.randn(2, 3, 4, 12)[..., ::2]
    elif layout == "channels last":
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    for kind in (DiceLoss, type("Own", (DiceLoss,), {})):
        loss = kind("multiclass", class_axis=axis) + 0.5 * LovaszLoss("multiclass", class_axis=axis)
        torch.compiler.reset()
        assert _torch_op.fits(loss, x) == (kind is DiceLoss)
        compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
        value, gradient = loss.value_and_grad(x, t)
        found = compiled(x, t)
        torch.testing.assert_close(found.detach(), value)
        (slope,) = torch.autograd.grad(3 * found, x)
        torch.testing.assert_close(slope, 3 * gradient, rtol=1e-5, atol=1e-8)
        with torch.no_grad():
            torch.testing.assert_close(compiled(x, t), value)


def test_no_second_derivative_of_an_operation(torch: Any) -> None:
    loss = torch.compile(DiceLoss("multiclass"), fullgraph=True, backend="eager")
    x, t = torch.randn(1, 3, 5, requires_grad=True), torch.randint(0, 3, (1, 5))
    with pytest.raises(RuntimeError, match="a compiled loss has no second derivative"):
        torch.autograd.grad(loss(x, t), x, create_graph=True)


# torch looks at whether the tensors that it traces share memory
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_exported_does_without(torch: Any) -> None:
    """An exported program holds what any torch can run."""

    class Model(torch.nn.Module):
        def forward(self, x: Any, t: Any) -> Any:
            return DiceLoss("multiclass")(x, t)

    x, t = torch.randn(1, 3, 5), torch.randint(0, 3, (1, 5))
    exported = torch.export.export(Model(), (x, t))
    assert "xploss" not in str(exported.graph)
    torch.testing.assert_close(exported.module()(x, t), DiceLoss("multiclass")(x, t))


# torch looks at whether the tensors that it traces share memory
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_an_exported_program_takes_any_size(torch: Any, mode: Any) -> None:
    class Model(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any, t: Any) -> Any:
            return DiceLoss(mode)(x, t)

    def inputs(samples: int, *size: int) -> tuple[Any, Any]:
        shape = samples, 1 if mode == "binary" else 3, *size
        labels = torch.randint(0, 3, (samples, *size))
        return torch.randn(shape), labels if mode == "multiclass" else torch.rand(shape)

    n, h, w = (torch.export.Dim(name) for name in "nhw")
    labels = {0: n, 1: h, 2: w} if mode == "multiclass" else {0: n, 2: h, 3: w}
    shapes = {"x": {0: n, 2: h, 3: w}, "t": labels}
    exported = torch.export.export(Model(), inputs(2, 6, 5), dynamic_shapes=shapes).module()
    for size in ((4, 3, 8), (3, 7, 3)):
        x, t = inputs(*size)
        torch.testing.assert_close(exported(x, t), DiceLoss(mode)(x, t))


def test_small_arrays_are_the_compilers(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from xploss.adapters import _torch_op

    monkeypatch.setattr(_torch_op, "LEAST", 31)
    assert not _torch_op.fits(DiceLoss("multiclass"), torch.zeros(2, 3, 5))
    assert _torch_op.fits(DiceLoss("multiclass"), torch.zeros(2, 3, 6))


def test_values_are_looked_at(torch: Any) -> None:
    compiled = torch.compile(DiceLoss("multiclass"), fullgraph=True, backend="eager")
    with pytest.raises(ValueError, match="label 9"):
        compiled(torch.randn(1, 3, 5), torch.tensor([[0, 1, 2, 9, 1]]))


def test_while_another_thread_compiles(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's flag holds for all threads: it must lead neither call into the other."""
    loss, x, t = DiceLoss("multiclass"), torch.randn(1, 3, 5), torch.randint(0, 3, (1, 5))
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    expected = compiled(x, t)
    monkeypatch.setattr(torch.compiler, "_is_compiling_flag", True)
    torch.testing.assert_close(compiled(x, t), expected)
    torch.testing.assert_close(loss(x, t), expected)


def test_parameters_of_an_enumeration(torch: Any) -> None:
    class Way(StrEnum):
        SUM = "sum"

    loss = CrossEntropyLoss("multiclass", reduction=Way.SUM)
    x, t = torch.randn(1, 3, 5), torch.randint(0, 3, (1, 5))
    found = torch.compile(loss, fullgraph=True, backend="eager")(x, t)
    torch.testing.assert_close(found, CrossEntropyLoss("multiclass", reduction="sum")(x, t))
