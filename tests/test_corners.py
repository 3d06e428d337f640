"""What is seldom asked for: histograms with weights, cotangents of some classes, odd settings."""

import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import xploss
from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, LovaszLoss
from xploss._xp import namespace
from xploss.activations import Softmax
from xploss.backend import Backend
from xploss.lazy import lazy
from xploss.threads import Workers, default_count

from .libraries import Library

RNG = np.random.default_rng(5)


def both(xp: Library, loss: Any, z: Any, t: Any, **given: Any) -> tuple[np.ndarray, np.ndarray]:
    arrays = {name: xp.asarray(x) for name, x in given.items()}
    value, gradient = loss.value_and_grad(xp.asarray(z), xp.asarray(t), **arrays)
    return xp.to_numpy(value), xp.to_numpy(gradient)


MANY = (1 << 14) + 1
"""Pixels of a class from which the Lovász loss takes histograms."""


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
def test_a_weight_of_two_is_a_pixel_twice_in_a_histogram(xp: Library, mode: Any) -> None:
    z, t = RNG.normal(size=(1, 2, MANY)), RNG.integers(0, 2, (1, MANY))
    z = z[:, 0] if mode == "binary" else z
    loss = LovaszLoss(mode, method="histogram")
    value, slopes = both(xp, loss, z, t, weight=np.full(t.shape, 2.0))
    double, twice = both(xp, loss, np.concatenate([z, z], axis=-1), np.concatenate([t, t], axis=-1))
    np.testing.assert_allclose(value, double, rtol=1e-6)
    np.testing.assert_allclose(slopes, twice[..., :MANY] + twice[..., MANY:], rtol=1e-3, atol=1e-9)


def test_histograms_of_samples_are_those_of_each(xp: Library) -> None:
    z, t = RNG.normal(size=(2, 2, MANY)), RNG.integers(0, 2, (2, MANY))
    loss = LovaszLoss("multiclass", per_image=True, method="histogram", reduction="none")
    found, gradient = both(xp, loss, z, t)
    for n in range(2):
        value, slopes = both(xp, loss, z[n : n + 1], t[n : n + 1])
        np.testing.assert_allclose(found[n], value[0], rtol=1e-12)
        np.testing.assert_allclose(gradient[n], slopes[0], rtol=1e-10, atol=1e-15)


def test_the_cotangent_of_counted_classes_reaches_them_only(xp: Library) -> None:
    z, t = RNG.normal(size=(2, 3, 7)), RNG.integers(0, 2, (2, 3, 7))
    given, whole = RNG.random((2, 2, 7)), np.zeros((2, 3, 7))
    whole[:, 2], whole[:, 0] = given[:, 0], given[:, 1]
    some = FocalLoss("multilabel", classes=(2, 0), reduction="none")
    expected = both(xp, FocalLoss("multilabel", reduction="none"), z, t, cotangent=whole)[1]
    found = both(xp, some, z, t, cotangent=given)[1]
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-16)


