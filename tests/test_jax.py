"""JAX: transformations, with and without 64 bits, tracers, compilations."""

import os
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, Loss, LovaszLoss, TverskyLoss
from xploss.loss import Mode

from .cases import LOSSES, SECOND_AT_ZERO, draw

FEW = [
    DiceLoss("multiclass", ignore_index=255),
    JaccardLoss("multilabel", per_image=True, reduction="none"),
    CrossEntropyLoss("multiclass", label_smoothing=0.1, reduction="none"),
    DiceLoss("multiclass") + FocalLoss("multiclass"),
]


@pytest.fixture
def x32(jax: ModuleType) -> Iterator[ModuleType]:
    """JAX as it comes, without 64 bits."""
    with jax.enable_x64(False):
        yield jax


def arrays(jax: ModuleType, loss: Loss, seed: int = 1, **given: Any) -> tuple[Any, Any, Any]:
    pred, target, weight = draw(loss, seed, **given)
    jnp = jax.numpy
    return jnp.asarray(pred), jnp.asarray(target), None if weight is None else jnp.asarray(weight)


def close(found: Any, expected: Any, rtol: float = 1e-12, atol: float = 1e-15) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=rtol, atol=atol)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_without_64_bits(x32: ModuleType, loss: Loss) -> None:
    """Value and gradient in float32 equal those of NumPy in float64."""
    pred, target, weight = draw(loss, seed=2, weighted=True)
    x, t, w = (x32.numpy.asarray(a) for a in (pred, target, weight))
    assert x.dtype == np.float32
    value, gradient = loss.value_and_grad(x, t, weight=w)
    assert value.dtype == gradient.dtype == np.float32
    expected, slopes = loss.value_and_grad(np.asarray(x, dtype=np.float64), target, weight=weight)
    close(value, expected, rtol=2e-6, atol=1e-6)
    close(gradient, slopes, rtol=2e-5, atol=1e-6)
    auto = x32.grad(lambda z: x32.numpy.sum(loss(z, t, weight=w)))(x)
    close(auto, gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", [CrossEntropyLoss("multiclass"), FEW[-1]], ids=repr)
def test_a_scale_saves_small_slopes_of_half_precision(x32: ModuleType, loss: Loss) -> None:
    """Slopes of single pixels underflow in float16 unless the loss is scaled up."""
    rng, scale = np.random.default_rng(0), 2.0**16
    x = x32.numpy.asarray(rng.normal(size=(1, 2, 512, 512)), "float16")
    t = x32.numpy.asarray(rng.integers(0, 2, size=(1, 512, 512)))

    def scaled(z: Any) -> Any:
        return scale * loss(z, t)

    found = np.asarray(x32.jit(x32.grad(scaled))(x), np.float64)
    expected = np.asarray(x32.grad(scaled)(x.astype("float32")), np.float64)
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_without_64_bits(x32: ModuleType, dtype: str) -> None:
    loss = FEW[-1]
    x, t, _ = arrays(x32, loss)
    half = x.astype(dtype)
    value, gradient = loss.value_and_grad(half, t)
    assert value.dtype == np.float32
    assert gradient.dtype == half.dtype
    close(value, loss(half.astype(np.float32), t), rtol=1e-6)
    assert x32.grad(loss)(half, t).dtype == half.dtype


MODES = {
    "disable_jit": (),
    "numpy_rank_promotion": ("raise",),
    "numpy_dtype_promotion": ("strict",),
    "debug_nans": (True,),
    "check_tracer_leaks": (True,),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("loss", [*FEW, LovaszLoss("multilabel", bins=64)], ids=repr)
def test_modes_of_strict_users(
    x32: ModuleType, loss: Loss, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What JAX has to find faults with changes nothing, nor that values are at hand."""
    monkeypatch.setattr("xploss.losses.lovasz.SMALL", 0)
    x, t, w = arrays(x32, loss, weighted=True)
    x = x.astype(np.float32)

    def total(z: Any) -> Any:
        return x32.numpy.sum(loss(z, t, weight=w))

    expected = x32.value_and_grad(total)(x)
    with getattr(x32, mode)(*MODES[mode]):
        found = x32.value_and_grad(total)(x)
        with pytest.raises(ValueError, match="weight has values"):
            loss(x, t, weight=w - 10)
    close(found[0], expected[0], rtol=1e-6)
    close(found[1], expected[1], rtol=1e-5, atol=1e-8)


def test_sums_of_float32_tiles(x32: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tiles, added without float64: the error does not grow with their number."""
    from xploss.adapters.jax import JaxBackend

    monkeypatch.setattr(JaxBackend, "tile_elements", 64)
    rng = np.random.default_rng(3)
    pred, labels = rng.normal(size=(1, 2, 40_000)), rng.integers(0, 2, (1, 40_000))
    x, t = x32.numpy.asarray(pred), x32.numpy.asarray(labels)
    loss = DiceLoss("multiclass") + CrossEntropyLoss("multiclass")
    expected = loss(np.asarray(x, dtype=np.float64), labels)
    close(loss(x, t), expected, rtol=3e-7)


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_jit_and_grad(jax: ModuleType, loss: Loss) -> None:
    x, t, w = arrays(jax, loss, weighted=True)
    expected, slopes = loss.value_and_grad(x, t, weight=w)
    close(jax.jit(loss)(x, t, weight=w), expected)
    total = lambda z, t, w: jax.numpy.sum(loss(z, t, weight=w))  # noqa: E731
    close(jax.grad(total)(x, t, w), slopes)
    close(jax.jit(jax.grad(total))(x, t, w), slopes)
    value, gradient = jax.jit(loss.value_and_grad)(x, t, weight=w)
    close(value, expected)
    close(gradient, slopes)
    value, pull = jax.vjp(lambda z: loss(z, t, weight=w), x)
    cotangent = jax.numpy.cos(jax.numpy.arange(value.size, dtype=value.dtype)).reshape(value.shape)
    close(pull(cotangent)[0], loss.value_and_grad(x, t, weight=w, cotangent=cotangent)[1])


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_forward_mode(jax: ModuleType, loss: Loss) -> None:
    x, t, _ = arrays(jax, loss)
    direction = jax.numpy.sin(jax.numpy.arange(x.size, dtype=x.dtype)).reshape(x.shape)
    value, tangent = jax.jvp(lambda z: loss(z, t), (x,), (direction,))
    step = 1e-6
    up, down = (np.asarray(loss(x + s * step * direction, t)) for s in (1, -1))
    close(value, loss(x, t))
    close(tangent, (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_vmap(jax: ModuleType, loss: Loss) -> None:
    rng = np.random.default_rng(4)
    xs = jax.numpy.asarray(rng.normal(size=(3, 2, 3, 5)))
    ts = jax.numpy.asarray(rng.integers(0, 3, (3, 2, 5)))
    expected = [loss.value_and_grad(x, t) for x, t in zip(xs, ts, strict=True)]
    close(jax.vmap(loss)(xs, ts), np.stack([v for v, _ in expected]))
    total = jax.grad(lambda z, t: jax.numpy.sum(loss(z, t)))
    close(jax.vmap(total)(xs, ts), np.stack([g for _, g in expected]), rtol=1e-11)
    close(jax.jit(jax.vmap(loss, in_axes=(0, None)))(xs, ts[0])[0], expected[0][0])
    close(jax.vmap(loss.value_and_grad)(xs, ts)[1], np.stack([g for _, g in expected]), rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss",
    [
        DiceLoss("multiclass"),
        TverskyLoss("multilabel", beta=0.8, gamma=0.75, overlap="squared"),
        CrossEntropyLoss("multiclass", label_smoothing=0.1),
        FocalLoss("multilabel", gamma=1.5) + JaccardLoss("multiclass"),
    ],
    ids=repr,
)
def test_second_order(jax: ModuleType, loss: Loss) -> None:
    """Forward over reverse, reverse over reverse and differences agree."""
    rng = np.random.default_rng(5)
    x = jax.numpy.asarray(rng.normal(size=(1, 3, 2)))
    t = jax.numpy.asarray(rng.integers(0, 3, (1, 2)))
    gradient = jax.grad(loss)
    hessian = np.asarray(jax.hessian(loss)(x, t)).reshape(6, 6)
    close(hessian, hessian.T, rtol=1e-10, atol=1e-14)
    close(np.asarray(jax.jacrev(gradient)(x, t)).reshape(6, 6), hessian, rtol=1e-10, atol=1e-14)
    close(np.asarray(jax.jacfwd(gradient)(x, t)).reshape(6, 6), hessian, rtol=1e-10, atol=1e-14)
    rows = []
    for index in range(6):
        step = np.zeros((1, 3, 2))
        step.flat[index] = 1e-5
        rows.append((gradient(x + step, t) - gradient(x - step, t)).reshape(6) / 2e-5)
    close(hessian, np.stack(rows), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0, False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_second_order_at_zero(
    jax: ModuleType, gamma: float, smoothing: float, target: float
) -> None:
    """Where abs() and the maximum have no derivative; of both sides there it is the same."""
    loss = FocalLoss("binary", gamma=gamma, label_smoothing=smoothing)
    t, zero = jax.numpy.full((1, 1), target), jax.numpy.zeros((1, 1))
    found = jax.hessian(lambda z: loss(z, t))(zero)
    close(found.reshape(()), SECOND_AT_ZERO[gamma], rtol=1e-12)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
@pytest.mark.parametrize(("dtype", "logit"), [("float32", 60.0), ("float64", 500.0)])
def test_second_order_of_hopeless_entries(
    jax: ModuleType, dtype: str, logit: float, gamma: float
) -> None:
    """The loss is a straight line there, and flat at certain ones."""
    z = jax.numpy.asarray([[-logit, logit]], dtype=dtype)
    loss, t = FocalLoss("binary", gamma=gamma, reduction="sum"), jax.numpy.asarray([[1, 1]])
    close(jax.grad(lambda x: loss(x, t))(z), [[-1, 0]], atol=1e-12)
    close(jax.hessian(lambda x: loss(x, t))(z).reshape(2, 2), np.zeros((2, 2)), atol=1e-12)


def test_jacobians_of_terms(jax: ModuleType) -> None:
    rng = np.random.default_rng(6)
    loss = JaccardLoss("multiclass", reduction="none", per_image=True)
    x = jax.numpy.asarray(rng.normal(size=(2, 3, 2)))
    t = jax.numpy.asarray(rng.integers(0, 3, (2, 2)))
    forward, reverse = (j(lambda z: loss(z, t))(x) for j in (jax.jacfwd, jax.jacrev))
    close(forward, reverse, rtol=1e-11)
    assert forward.shape == (2, 3, 2, 3, 2)
    close(np.sum(np.asarray(reverse), axis=(0, 1)), loss.value_and_grad(x, t)[1], rtol=1e-11)


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_no_tracer_leaks(jax: ModuleType, loss: Loss) -> None:
    x, t, _ = arrays(jax, loss)
    jax.clear_caches()
    with jax.checking_leaks():
        jax.jit(jax.grad(lambda z: jax.numpy.sum(loss(z, t))))(x)
        jax.jit(loss)(x, t)
        jax.vmap(loss)(x[None], t[None])
    assert not isinstance(loss(x, t), jax.core.Tracer)


@pytest.mark.parametrize("loss", FEW[:2], ids=repr)
def test_compiles_once_per_shape(
    jax: ModuleType, loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xploss.engine import Problem

    x, t, _ = arrays(jax, loss)
    jax.clear_caches()
    traces = 0
    measure = Problem.measure

    def counting(self: Problem, **options: Any) -> Any:
        nonlocal traces
        traces += 1
        return measure(self, **options)

    monkeypatch.setattr(Problem, "measure", counting)
    for call in (loss, loss.value_and_grad, loss.statistics):
        call(x, t)
        before = traces
        for _ in range(3):
            call(x + 1, t)
        # an equal loss, built anew, is the same to the cache
        getattr(eval(repr(loss)), getattr(call, "__name__", "__call__"))(x, t)
        assert traces == before


@pytest.mark.parametrize("name", ["target", "weight"])
def test_target_and_weight_take_no_gradient(jax: ModuleType, name: str) -> None:
    loss = DiceLoss("multilabel")
    rng = np.random.default_rng(7)
    x, t, w = (jax.numpy.asarray(rng.random(s)) for s in ((2, 3, 4), (2, 3, 4), (2, 4)))
    index = {"target": 1, "weight": 2}[name]
    message = f"{name} requires a gradient; gradients flow to pred only; pass jax.lax.stop_grad"
    with pytest.raises(TypeError, match=message):
        jax.grad(lambda *a: loss(a[0], a[1], weight=a[2]), argnums=index)(x, t, w)
    with pytest.raises(TypeError, match=message):
        jax.jit(jax.grad(lambda *a: loss(a[0], a[1], weight=a[2]), argnums=(0, index)))(x, t, w)
    stopped = jax.grad(lambda z, u: loss(z, jax.lax.stop_gradient(u)), argnums=(0, 1))(x, t)
    close(stopped[0], loss.value_and_grad(x, t)[1])
    assert not np.asarray(stopped[1]).any()


def test_static_checks_hold_under_jit(jax: ModuleType) -> None:
    loss = DiceLoss("multiclass")
    z = jax.numpy.zeros((2, 3, 4))
    with pytest.raises(ValueError, match=r"target has shape \(2, 5\)"):
        jax.jit(loss)(z, jax.numpy.zeros((2, 5), dtype=int))
    with pytest.raises(TypeError, match="pred has dtype"):
        jax.jit(loss)(z.astype(int), jax.numpy.zeros((2, 4), dtype=int))
    with pytest.raises(ValueError, match="empty batch"):
        jax.jit(loss)(z[:0], jax.numpy.zeros((0, 4), dtype=int))
    # values are not looked at: an unknown label is no class
    labels = jax.numpy.asarray([[0, 1, 2, 9]] * 2)
    with pytest.raises(ValueError, match="label 9"):
        loss(z, labels)
    assert np.isfinite(jax.jit(loss)(z, labels))


def test_numpy_target_is_refused(jax: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"target is a numpy.ndarray and pred a jax"):
        DiceLoss("multiclass")(jax.numpy.zeros((2, 3, 4)), np.zeros((2, 4), dtype=int))


def test_statistics_are_a_pytree(jax: ModuleType) -> None:
    loss = FEW[-1]
    x, t, _ = arrays(jax, loss)
    whole = loss.statistics(x, t)
    leaves, shape = jax.tree.flatten(whole)
    assert len(leaves) == len(whole.arrays)
    assert jax.tree.unflatten(shape, leaves).loss == loss
    doubled = jax.tree.map(lambda a: 2 * a, whole)
    close(loss.from_statistics(doubled), loss.from_statistics(whole + whole))

    @jax.jit
    def through(z: Any, t: Any) -> Any:
        return loss.statistics(z, t)

    close(jax.jit(loss.from_statistics)(through(x, t)), loss(x, t))
    scanned, _ = jax.lax.scan(
        lambda held, z: (held + loss.statistics(z[None], t[:1]), None),
        jax.tree.map(jax.numpy.zeros_like, whole),
        x,
    )
    close(loss.from_statistics(scanned), loss(x, jax.numpy.stack([t[0], t[0]])))


def test_the_exact_loss_of_shards(jax: ModuleType) -> None:
    """psum of the statistics within a mapped axis gives value and gradient of the whole."""
    loss = FEW[-1]
    x, t, _ = arrays(jax, loss)

    def shard(z: Any, labels: Any) -> Any:
        own = loss.statistics(z[None], labels[None])
        whole = own.map(lambda a: jax.lax.psum(a, "devices"))
        return loss.value_and_grad(z[None], labels[None], statistics=whole)

    values, gradients = jax.vmap(shard, axis_name="devices")(x, t)
    expected, slopes = loss.value_and_grad(x, t)
    close(values, np.full(2, np.asarray(expected)))
    close(gradients[:, 0], slopes, rtol=1e-11)


@pytest.mark.parametrize("loss", [FEW[0], FEW[-1], LovaszLoss("multiclass")], ids=str)
def test_arrays_spread_over_an_explicit_mesh(jax: ModuleType, loss: Loss) -> None:
    sharding = jax.sharding
    mesh = jax.make_mesh((1,), ("d",), axis_types=(sharding.AxisType.Explicit,))
    spread = sharding.NamedSharding(mesh, sharding.PartitionSpec("d"))
    x, t, _ = arrays(jax, loss)
    z, labels = jax.device_put(x, spread), jax.device_put(t, spread)
    value, gradient = loss.value_and_grad(x, t)
    with jax.set_mesh(mesh):
        for found in (loss(z, labels), jax.jit(loss)(z, labels)):
            close(found, value)
            assert "d" not in jax.typeof(found).sharding.spec
        for found in (
            loss.value_and_grad(z, labels)[1],
            jax.jit(jax.grad(loss))(z, labels),
            loss.value_and_grad(z, labels, statistics=loss.statistics(z, labels))[1],
        ):
            close(found, gradient)
            assert jax.typeof(found).sharding.spec[0] == "d"
        close(loss.from_statistics(loss.statistics(z, labels)), value)


def test_arguments_beside_an_explicit_mesh(jax: ModuleType) -> None:
    """They are refused as without one, and may be elsewhere where a compiler brings them."""
    sharding, loss = jax.sharding, FEW[0]
    mesh = jax.make_mesh((1,), ("d",), axis_types=(sharding.AxisType.Explicit,))
    spread = sharding.NamedSharding(mesh, sharding.PartitionSpec("d"))
    x, t, _ = arrays(jax, loss)
    z, labels = jax.device_put(x, spread), jax.device_put(t, spread)
    for target, kind in ((np.asarray(t), "numpy.ndarray"), ("labels", "str")):
        for call in (loss, loss.value_and_grad, loss.statistics):
            with pytest.raises(TypeError, match=f"target is a {kind} and pred a jax.Array"):
                call(z, target)
    with pytest.raises(TypeError, match=r"cotangent is 2\.0; expected an array"):
        loss.value_and_grad(z, labels, cotangent=2.0)
    expected = loss.value_and_grad(x, t)
    found = jax.jit(loss.value_and_grad)(np.asarray(x), labels)
    for a, b in zip(found, expected, strict=True):
        close(a, b)


@pytest.mark.parametrize("gamma", [0.5, 1.5, 2.0])
@pytest.mark.parametrize("mode", ["binary", "multiclass"])
def test_second_order_of_saturated_pixels(x32: ModuleType, mode: Any, gamma: float) -> None:
    jnp, loss = x32.numpy, FocalLoss(mode, gamma=gamma, reduction="sum")
    margins = np.asarray([-1e4, -110, -68, -50, -44, 44, 50, 68, 110, 1e4], np.float32)
    zero = np.zeros_like(margins)
    z = margins[None] if mode == "binary" else np.stack((zero, margins, margins / 2))[None]
    found = x32.hessian(loss)(jnp.asarray(z), jnp.zeros((1, len(margins)), "int32"))
    assert np.isfinite(np.asarray(found)).all()
    assert np.abs(np.asarray(found)).max() < 50


def test_second_order_of_a_wrong_pixel_keeps_its_digits(x32: ModuleType) -> None:
    """p·(1 − p) at a logit of 20, where p in float32 is 1."""
    z, t = x32.numpy.full((1, 1), 20.0), x32.numpy.zeros((1, 1), "int32")
    found = x32.hessian(CrossEntropyLoss("binary"))(z, t)
    assert float(found.ravel()[0]) == pytest.approx(2.0611536e-09, rel=1e-5)


SPREAD = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from xploss import CrossEntropyLoss, DiceLoss
loss = DiceLoss("multiclass") + CrossEntropyLoss("multiclass")
rng = np.random.default_rng(0)
x, t = rng.normal(size=(4, 3, 5, 6)).astype(np.float32), rng.integers(0, 3, (4, 5, 6))
expected, slopes = loss.value_and_grad(x, t)
for kind in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((2,), ("d",), axis_types=(kind,))
    z = jax.device_put(x, NamedSharding(mesh, P("d")))
    for spec in (P("d"), P("d", None, None), P()):
        labels = jax.device_put(t, NamedSharding(mesh, spec))
        found, gradient = loss.value_and_grad(z, labels)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-8)
        np.testing.assert_allclose(jax.jit(loss)(z, labels), expected, rtol=1e-6)
        assert gradient.sharding.is_equivalent_to(z.sharding, 4), gradient.sharding
# what was put on no device goes where pred is, and not the other way
there = jax.devices()[1]
found, gradient = loss.value_and_grad(jax.device_put(x, there), jax.numpy.asarray(t))
assert gradient.devices() == {there}
try:
    loss(jax.numpy.asarray(x), jax.device_put(t, there))
except ValueError as error:
    assert "expected one device" in str(error)
else:
    raise AssertionError
"""


def test_arrays_spread_over_two_devices(jax: ModuleType) -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", SPREAD], check=True, env={**os.environ, **flags})


def test_within_a_scan_and_a_checkpoint(jax: ModuleType) -> None:
    loss = FEW[-1]
    x, t, _ = arrays(jax, loss)

    def descend(z: Any, _: Any) -> Any:
        value, gradient = jax.value_and_grad(jax.checkpoint(loss))(z, t)
        return z - gradient, value

    _, values = jax.lax.scan(descend, x, None, length=5)
    assert (np.diff(np.asarray(values)) < 0).all()


def test_data_on_a_chosen_device(jax: ModuleType) -> None:
    device = jax.devices("cpu")[0]
    x, t, _ = arrays(jax, FEW[0])
    value, gradient = FEW[0].value_and_grad(jax.device_put(x, device), jax.device_put(t, device))
    assert value.device == gradient.device == device


def test_both_bit_widths_in_one_process(jax: ModuleType) -> None:
    """A loss compiled with 64 bits is not reused without, and the other way round."""
    loss = DiceLoss("multiclass")
    pred, labels = np.random.default_rng(8).normal(size=(1, 3, 6)), np.zeros((1, 6), dtype=int)
    for bits in (True, False, True):
        with jax.enable_x64(bits):
            value = loss(jax.numpy.asarray(pred), jax.numpy.asarray(labels))
            assert value.dtype == (np.float64 if bits else np.float32)


def test_sums_of_float32_do_not_drift(x32: ModuleType) -> None:
    """XLA adds one by one, and a sorted row worst of all."""
    rng = np.random.default_rng(2)
    z, t = rng.normal(size=(2, 5, 160, 160)), rng.integers(0, 5, (2, 160, 160))
    for loss in (
        LovaszLoss("multiclass", method="sort", reduction="none"),
        LovaszLoss("multiclass", reduction="none"),
        DiceLoss("multiclass", reduction="none"),
    ):
        exact = loss.value_and_grad(z.astype(np.float32).astype(np.float64), t)[0]
        close(loss(x32.numpy.asarray(z), x32.numpy.asarray(t)), exact, rtol=4e-7)


@pytest.mark.parametrize("method", ["sort", "histogram"])
def test_an_infinite_error_in_float32(x32: ModuleType, method: Any) -> None:
    rng = np.random.default_rng(3)
    z, t = rng.normal(size=(1, 150, 150)), rng.integers(0, 2, (1, 150, 150))
    t[0, 5, 5] = 0
    loss = LovaszLoss("binary", method=method)
    found = []
    for worst in (1e6, np.inf):
        z[0, 5, 5] = worst
        found.append(loss.value_and_grad(x32.numpy.asarray(z), x32.numpy.asarray(t)))
    assert np.isposinf(np.asarray(found[1][0]))
    close(found[1][1], found[0][1], rtol=1e-2)


@pytest.mark.parametrize("loss", FEW[:1] + FEW[-1:], ids=repr)
def test_sums_in_rows_can_be_transformed(x32: ModuleType, loss: Loss) -> None:
    """From 128 pixels on float32 is added in rows, which every transformation has to pass."""
    jnp, rng = x32.numpy, np.random.default_rng(4)
    z, v = (jnp.asarray(rng.normal(size=(2, 3, 12, 13))) for _ in range(2))
    t = jnp.asarray(rng.integers(0, 3, (2, 12, 13)))
    slope = x32.grad(lambda x: loss(x, t))
    forward = x32.jvp(slope, (z,), (v,))[1]
    reverse = x32.grad(lambda x: jnp.vdot(slope(x), v))(z)
    close(forward, reverse, rtol=1e-3, atol=1e-6 * float(abs(forward).max()))
    many = x32.vmap(loss, in_axes=(0, None))(jnp.stack([z, 2 * z]), t)
    close(many, [loss(z, t), loss(2 * z, t)], rtol=1e-5)


@pytest.mark.parametrize(("mode", "classes"), [("binary", 1), ("multiclass", 8)])
@pytest.mark.parametrize("target", ["int32", "float32"])
@pytest.mark.parametrize("kinds", ["dice", "cross-entropy", "focal", "both"])
def test_no_array_is_copied(
    jax: ModuleType, mode: Mode, classes: int, target: str, kinds: str
) -> None:
    """Under jit, value and gradient take tiles beside the arrays, and no whole array."""
    both = DiceLoss(mode) + CrossEntropyLoss(mode)
    losses: dict[str, Loss] = {"focal": FocalLoss(mode), "cross-entropy": CrossEntropyLoss(mode)}
    loss = losses.get(kinds, both if kinds == "both" else DiceLoss(mode))
    jnp, shape = jax.numpy, (16, classes, 512, 512 // classes)
    x = jnp.zeros(shape, jnp.float32)
    labels = mode == "multiclass" and target == "int32"
    t = jnp.zeros((16, *shape[2:]) if labels else shape, target)
    taken = jax.jit(loss.value_and_grad).lower(x, t).compile().memory_analysis()
    assert taken.temp_size_in_bytes < x.nbytes / 5


def test_small_tiles_beside_a_large_one(x32: ModuleType) -> None:
    """Of which none is as much as half a unit in the last place of the sum, but all are more."""
    pixels, tiles = 1 << 22, 32
    weight = np.full((1, pixels), 0.49 * 2.0**-6 * tiles / pixels, np.float32)
    weight[0, : pixels // tiles] = 1.0
    z = x32.numpy.zeros((1, pixels), np.float32)
    statistics = DiceLoss("binary").statistics(z, z, weight=x32.numpy.asarray(weight))
    size = np.asarray(statistics.arrays[-1], np.float64)
    close(size.item(), weight.sum(dtype=np.float64), rtol=3e-7)


def test_arrays_at_hand_within_a_trace(jax: ModuleType) -> None:
    """They are no arguments of it, and are looked at as anywhere."""
    loss = DiceLoss("multiclass")
    z, t = jax.numpy.ones((2, 4, 8, 8)), jax.numpy.zeros((2, 8, 8), int)
    value, gradient = loss.value_and_grad(z, t)
    close(jax.jit(jax.grad(lambda a: a * loss(z, t)))(2.0), value)
    close(jax.lax.cond(True, lambda: loss(z, t), lambda: 0.0 * value), value)
    close(jax.jit(lambda: loss.value_and_grad(z, t)[1])(), gradient)
    close(jax.jit(lambda: loss.from_statistics(loss.statistics(z, t)))(), value)
    assert jax.eval_shape(lambda: loss(z, t)).shape == ()
    wrong = t + 9
    with pytest.raises(ValueError, match="target has label 9"):
        jax.jit(lambda a: a * loss(z, wrong))(2.0)


def test_floats_to_store_are_refused(jax: ModuleType) -> None:
    z, t = jax.numpy.ones((2, 4, 8)), jax.numpy.zeros((2, 8), int)
    with pytest.raises(TypeError, match="pred has dtype float8_e4m3fn; expected a floating dtype"):
        jax.grad(DiceLoss("multiclass"))(z.astype(jax.numpy.float8_e4m3fn), t)


def test_logits_are_not_copied_to_be_checked(
    jax: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xploss.adapters.jax import BACKEND

    z, t = jax.numpy.ones((2, 4, 8)), jax.numpy.zeros((2, 8), int)
    value = DiceLoss("multiclass")(z, t)
    monkeypatch.setattr(BACKEND, "reshape", _refuse_copies(z.size, BACKEND.reshape))
    close(DiceLoss("multiclass")(z, t), value)
    with pytest.raises(AssertionError):
        DiceLoss("multiclass", from_logits=False)(z, t)


def _refuse_copies(size: int, reshape: Any) -> Any:
    def reshaped(x: Any, shape: Any) -> Any:
        assert x.size < size
        return reshape(x, shape)

    return reshaped


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("kind", [CrossEntropyLoss, FocalLoss, DiceLoss, LovaszLoss])
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_what_is_returned_lies_in_order(
    x32: ModuleType, kind: Any, axis: int, reduction: Any
) -> None:
    """NumPy sees how an array of JAX lies in memory; JAX itself goes by what it was promised."""
    rng, shape = np.random.default_rng(0), (2, 4, 4, 4)
    z, t = rng.normal(size=shape).astype(np.float32), rng.integers(0, 4, (2, 4, 4))
    loss: Loss = kind("multiclass", class_axis=axis, reduction=reduction)
    x, y = x32.numpy.asarray(z), x32.numpy.asarray(t)
    expected, gradient = loss.value_and_grad(z, t)

    def total(x: Any) -> Any:
        return x32.numpy.sum(loss(x, y))

    value, found = loss.value_and_grad(x, y)
    calls = [(value, expected), (found, gradient), (loss(x, y), expected)]
    calls += [(x32.grad(total)(x), gradient), (x32.jit(x32.grad(total))(x), gradient)]
    calls += [(x32.vjp(total, x)[1](1.0)[0], gradient)]
    for array, right in calls:
        close(x32.numpy.copy(array), right, rtol=1e-3, atol=1e-6)
