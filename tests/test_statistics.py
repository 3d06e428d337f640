"""Statistics: they add over tiles, batches and processes to those of the whole."""

import copy
import pickle
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, Loss, Statistics

from .cases import LOSSES, draw
from .libraries import Library

WITH_STATISTICS = [x for x in LOSSES if not any(t.maps for _, t in x.terms)]
OVER_BATCHES = [x for x in WITH_STATISTICS if not any(t.per_sample for _, t in x.terms)]
FEW = [
    DiceLoss("multiclass", class_weights=(1, 2, 0)),
    CrossEntropyLoss("binary", balance="auto"),
    DiceLoss("multiclass") + FocalLoss("multiclass"),
]


def arrays(xp: Library, loss: Loss, seed: int = 1) -> tuple[Any, Any, Any]:
    pred, target, weight = draw(loss, seed, weighted=True)
    return xp.asarray(pred), xp.asarray(target), xp.asarray(weight)


@pytest.mark.parametrize("loss", WITH_STATISTICS, ids=repr)
def test_value_from_statistics(xp: Library, loss: Loss) -> None:
    x, t, w = arrays(xp, loss)
    statistics = loss.statistics(x, t, weight=w)
    value = loss.from_statistics(statistics)
    expected = loss(x, t, weight=w)
    xp.assert_like(value, tuple(expected.shape), "float64")
    np.testing.assert_allclose(xp.to_numpy(value), xp.to_numpy(expected), rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("count", [40, 20000, 1 << 19])
def test_those_of_few_and_many_pixels_add(xp: Library, count: int) -> None:
    """In the dtype of sums over tiles, however many there were."""
    loss, pixels = FEW[-1], np.arange(2 * count)
    target = (pixels % 3).reshape(2, -1)
    pred = np.stack([pixels * k % 7 for k in (1, 2, 3)], axis=0).reshape(3, 2, -1).swapaxes(0, 1)
    x, t = xp.asarray(pred.astype(np.float32)), xp.asarray(target)
    whole = loss.statistics(x, t) + loss.statistics(x[..., :7], t[..., :7])
    assert all(a.dtype == xp.namespace.float64 for a in whole.arrays)


@pytest.mark.parametrize("loss", OVER_BATCHES, ids=repr)
def test_batches_add_up_to_the_whole(xp: Library, loss: Loss) -> None:
    xp.skip_most(loss, OVER_BATCHES)
    x, t, w = arrays(xp, loss)
    value, gradient = loss.value_and_grad(x, t, weight=w)
    samples = [[a[s : s + 1, ...] for a in (x, t, w)] for s in (0, 1)]
    parts = [loss.statistics(z, u, weight=v) for z, u, v in samples]
    whole = sum(parts)
    np.testing.assert_allclose(
        xp.to_numpy(loss.from_statistics(whole)), xp.to_numpy(value), rtol=1e-13, atol=1e-16
    )
    for s, (z, u, v) in enumerate(samples):
        found, slopes = loss.value_and_grad(z, u, weight=v, statistics=whole)
        np.testing.assert_allclose(xp.to_numpy(found), xp.to_numpy(value), rtol=1e-13, atol=1e-16)
        expected = xp.to_numpy(gradient)[s : s + 1]
        np.testing.assert_allclose(xp.to_numpy(slopes), expected, rtol=1e-12, atol=1e-17)


@pytest.mark.parametrize("loss", WITH_STATISTICS, ids=repr)
def test_tiles_add_up_to_the_whole(xp: Library, loss: Loss) -> None:
    """Rows of the images, also where statistics are kept per sample."""
    xp.skip_most(loss, WITH_STATISTICS)
    x, t, w = arrays(xp, loss)
    rows = [0, 1, 3]

    def cut(a: Any, rows: tuple[int, int]) -> Any:
        return a[:, rows[0] : rows[1], :] if a.ndim == 3 else a[:, :, rows[0] : rows[1], :]

    parts = [loss.statistics(cut(x, r), cut(t, r), weight=cut(w, r)) for r in pairwise(rows)]
    whole = parts[0] + parts[1]
    value, gradient = loss.value_and_grad(x, t, weight=w)
    found = loss.from_statistics(whole)
    np.testing.assert_allclose(xp.to_numpy(found), xp.to_numpy(value), rtol=1e-13, atol=1e-16)
    for r in pairwise(rows):
        _, slopes = loss.value_and_grad(cut(x, r), cut(t, r), weight=cut(w, r), statistics=whole)
        expected = cut(xp.to_numpy(gradient), r)
        np.testing.assert_allclose(xp.to_numpy(slopes), expected, rtol=1e-12, atol=1e-17)


@pytest.mark.parametrize("loss", FEW, ids=repr)
def test_arrays_live_where_the_prediction_lives(xp: Library, loss: Loss) -> None:
    x, t, w = arrays(xp, loss)
    statistics = loss.statistics(x, t, weight=w)
    assert len(statistics.parts) == len(loss.terms)
    for array in statistics.arrays:
        xp.assert_like(array, tuple(array.shape), "float64")
    doubled = statistics.map(lambda a: a + a)
    assert doubled.loss == loss
    for once, twice in zip(statistics.arrays, doubled.arrays, strict=True):
        np.testing.assert_array_equal(xp.to_numpy(twice), 2 * xp.to_numpy(once))
    np.testing.assert_allclose(
        xp.to_numpy(loss.from_statistics(doubled)),
        xp.to_numpy(loss.from_statistics(statistics + statistics)),
        rtol=1e-15,
    )


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_value_keeps_the_dtype_of_a_call(xp: Library, dtype: str) -> None:
    if not xp.has(dtype):
        pytest.skip(f"{xp.name} has no {dtype}")
    loss = FEW[-1]
    pred, target, _ = draw(loss, seed=2)
    x, t = xp.asarray(pred, dtype), xp.asarray(target)
    statistics = loss.statistics(x, t)
    value = loss.from_statistics(statistics + statistics)
    xp.assert_like(value, (), "float32")
    assert float(value) == pytest.approx(float(loss(x, t)), rel=1e-6)


def test_pickle_and_copy(xp: Library) -> None:
    loss = FEW[-1]
    x, t, w = arrays(xp, loss)
    statistics = loss.statistics(x, t, weight=w)
    for twin in (pickle.loads(pickle.dumps(statistics)), copy.deepcopy(statistics)):
        assert twin.loss == loss
        np.testing.assert_array_equal(
            xp.to_numpy(loss.from_statistics(twin)), xp.to_numpy(loss.from_statistics(statistics))
        )
        assert isinstance(twin + statistics, Statistics)


def test_statistics_of_another_loss_are_refused(xp: Library) -> None:
    x, t, _ = arrays(xp, FEW[0])
    dice, jaccard = DiceLoss("multiclass"), JaccardLoss("multiclass")
    statistics = dice.statistics(x, t)
    message = r"statistics are those of DiceLoss.*; expected those of JaccardLoss"
    with pytest.raises(ValueError, match=message):
        jaccard.from_statistics(statistics)
    with pytest.raises(ValueError, match=message):
        jaccard.value_and_grad(x, t, statistics=statistics)
    with pytest.raises(
        ValueError, match=r"statistics of JaccardLoss.* were added to those of Dice"
    ):
        statistics + jaccard.statistics(x, t)
    with pytest.raises(TypeError, match="statistics is a tuple; expected what statistics"):
        dice.from_statistics(statistics.arrays)
    with pytest.raises(TypeError):
        statistics + 1.0


def test_statistics_of_other_classes_do_not_add(xp: Library) -> None:
    loss = DiceLoss("multiclass")
    x, t, _ = arrays(xp, loss)
    two = loss.statistics(x[:, :2, ...], xp.asarray(np.zeros((2, 3, 4), dtype=np.int64)))
    with pytest.raises(ValueError, match=r"shapes \(1, 3\) and \(1, 2\).*same number of classes"):
        loss.statistics(x, t) + two


@pytest.mark.parametrize(
    "loss",
    [
        DiceLoss("binary") + CrossEntropyLoss("multilabel"),
        DiceLoss("multilabel", per_image=True) + DiceLoss("multilabel", class_axis=-1),
    ],
    ids=repr,
)
def test_terms_may_read_the_arrays_in_different_ways(xp: Library, loss: Loss) -> None:
    rng = np.random.default_rng(2)
    x = xp.asarray(rng.normal(size=(2, 3, 4, 5)))
    t = xp.asarray((rng.random((2, 3, 4, 5)) < 0.4).astype(np.int64))
    own = loss.value_and_grad(x, t, statistics=loss.statistics(x, t))
    for found, expected in zip(own, loss.value_and_grad(x, t), strict=True):
        np.testing.assert_allclose(xp.to_numpy(found), xp.to_numpy(expected), rtol=1e-12)


def test_a_map_of_pixels_has_no_statistics(xp: Library) -> None:
    x, t, _ = arrays(xp, FEW[0])
    loss = CrossEntropyLoss("multiclass", reduction="none")
    with pytest.raises(ValueError, match='reduction="none", whose value is a map of pixels'):
        loss.statistics(x, t)
    with pytest.raises(ValueError, match='expected "mean" or "sum" to take statistics'):
        (loss + DiceLoss("multiclass")).statistics(x, t)


RANKS = """
import sys, torch, torch.distributed as dist
from xploss import DiceLoss, CrossEntropyLoss
rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
torch.manual_seed(0)
x, t = torch.randn(4, 3, 5).double(), torch.randint(0, 3, (4, 5))
loss = DiceLoss("multiclass") + CrossEntropyLoss("multiclass", class_weights=(1, 2, 3))
mine = slice(0, 1) if rank == 0 else slice(1, 4)
statistics = loss.statistics(x[mine], t[mine])
for array in statistics.arrays:
    dist.all_reduce(array)
value, gradient = loss.value_and_grad(x[mine], t[mine], statistics=statistics)
expected, whole = loss.value_and_grad(x, t)
torch.testing.assert_close(value, expected, rtol=1e-13, atol=0)
torch.testing.assert_close(gradient, whole[mine], rtol=1e-12, atol=1e-17)
layer = torch.nn.Linear(5, 5).double()
alone = torch.autograd.grad(loss(layer(x), t), layer.weight)[0]
spread = torch.nn.parallel.DistributedDataParallel(layer)
logits = spread(x[mine])
statistics = loss.statistics(logits.detach(), t[mine])
for array in statistics.arrays:
    dist.all_reduce(array)
_, gradient = loss.value_and_grad(logits.detach(), t[mine], statistics=statistics)
logits.backward(gradient * dist.get_world_size())
torch.testing.assert_close(layer.weight.grad, alone, rtol=1e-11, atol=1e-15)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_torch_distributed(torch: Any, tmp_path: Any) -> None:
    """Two ranks with batches of one and three: value and gradient of the batch of four."""
    if not torch.distributed.is_available():
        pytest.skip("this torch has no torch.distributed")
    command = [sys.executable, "-c", RANKS]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in (0, 1)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], "\n".join(outputs)