def test_a_weight_per_class_scales_the_terms_of_labels(xp: Library) -> None:
    z, t, w = RNG.normal(size=(2, 3, 7)), RNG.integers(0, 3, (2, 7)), RNG.random((2, 3, 7))
    loss = CrossEntropyLoss("multiclass", reduction="none")
    plain = both(xp, loss, z, t)[0]
    at_label = np.take_along_axis(w, t[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(both(xp, loss, z, t, weight=w)[0], at_label * plain, rtol=1e-13)


def test_bool_targets_need_no_look(xp: Library) -> None:
    z, t = RNG.normal(size=(2, 3, 7)), RNG.integers(0, 2, (2, 3, 7))
    loss = DiceLoss("multilabel")
    with xploss.checks("always"):
        found = both(xp, loss, z, t.astype(bool))
    for a, b in zip(found, both(xp, loss, z, t), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_statistics_of_another_library_are_refused(xp: Library) -> None:
    if xp.name == "numpy":
        pytest.skip("NumPy is the other library")
    z, t, loss = RNG.normal(size=(2, 7)), RNG.integers(0, 2, (2, 7)), DiceLoss("binary")
    with pytest.raises(TypeError, match=r"statistics hold a ndarray and pred is a .*; expected"):
        loss.value_and_grad(xp.asarray(z), xp.asarray(t), statistics=loss.statistics(z, t))


def test_statistics_of_two_dtypes_are_not_added(xp: Library) -> None:
    z, t, loss = RNG.normal(size=(2, 7)), xp.asarray(RNG.integers(0, 2, (2, 7))), DiceLoss("binary")
    single, double = (loss.statistics(xp.asarray(z, d), t) for d in ("float32", "float64"))
    with pytest.raises(TypeError, match="statistics of dtypes"):
        single + double


def test_no_class_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="class_weights is empty; expected one number per"):
        DiceLoss("multiclass", class_weights=())


def test_the_threads_are_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPLOSS_NUM_THREADS", "3")
    assert default_count() == 3
    for wrong in ("0", "-1", "two"):
        monkeypatch.setenv("XPLOSS_NUM_THREADS", wrong)
        with pytest.raises(ValueError, match=f"XPLOSS_NUM_THREADS is '{wrong}'; expected a whole"):
            default_count()
    monkeypatch.setenv("XPLOSS_NUM_THREADS", "")
    assert default_count() >= 1


def test_workers_start_anew_after_a_fork() -> None:
    workers = Workers()
    for _ in range(2):
        assert workers.map(abs, [-1, 2, -3], 2) == [1, 2, 3]
        workers._forget()


def test_kernels_that_only_some_adapters_call() -> None:
    """By the standard alone, whether something is kept or not."""
    z = np.linspace(-30.0, 30.0, 13)[None, None, :]
    backend = Backend(namespace(z))
    p, kept = backend.sigmoid(z)
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-z)), rtol=1e-14)
    pulled = backend.sigmoid_pull(z, np.ones_like(z), kept)
    np.testing.assert_allclose(pulled, 0.25 / np.cosh(z / 2) ** 2, rtol=1e-14)
    for given in (kept, None):
        cost, exponential = backend.cost_of_margin(z, backend.bent(given))
        np.testing.assert_allclose(cost, np.logaddexp(0, -z), rtol=1e-14)
        for known in (exponential, None):
            np.testing.assert_allclose(backend.miss(z, known), 1 / (1 + np.exp(z)), rtol=1e-14)
    with pytest.raises(AttributeError, match="Softmax has no log_q"):
        Softmax(backend, z).log_q  # noqa: B018


def test_underflow_is_no_error() -> None:
    """Nor where the caller has NumPy raise every error."""
    z, t = np.linspace(-900.0, 900.0, 12).reshape(1, 3, 4), np.zeros((1, 4), dtype=np.int64)
    loss = DiceLoss("multiclass") + CrossEntropyLoss("multiclass")
    with np.errstate(all="raise"):
        value, gradient = loss.value_and_grad(z, t)
        assert loss(z, t) == value == loss.from_statistics(loss.statistics(z, t))
    assert np.all(np.isfinite(gradient))
    few = (200 * np.random.default_rng(1).normal(size=(1, 3, 12))).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 3, (1, 12))
    lovasz = LovaszLoss("multiclass")
    with np.errstate(all="raise"):
        assert np.isfinite(lovasz.from_statistics(lovasz.statistics(few, labels)))


def test_the_calling_thread_works_too_unless_threads_are_set_up() -> None:
    together = threading.Barrier(2)

    def who(_: int) -> int:
        together.wait(10)
        return threading.get_ident()

    alone = Workers(lambda: None)
    for workers, joins in ((Workers(), True), (alone, False)):
        found = set(workers.map(who, range(2), 2))
        assert len(found) == 2
        assert (threading.get_ident() in found) == joins


def test_threads_work_in_the_context_of_the_caller() -> None:
    """So that errors are handled alike in all tiles."""
    together = threading.Barrier(2)

    def state(_: int) -> str:
        together.wait(10)
        return np.geterr()["over"]

    with np.errstate(over="print"):
        assert Workers().map(state, range(2), 2) == ["print", "print"]


def test_threads_that_others_keep_busy_are_not_waited_for() -> None:
    workers, busy, done = Workers(), threading.Barrier(3), threading.Event()

    def work(_: int) -> bool:
        busy.wait(10)
        return done.wait(10)

    other = threading.Thread(target=workers.map, args=(work, range(2), 2))
    other.start()
    busy.wait(10)
    assert workers.map(abs, range(-5, 0), 2) == [5, 4, 3, 2, 1]
    with pytest.raises(TypeError):
        workers.map(abs, "abc", 2)
    assert not done.is_set()
    assert other.is_alive()
    done.set()
    other.join()


def test_an_error_ends_the_walk() -> None:
    """Whatever the threads, nobody takes another item."""
    seen: list[int] = []
    wait = threading.Event()

    def work(item: int) -> None:
        seen.append(item)
        if item == 0:
            wait.set()
            raise ZeroDivisionError
        wait.wait(10)
        # until the others have been told
        threading.Event().wait(0.2)

    with pytest.raises(ZeroDivisionError):
        Workers().map(work, range(50), 2)
    assert len(seen) < 5


