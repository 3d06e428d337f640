import itertools
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xploss.maps import border_weight, class_weights, distance_transform

from .libraries import Library

SHAPES = [(23,), (9, 14), (1, 6), (5, 4, 6)]


def distances_to(pixels: np.ndarray, sampling: tuple[float, ...]) -> np.ndarray:
    """Distance of every pixel to the nearest of some, by a loop over all pairs."""
    found = np.full(pixels.shape, np.inf)
    for at in np.ndindex(pixels.shape):
        for to in zip(*np.nonzero(pixels), strict=True):
            steps = ((a - b) * s for a, b, s in zip(at, to, sampling, strict=True))
            found[at] = min(found[at], math.hypot(*steps))
    return found


def borders(instances: np.ndarray, w0: float, sigma: float, sampling: tuple[float, ...]) -> Any:
    """The paper's second term, from one full distance map per cell."""
    cells = [c for c in np.unique(instances) if c != 0]
    if len(cells) < 2:
        return np.zeros(instances.shape)
    maps = np.sort([distances_to(instances == c, sampling) for c in cells], axis=0)
    return w0 * np.exp(-((maps[0] + maps[1]) ** 2) / (2 * sigma**2))


def random_cells(shape: tuple[int, ...], cells: int, share: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    labels = rng.choice(rng.permutation(np.arange(1, 9 * cells + 1))[:cells], size=shape)
    return np.where(rng.random(shape) < share, labels, 0)


class TestDistanceTransform:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("share", [0.5, 0.95])
    def test_equals_brute_force(self, xp: Library, shape: tuple[int, ...], share: float) -> None:
        mask = np.random.default_rng(1).random(shape) < share
        mask.flat[-1] = False
        expected = distances_to(~mask, (1.0,) * len(shape))
        given = xp.asarray(mask)
        result = distance_transform(given)
        xp.assert_like(result, given.shape, "float32")
        assert_allclose(xp.to_numpy(result), expected, rtol=2e-7)

    def test_sampling(self, xp: Library) -> None:
        mask = np.random.default_rng(2).random((4, 5, 6)) < 0.9
        sampling = (3.0, 0.7, 1.1)
        result = distance_transform(xp.asarray(mask), sampling=sampling)
        assert_allclose(xp.to_numpy(result), distances_to(~mask, sampling), rtol=1e-6)
        single = distance_transform(xp.asarray(mask), sampling=2)
        assert_allclose(
            xp.to_numpy(single), 2 * xp.to_numpy(distance_transform(xp.asarray(mask))), rtol=1e-6
        )

    def test_equals_scipy_on_an_image(self, xp: Library) -> None:
        ndimage = pytest.importorskip("scipy.ndimage")
        mask = np.random.default_rng(3).random((90, 70)) < 0.997
        result = distance_transform(xp.asarray(mask), sampling=(1.5, 0.5))
        expected = ndimage.distance_transform_edt(mask, sampling=(1.5, 0.5))
        assert_allclose(xp.to_numpy(result), expected, rtol=1e-6)

    @pytest.mark.parametrize("axes", [(-2, -1), (2, 1), (0, 2), 1, (0, 1, 2)])
    def test_other_axes_are_samples(self, xp: Library, axes: Any) -> None:
        mask = np.random.default_rng(4).random((3, 6, 5)) < 0.8
        mask[0] = True
        sampling = (2.0, 1.0, 0.5)[: 1 if axes == 1 else len(axes)]
        measured = [axes] if axes == 1 else list(axes)
        last = list(range(-len(measured), 0))
        samples = np.moveaxis(~mask, measured, last)
        expected = np.empty(samples.shape)
        for at in np.ndindex(samples.shape[: -len(measured)]):
            expected[at] = distances_to(samples[at], sampling)
        result = distance_transform(xp.asarray(mask), axes=axes, sampling=sampling)
        assert_allclose(xp.to_numpy(result), np.moveaxis(expected, last, measured), rtol=1e-6)

    def test_no_background_is_infinitely_far(self, xp: Library) -> None:
        assert_array_equal(xp.to_numpy(distance_transform(xp.ones((3, 4), dtype=xp.bool))), np.inf)

    def test_no_foreground_is_zero(self, xp: Library) -> None:
        assert_array_equal(xp.to_numpy(distance_transform(xp.zeros((3, 4), dtype=xp.uint8))), 0)

    @pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64"])
    def test_integers_other_than_zero_are_foreground(self, xp: Library, dtype: str) -> None:
        given = xp.asarray([0, 1, 2, 3, 0], dtype)
        assert_array_equal(xp.to_numpy(distance_transform(given)), [0, 1, 2, 1, 0])

    @pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0,)])
    def test_empty(self, xp: Library, shape: tuple[int, ...]) -> None:
        given = xp.zeros(shape, dtype=xp.bool)
        xp.assert_like(distance_transform(given), shape, "float32")

    def test_lines_longer_than_a_block(self, xp: Library, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("xploss.maps._sweep._BLOCK", 200)
        monkeypatch.setattr("xploss.adapters._maps_scipy.available", lambda: False)
        mask = np.ones(61, dtype=bool)
        mask[7] = False
        assert_array_equal(
            xp.to_numpy(distance_transform(xp.asarray(mask))), abs(np.arange(61) - 7)
        )

    @pytest.mark.parametrize("shape", SHAPES)
    def test_numpy_without_scipy(
        self, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("xploss.adapters._maps_scipy.available", lambda: False)
        mask = np.random.default_rng(6).random(shape) < 0.8
        expected = distances_to(~mask, (1.0,) * len(shape))
        assert_allclose(distance_transform(mask), expected, rtol=1e-6)

    def test_the_input_stays(self, xp: Library) -> None:
        given = xp.asarray([[True, False], [True, True]])
        distance_transform(given)
        assert_array_equal(xp.to_numpy(given), [[1, 0], [1, 1]])

    def test_read_only_and_strided_numpy(self) -> None:
        mask = np.random.default_rng(5).random((6, 10)) < 0.8
        mask.flags.writeable = False
        expected = distances_to(~mask[::-1, ::2], (1.0, 1.0))
        assert_allclose(distance_transform(mask[::-1, ::2]), expected, rtol=1e-6)


class TestBorderWeight:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize(("cells", "share"), [(2, 0.1), (4, 0.3), (9, 1.0)])
    def test_equals_brute_force(
        self, xp: Library, shape: tuple[int, ...], cells: int, share: float
    ) -> None:
        instances = random_cells(shape, cells, share, seed=cells)
        given = xp.asarray(instances.astype(np.int32))
        result = border_weight(given)
        xp.assert_like(result, given.shape, "float32")
        expected = borders(instances, 10.0, 5.0, (1.0,) * len(shape))
        assert_allclose(xp.to_numpy(result), expected, rtol=3e-6, atol=1e-30)

    def test_own_width_weight_and_sampling(self, xp: Library) -> None:
        instances = random_cells((4, 6, 7), 5, 0.1, seed=7)
        given = xp.asarray(instances.astype(np.uint8))
        result = border_weight(given, 3.0, 2.5, sampling=(2.0, 0.8, 1.3))
        expected = borders(instances, 3.0, 2.5, (2.0, 0.8, 1.3))
        assert_allclose(xp.to_numpy(result), expected, rtol=3e-6)

    @pytest.mark.parametrize("block", [40, 300])
    def test_reach_cuts_nothing(
        self, xp: Library, block: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("xploss.maps._sweep._BLOCK", block)
        instances = random_cells((31, 5), 6, 0.05, seed=8)
        result = border_weight(xp.asarray(instances.astype(np.int32)), sigma=0.4)
        expected = borders(instances, 10.0, 0.4, (1.0, 1.0))
        assert np.count_nonzero(expected) > 10
        assert_allclose(xp.to_numpy(result), expected, rtol=3e-5, atol=1e-36)

    def test_between_two_cells_by_hand(self, xp: Library) -> None:
        result = border_weight(xp.asarray([7, 0, 0, 3]), w0=10.0, sigma=3.0)
        assert_allclose(xp.to_numpy(result), [10 * math.exp(-0.5)] * 4, rtol=1e-6)

    def test_touching_cells(self, xp: Library) -> None:
        result = border_weight(xp.asarray([[4, 4, 9, 9]]), w0=1.0, sigma=1.0)
        assert_allclose(
            xp.to_numpy(result), [[math.exp(-d * d / 2) for d in (2, 1, 1, 2)]], rtol=1e-6
        )

    @pytest.mark.parametrize("labels", [[[0, 0], [0, 0]], [[0, 5], [5, 0]], [[5, 5], [5, 5]]])
    def test_less_than_two_cells_have_no_border(self, xp: Library, labels: list[list[int]]) -> None:
        assert_array_equal(xp.to_numpy(border_weight(xp.asarray(labels))), 0)

    def test_a_batch_has_cells_of_its_own(self, xp: Library) -> None:
        batch = np.stack([random_cells((6, 7), n, 0.4, seed=n) for n in (1, 2, 5)])
        result = xp.to_numpy(border_weight(xp.asarray(batch.astype(np.int32)), axes=(-2, -1)))
        for image, weights in zip(batch, result, strict=True):
            assert_allclose(weights, borders(image, 10.0, 5.0, (1.0, 1.0)), rtol=3e-6)

    @pytest.mark.parametrize("values", [(-3, -1), (250, 3), (2**31 - 1, -(2**31))])
    def test_any_numbers_are_cells(self, xp: Library, values: tuple[int, int]) -> None:
        given = xp.asarray([[values[0], 0, values[1]]], "int32")
        assert_allclose(xp.to_numpy(border_weight(given)), 10 * math.exp(-4 / 50), rtol=1e-6)

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int8", "int64"])
    def test_every_integer_dtype(self, xp: Library, dtype: str) -> None:
        given = xp.asarray([[1, 0, 100]], dtype)
        assert_allclose(xp.to_numpy(border_weight(given)), 10 * math.exp(-4 / 50), rtol=1e-6)

    def test_order_of_cells_does_not_matter(self, xp: Library) -> None:
        instances = random_cells((8, 9), 6, 0.3, seed=11)
        names = np.random.default_rng(0).permutation(np.arange(1, 56))
        renamed = np.where(instances == 0, 0, names[instances - 1])
        first, second = (border_weight(xp.asarray(x)) for x in (instances, renamed))
        assert_array_equal(xp.to_numpy(first), xp.to_numpy(second))

    def test_empty(self, xp: Library) -> None:
        given = xp.zeros((0, 4, 4), dtype=xp.int32)
        xp.assert_like(border_weight(given, axes=(1, 2)), (0, 4, 4), "float32")

    def test_the_input_stays(self, xp: Library) -> None:
        given = xp.asarray([[1, 0, 2]])
        border_weight(given)
        assert_array_equal(xp.to_numpy(given), [[1, 0, 2]])


class TestCompiled:
    @pytest.mark.parametrize("function", [distance_transform, border_weight])
    def test_jax(self, jax: Any, function: Any) -> None:
        batch = np.stack([random_cells((6, 7), n, 0.3, seed=n) for n in (1, 2, 5)])
        images = jax.numpy.asarray(batch)
        expected = np.stack([function(image) for image in images])
        assert_allclose(jax.jit(jax.vmap(function))(images), expected, rtol=1e-6)
        assert_allclose(function(images, axes=(1, 2)), expected, rtol=1e-6)

    @pytest.mark.parametrize("function", [distance_transform, border_weight])
    def test_jax_in_32_bits(self, jax: Any, function: Any) -> None:
        image = random_cells((6, 7), 4, 0.3, seed=1)
        expected = function(image)
        with jax.enable_x64(False):
            assert_allclose(function(jax.numpy.asarray(image)), expected, rtol=3e-6)

    def test_jax_holds_no_more_than_a_few_images(self, jax: Any) -> None:
        image = jax.numpy.zeros((64, 64), dtype="int32")
        for function, images in ((distance_transform, 4), (border_weight, 16)):
            memory = jax.jit(function).lower(image).compile().memory_analysis()
            assert memory.temp_size_in_bytes < images * image.nbytes

    @pytest.mark.parametrize("function", [distance_transform, border_weight])
    def test_torch(self, torch: Any, function: Any) -> None:
        image = torch.from_numpy(random_cells((11, 13), 5, 0.3, seed=1))
        torch._dynamo.reset()
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
        assert_allclose(compiled(image), function(image), rtol=1e-6)

    @pytest.mark.parametrize("function", [distance_transform, border_weight])
    def test_torch_vmap(self, torch: Any, function: Any) -> None:
        batch = np.stack([random_cells((6, 7), n, 0.3, seed=n) for n in (1, 2, 5)])
        images = torch.from_numpy(batch)
        expected = torch.stack([function(image) for image in images])
        assert_array_equal(torch.func.vmap(function)(images), expected)

    @pytest.mark.parametrize("function", [distance_transform, border_weight])
    def test_torch_on_a_cpu_takes_the_way_of_numpy(self, torch: Any, function: Any) -> None:
        image = random_cells((11, 13), 5, 0.3, seed=1)
        given = torch.tensor(image)
        found = function(given)
        assert_allclose(found, function(image), rtol=1e-6)
        # which leaves the tensor to torch alone
        given.untyped_storage().resize_(1 << 12)

    @pytest.mark.parametrize("function", [distance_transform, border_weight])
    def test_fake_tensors_of_torch(self, torch: Any, function: Any) -> None:
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode(allow_non_fake_inputs=True):
            found = function(torch.zeros((5, 6), dtype=torch.int64))
        assert (tuple(found.shape), found.dtype) == ((5, 6), torch.float32)

    def test_sizes_and_axes_without_axes(self, xp: Library) -> None:
        image = xp.asarray(random_cells((5, 6), 3, 0.3, seed=1))
        found = distance_transform(image, axes=np.array(1), sampling=np.array(2.0))
        expected = distance_transform(image, axes=1, sampling=2.0)
        assert_array_equal(xp.to_numpy(found), xp.to_numpy(expected))


class TestClassWeights:
    def test_traced_labels_are_refused(self, jax: Any) -> None:
        labels = jax.numpy.zeros((2, 3), int)
        with pytest.raises(TypeError, match=r"targets\[0\] is traced; .*before compiling"):
            jax.jit(lambda t: class_weights(t, 2))(labels)

    def test_inverse_by_hand(self, xp: Library) -> None:
        targets = xp.asarray([[0, 0, 0], [0, 0, 1], [1, 3, 0]])
        # 6, 2, 0 and 1 of 9 pixels, in 3 classes
        assert class_weights(targets, 4) == pytest.approx((9 / 18, 9 / 6, 1.0, 9 / 3))

    def test_inverse_gives_the_average_pixel_weight_one(self, xp: Library) -> None:
        labels = np.random.default_rng(0).choice(5, size=(3, 8, 8), p=[0.6, 0.2, 0.1, 0.07, 0.03])
        weights = class_weights(xp.asarray(labels), 5)
        assert np.mean(np.asarray(weights)[labels]) == pytest.approx(1.0)

    def test_median_by_hand(self, xp: Library) -> None:
        # class 0: 4 of 8 pixels; class 1: 3 of 4, in the second sample only; class 2: 1 of 8
        targets = xp.asarray([[[0, 0], [0, 2]], [[1, 1], [1, 0]]])
        # class 2 occurs in the first sample only: 1 of 4
        assert class_weights(targets, 4, "median") == pytest.approx((1.0, 2 / 3, 2.0, 1.0))

    def test_effective_by_hand(self, xp: Library) -> None:
        targets = xp.asarray([[0, 0, 0, 1]])
        inverse = [(1 - 0.5) / (1 - 0.5**3), (1 - 0.5) / (1 - 0.5)]
        expected = tuple(2 * w / sum(inverse) for w in inverse)
        assert class_weights(targets, 2, "effective", beta=0.5) == pytest.approx(expected)

    def test_effective_by_default_takes_beta_from_the_number_of_pixels(self, xp: Library) -> None:
        targets = xp.asarray([[0, 0, 0, 1]])
        named = class_weights(targets, 2, "effective", beta=0.75)
        assert class_weights(targets, 2, "effective") == pytest.approx(named)

    def test_limits_of_effective(self, xp: Library) -> None:
        targets = xp.asarray([[0, 0, 0, 0, 1, 2, 2]])
        assert class_weights(targets, 3, "effective", beta=0.0) == (1.0, 1.0, 1.0)
        weights = np.asarray(class_weights(targets, 3, "effective", beta=1 - 1e-9))
        inverse = np.asarray(class_weights(targets, 3))
        assert_allclose(weights / weights[0], inverse / inverse[0], rtol=1e-6)

    def test_effective_of_a_single_pixel(self, xp: Library) -> None:
        assert class_weights(xp.asarray([1]), 2, "effective") == (1.0, 1.0)

    @pytest.mark.parametrize("scheme", ["inverse", "median", "effective"])
    def test_result_is_python_floats_and_absent_classes_are_neutral(
        self, xp: Library, scheme: Any
    ) -> None:
        weights = class_weights(xp.asarray([[0, 2, 2]], "uint8"), 5, scheme)
        assert isinstance(weights, tuple)
        assert [type(w) for w in weights] == [float] * 5
        assert weights[1] == weights[3] == weights[4] == 1.0
        assert weights[0] > weights[2] > 0

    @pytest.mark.parametrize("scheme", ["inverse", "median", "effective"])
    @pytest.mark.parametrize("label", [255, -1, 1])
    def test_an_ignored_margin_equals_a_crop(self, xp: Library, scheme: Any, label: int) -> None:
        inner = np.random.default_rng(1).choice([0, 2, 3], size=(2, 5, 4))
        padded = np.pad(inner, ((0, 0), (2, 1), (0, 3)), constant_values=label)
        whole = class_weights(xp.asarray(padded), 4, scheme, ignore_index=label)
        assert whole == class_weights(xp.asarray(inner), 4, scheme)

    @pytest.mark.parametrize("scheme", ["inverse", "median", "effective"])
    def test_batches_of_any_size_equal_the_whole(self, xp: Library, scheme: Any) -> None:
        labels = np.random.default_rng(2).choice(4, size=(6, 3, 5), p=[0.7, 0.2, 0.1, 0.0])
        parts = (xp.asarray(x) for x in (labels[:1], labels[1:4], labels[4:4], labels[4:]))
        assert class_weights(parts, 4, scheme) == class_weights(xp.asarray(labels), 4, scheme)

    def test_an_iterable_is_read_once(self, xp: Library) -> None:
        reads = itertools.count()
        loader = (xp.asarray([[0, next(reads)]]) for _ in range(2))
        assert class_weights(loader, 2) == pytest.approx((2 / 3, 2.0))
        assert next(reads) == 2

    def test_bool_labels(self, xp: Library) -> None:
        assert class_weights(xp.asarray([[True, False, False, False]]), 2) == (4 / 6, 4 / 2)

    def test_progress_bar(self, xp: Library, capsys: pytest.CaptureFixture[str]) -> None:
        pytest.importorskip("tqdm")
        batches = [xp.asarray([[0, 1]])] * 3
        assert class_weights(batches, 2, progress=True) == (1.0, 1.0)
        assert "3/3" in capsys.readouterr().err
        class_weights(batches, 2)
        assert capsys.readouterr().err == ""

    def test_progress_without_tqdm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
        with pytest.raises(ImportError, match="progress is True, which needs tqdm; pip install"):
            class_weights(np.zeros((1, 2), dtype=int), 2, progress=True)

    def test_pixels_left_out_are_not_classes_of_one_hot(self, xp: Library) -> None:
        slabs = np.full((2, 3, 4, 4), 255)
        slabs[:, 1] = np.arange(16).reshape(4, 4) % 2
        assert class_weights(xp.asarray(slabs), 3, ignore_index=255) == (1.0, 1.0, 1.0)

    def test_the_input_stays(self, xp: Library) -> None:
        given = xp.asarray([[0, 255, 1]])
        class_weights(given, 2, ignore_index=255)
        assert_array_equal(xp.to_numpy(given), [[0, 255, 1]])


IMAGE = np.asarray([[0, 1], [2, 0]])
ONE_HOT = np.moveaxis(np.eye(3, dtype=np.int64)[IMAGE], -1, 1)
LAST = np.moveaxis(ONE_HOT, 1, -1)[None]
IGNORED = np.where(np.arange(2) < 1, 255, ONE_HOT)

ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: distance_transform([[0, 1]]), TypeError, "mask is a list; expected an array"),
    (lambda: distance_transform(IMAGE * 1.0), TypeError, "mask has dtype float64; .*mask > 0.5"),
    (lambda: distance_transform(IMAGE[0, 0, ...]), ValueError, "mask has no axes"),
    (lambda: distance_transform(IMAGE, axes=2), ValueError, "axes is 2; .*from -2 to 1"),
    (lambda: distance_transform(IMAGE, axes=(0, -2)), ValueError, "axes is .*distinct axes"),
    (lambda: distance_transform(IMAGE, axes=()), ValueError, "axes is .*one or more"),
    (lambda: distance_transform(IMAGE, axes=1.5), TypeError, "axes is 1.5; expected an integer"),
    (lambda: distance_transform(IMAGE, sampling=0), ValueError, "sampling is 0; .*above 0"),
    (lambda: distance_transform(IMAGE, sampling=(1, -1)), ValueError, r"sampling\[1\] is -1"),
    (lambda: distance_transform(IMAGE, sampling=(1, 1, 1)), ValueError, "has 3 .*expected 2"),
    (lambda: distance_transform(IMAGE, sampling={1.0, 2.0}), TypeError, "sampling is .*; expected"),
    (lambda: distance_transform(IMAGE, sampling=None), TypeError, "sampling is None"),
    (lambda: distance_transform(IMAGE, sampling=math.inf), ValueError, "is inf; expected a finite"),
    (lambda: border_weight(IMAGE > 0), TypeError, "instances has dtype bool; .*number the cells"),
    (lambda: border_weight(IMAGE * 1.0), TypeError, "instances has dtype float64; .*integer"),
    (lambda: border_weight("cells"), TypeError, "instances is a str; expected an array"),
    (lambda: border_weight(IMAGE, w0=-1), ValueError, "w0 is -1; .*at least 0"),
    (lambda: border_weight(IMAGE, sigma=0), ValueError, "sigma is 0; .*above 0"),
    (lambda: border_weight(IMAGE, sigma=math.nan), ValueError, "sigma is nan"),
    (lambda: border_weight(IMAGE, axes=5), ValueError, "axes is 5; .*instances has 2"),
    (lambda: class_weights(IMAGE, 2), ValueError, r"targets\[0\] has label 2, outside 0..1"),
    (lambda: class_weights(IMAGE - 1, 3), ValueError, "label -1, .*pass ignore_index=-1"),
    (lambda: class_weights([IMAGE, IMAGE + 9], 3), ValueError, r"targets\[1\] has label 9"),
    (lambda: class_weights(IMAGE * 1.0, 3), TypeError, r"targets\[0\] has dtype float64; .*argmax"),
    (lambda: class_weights([(IMAGE, IMAGE)], 3), TypeError, r"targets\[0\] is a tuple; .*loader"),
    (lambda: class_weights(ONE_HOT, 3), ValueError, r"targets\[0\] .*one-hot over its axis 1"),
    (lambda: class_weights(ONE_HOT > 0, 3), ValueError, r"one-hot over its axis 1.*argmax"),
    (lambda: class_weights(LAST, 3), ValueError, r"targets\[0\] .*one-hot over its axis 3.*argmax"),
    (lambda: class_weights(IGNORED, 3, ignore_index=255), ValueError, "one-hot over its axis 1"),
    (lambda: class_weights(IMAGE > 0, 1), ValueError, r"label 1, .*pass num_classes=2, and w\[1\]"),
    (lambda: class_weights(3, 3), TypeError, "targets is a int; expected an array or an iterable"),
    (lambda: class_weights([], 3), ValueError, "targets has no labels"),
    (lambda: class_weights(0 * IMAGE, 3, ignore_index=0), ValueError, "targets has no labels"),
    (lambda: class_weights(IMAGE[0, 0, ...], 3), ValueError, r"targets\[0\] has no axes"),
    (lambda: class_weights(IMAGE, 0), ValueError, "num_classes is 0; expected at least 1"),
    (lambda: class_weights(IMAGE, 2.5), TypeError, "num_classes is 2.5; expected an integer"),
    (lambda: class_weights(IMAGE, 3, "sqrt"), ValueError, "scheme is 'sqrt'; .*\"median\""),
    (lambda: class_weights(IMAGE, 3, beta=0.9), ValueError, 'beta is 0.9 and scheme is "inverse"'),
    (lambda: class_weights(IMAGE, 3, "effective", beta=1), ValueError, "beta is 1"),
    (lambda: class_weights(IMAGE, 3, "effective", beta=-1), ValueError, "beta is -1"),
    (lambda: class_weights(IMAGE, 3, ignore_index=0.5), TypeError, "ignore_index is 0.5"),
    (lambda: class_weights(IMAGE, 3, progress=1), TypeError, "progress is 1; expected True"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors_say_what_came_and_what_was_expected(
    call: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("ignore", [2**40, 2**64 - 1])
def test_an_ignored_label_beyond_the_index_dtype(xp: Library, ignore: int) -> None:
    labels = xp.asarray(IMAGE.astype(np.uint8))
    assert class_weights(labels, 3, ignore_index=ignore) == class_weights(labels, 3)


def test_the_largest_label_of_64_bits_is_ignored() -> None:
    labels = np.asarray([[0, 1, 2**64 - 1, 0]], np.uint64)
    assert class_weights(labels, 2, ignore_index=2**64 - 1) == class_weights(
        np.asarray([[0, 1, 0]]), 2
    )


def test_importing_the_maps_imports_neither_scipy_nor_tqdm() -> None:
    found = "{'scipy', 'tqdm', 'torch', 'jax'} & set(sys.modules)"
    program = f"import sys, xploss.maps; sys.exit(str({found}) if {found} else 0)"
    subprocess.run([sys.executable, "-c", program], check=True)