def test_a_thread_that_cannot_be_set_up_is_not_waited_for() -> None:
    turns = iter([None, ZeroDivisionError])

    def fail_once() -> None:
        error = next(turns, None)
        if error is not None:
            raise error

    with pytest.raises(ZeroDivisionError):
        Workers(fail_once).map(abs, [-1, 2], 2)


def test_without_threads_the_caller_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def start_once(thread: threading.Thread) -> None:
        if not next(turns, False):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_once)
    for set_up in (None, lambda: None):
        turns = iter([True])
        assert Workers(set_up).map(abs, [-1, 2, -3], 4) == [1, 2, 3]


def test_threads_that_cannot_become_more_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    workers, start, fails = Workers(lambda: None), threading.Thread.start, False

    def start_or_fail(thread: threading.Thread) -> None:
        if fails:
            raise RuntimeError("can't start new thread")
        start(thread)

    def name(_: int) -> str:
        return threading.current_thread().name

    monkeypatch.setattr(threading.Thread, "start", start_or_fail)
    workers.map(name, range(4), 2)
    fails = True
    for count in (3, 2):
        assert all(found.startswith("xploss") for found in workers.map(name, range(4), count))


def test_errors_of_a_set_up_are_seen() -> None:
    def fail() -> None:
        raise RuntimeError("of the library's own")

    with pytest.raises(RuntimeError, match="of the library's own"):
        Workers(fail).map(abs, [-1, 2], 2)


AFTERWARDS = """
import threading
import numpy as np
from xploss import DiceLoss
z, t = np.ones((2, 4, 512, 512), "f4"), np.zeros((2, 512, 512), int)
{before}
def late():
    threading.main_thread().join()
    print(float(DiceLoss("multiclass")(z, t)))
threading.Thread(target=late).start()
"""


@pytest.mark.parametrize("before", ["", "DiceLoss('multiclass')(z, t)"])
def test_a_loss_after_the_main_thread_has_ended(before: str) -> None:
    script = AFTERWARDS.format(before=before)
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not found.stderr
    assert float(found.stdout) == pytest.approx(0.9)


def test_threads_of_a_smaller_number_are_those_of_a_larger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers, start, started = Workers(), threading.Thread.start, []
    monkeypatch.setattr(threading.Thread, "start", lambda t: (started.append(t), start(t)))
    for count in (2, 3, 4, 3, 2, 4):
        assert workers.map(abs, range(-8, 0), count) == list(range(8, 0, -1))
    # the caller works too
    assert len(started) == 1 + 2 + 3


def test_a_region_loss_has_no_map() -> None:
    with pytest.raises(TypeError, match="DiceLoss is not a sum over pixels"):
        DiceLoss("binary").map(*[None] * 3)  # type: ignore[arg-type]


def test_a_lazy_attribute_of_a_class_is_its_descriptor() -> None:
    class Holder:
        @lazy
        def five(self) -> int:
            return 5

    assert isinstance(Holder.five, lazy)
    assert Holder().five == 5


def test_a_class_axis_beyond_the_axes_of_a_binary_prediction(xp: Library) -> None:
    z, t = RNG.normal(size=(2, 7)), RNG.integers(0, 2, (2, 7))
    found, expected = (both(xp, DiceLoss("binary", class_axis=axis), z, t) for axis in (3, 1))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_of_ones_own_needs_no_docstring() -> None:
    class Own(DiceLoss):
        pass

    Own.__doc__ = None
    assert type("Plain", (Own,), {}).__doc__ is None


def test_a_weight_per_class_that_is_one_for_all_is_a_weight_per_pixel(xp: Library) -> None:
    """Also for a loss without logarithms, whose slopes are by the probabilities alone."""
    rng = np.random.default_rng(11)
    z, t = xp.asarray(rng.normal(size=(2, 3, 5, 4))), xp.asarray(rng.integers(0, 3, (2, 5, 4)))
    weight = rng.random((2, 1, 5, 4))
    loss = DiceLoss("multiclass")
    wide = xp.asarray(np.broadcast_to(weight, (2, 3, 5, 4)).copy())
    value, gradient = loss.value_and_grad(z, t, weight=wide)
    expected = loss.value_and_grad(z, t, weight=xp.asarray(weight))
    assert abs(float(value) - float(expected[0])) < 1e-12
    assert np.allclose(xp.to_numpy(gradient), xp.to_numpy(expected[1]), rtol=1e-10, atol=1e-14)
