"""The oracle against closed forms, exact fractions and identities."""

from __future__ import annotations

import ast
import json
import math
import random
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import pytest

from conformance import oracle
from conformance.cases import FOLDER, Array, Loss, Sum, decode, encode, load, rows
from conformance.oracle import lovasz
from conformance.oracle.numbers import Number, context, exp, log
from conformance.oracle.options import OWN, SHARED
from conformance.recipes.kinks import has_kink

HERE = Path(__file__).parent
DIGITS = context.mpf(10) ** -30


def floats(shape: tuple[int, ...], data: Sequence[float]) -> Array:
    return Array(shape, "float", tuple(Decimal(x) for x in data))


def ints(shape: tuple[int, ...], data: Sequence[int]) -> Array:
    return Array(shape, "int", tuple(data))


def value(loss: Loss | Sum, *arrays: Array) -> Number:
    shape, numbers = oracle.value(loss, *arrays)
    assert shape == ()
    return numbers[0]


def near(a: Any, b: Any) -> bool:
    pairs = zip(a, b, strict=True) if isinstance(a, list) else [(a, b)]
    return all(abs(u - v) <= DIGITS * max(1, abs(v)) for u, v in pairs)


def binary(name: str, **kwargs: Any) -> Loss:
    return Loss(name, "binary", kwargs)


def some_call(seed: int, classes: int = 3) -> tuple[Array, Array, Array]:
    rng = random.Random(seed)
    pred = floats((2, classes, 4), [rng.randint(-32, 32) / 8 for _ in range(8 * classes)])
    target = ints((2, 4), [rng.randrange(classes) for _ in range(8)])
    return pred, target, floats((2, 4), [rng.randint(0, 8) / 4 for _ in range(8)])


HALF = floats((1, 4), [0, 0, 0, 0])  # logits of p = 1/2
MASK = ints((1, 4), [1, 1, 1, 0])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # I = 3/2, P = 2, T = 3, FP = 1/2, FN = 3/2
        (binary("DiceLoss"), Fraction(2, 5)),
        (binary("DiceLoss", smooth=1.0), Fraction(1, 3)),
        (binary("JaccardLoss"), Fraction(4, 7)),
        (binary("JaccardLoss", smooth=0.5), Fraction(1, 2)),
        (binary("TverskyLoss", alpha=0.25, beta=0.75), Fraction(5, 11)),
        (binary("TverskyLoss", alpha=1.0, beta=0.0), Fraction(1, 4)),
        (binary("TverskyLoss", alpha=0.0, beta=1.0), Fraction(1, 2)),
        (binary("FBetaLoss", beta=2.0), Fraction(13, 28)),
        (binary("DiceLoss", gamma=2.0), Fraction(4, 25)),
        # squared: P = 1, T = 3, I = 3/2
        (binary("DiceLoss", overlap="squared"), Fraction(1, 4)),
        (binary("JaccardLoss", overlap="squared"), Fraction(2, 5)),
    ],
    ids=str,
)
def test_overlap_at_one_half(loss: Loss, expected: Fraction) -> None:
    assert near(value(loss, HALF, MASK), context.mpf(expected.numerator) / expected.denominator)


def test_dice_gradient_at_one_half() -> None:
    """d(1 - 2I/(P+T))/dp = -2t/(P+T) + 2I/(P+T)^2, and dp/dx = 1/4."""
    slope = {1: Fraction(-2, 5) + Fraction(3, 25), 0: Fraction(3, 25)}
    expected = [context.mpf(slope[t].numerator) / slope[t].denominator / 4 for t in (1, 1, 1, 0)]
    assert near(oracle.gradient(binary("DiceLoss"), HALF, MASK), expected)


def test_log_loss() -> None:
    epsilon = context.mpf("1e-7")
    expected = -log((context.mpf(3) / 5 + epsilon) / (1 + epsilon))
    assert near(value(binary("DiceLoss", log_loss=True), HALF, MASK), expected)


def test_min_of_soft_labels() -> None:
    """With p = (1/4, 1/2), t = (1/2, 1/4): I = 1/2 by min and 1/4 by product, P = T = 3/4."""
    p, t = floats((1, 2), [0.25, 0.5]), floats((1, 2), [0.5, 0.25])
    assert near(value(binary("DiceLoss", from_logits=False), p, t), context.mpf(1) / 3)
    product = binary("DiceLoss", from_logits=False, overlap="product")
    assert near(value(product, p, t), context.mpf(2) / 3)
    assert value(binary("DiceLoss", from_logits=False), t, t) == 0


def test_slope_of_min_where_p_is_t_is_t() -> None:
    """dI/dp = t = 1/4 at p = t: d(1 - 2I/(P+T)) = -2t/(P+T) + 2I/(P+T)^2 with P+T = 1, 2I = 1."""
    t = floats((1, 2), [0.25, 0.25])
    loss = binary("DiceLoss", from_logits=False)
    assert near(oracle.gradient(loss, t, t), [context.mpf(1) / 2] * 2)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_empty_class_predicted_empty_is_perfect(gamma: float) -> None:
    zeros = floats((1, 3), [0, 0, 0])
    for name in ("DiceLoss", "JaccardLoss", "TverskyLoss", "FBetaLoss"):
        loss = binary(name, from_logits=False, gamma=gamma)
        assert value(loss, zeros, zeros) == 0
        assert oracle.gradient(loss, zeros, zeros) == [0, 0, 0]


def test_cross_entropy_of_equal_logits_is_log_c() -> None:
    for classes in (2, 3, 7):
        pred = floats((2, classes, 2), [1.5] * (4 * classes))
        target = ints((2, 2), [0, 1, 1, 0])
        for kwargs in ({}, {"label_smoothing": 0.25}, {"class_weights": (0.5,) * classes}):
            loss = Loss("CrossEntropyLoss", "multiclass", kwargs)
            assert near(value(loss, pred, target), log(context.mpf(classes)))


def test_focal_at_one_half() -> None:
    """Every entry costs (1/2)^gamma log 2; the gradient of CE is (p - t) / n."""
    assert near(value(binary("FocalLoss", gamma=3.0), HALF, MASK), log(context.mpf(2)) / 8)
    expected = [context.mpf(v) / 8 for v in (-1, -1, -1, 1)]
    assert near(oracle.gradient(binary("CrossEntropyLoss"), HALF, MASK), expected)


def test_weighted_cross_entropies_at_one_half() -> None:
    """Three positives, one negative: the share of negatives is 1/4."""
    two = log(context.mpf(2))
    cases: list[tuple[Loss, Fraction]] = [
        (binary("CrossEntropyLoss", pos_weight=2.0), Fraction(7, 4)),
        (binary("CrossEntropyLoss", balance=0.75), Fraction(5, 8)),
        (binary("CrossEntropyLoss", balance="auto"), Fraction(3, 8)),
        (binary("FocalLoss", gamma=0.0, alpha=0.25), Fraction(3, 8)),
    ]
    for loss, expected in cases:
        assert near(value(loss, HALF, MASK), two * expected.numerator / expected.denominator)


def test_smoothing_and_class_weights_by_hand() -> None:
    """Logits 0 and 1, label 1, s = 1/4: t' = (1/8, 7/8), w = (1, 3), divisor 3."""
    e = exp(context.mpf(1))
    costs = [log(1 + e), log(1 + e) - 1]
    pred, target = floats((1, 2), [0, 1]), ints((1,), [1])
    loss = Loss(
        "CrossEntropyLoss", "multiclass", {"label_smoothing": 0.25, "class_weights": (1, 3)}
    )
    expected = (costs[0] / 8 + 3 * costs[1] * 7 / 8) / 3
    assert near(value(loss, pred, target), expected)


def test_extreme_logits() -> None:
    pred, target = floats((1, 2), [-1e4, 1e4]), ints((1, 2), [1, 1])
    assert near(value(binary("CrossEntropyLoss"), pred, target), context.mpf(5000))
    gradient = oracle.gradient(binary("CrossEntropyLoss"), pred, target)
    assert near(gradient, [context.mpf(-1) / 2, context.mpf(0)])


def test_masked_class_costs_nothing() -> None:
    masked = floats((1, 3, 2), [1, -2, 0.5, 1, -math.inf, -math.inf])
    rest = floats((1, 2, 2), [1, -2, 0.5, 1])
    target = ints((1, 2), [0, 1])
    for name in ("CrossEntropyLoss", "FocalLoss"):
        loss = Loss(name, "multiclass")
        assert near(value(loss, masked, target), value(loss, rest, target))
        gradient = oracle.gradient(loss, masked, target)
        assert near(gradient, [*oracle.gradient(loss, rest, target), 0, 0])


def test_clip_of_probabilities() -> None:
    loss = binary("CrossEntropyLoss", from_logits=False)
    pred, target = floats((1, 2), [0, 1]), ints((1, 2), [1, 1])
    expected = -(log(context.mpf("1e-7")) + log(1 - context.mpf("1e-7"))) / 2
    assert near(value(loss, pred, target), expected)
    assert oracle.gradient(loss, pred, target) == [0, 0]


def jaccard(wrong: set[int], foreground: set[int], weight: Sequence[Fraction]) -> Fraction:
    """1 - |truth and guess| / |truth or guess| where `wrong` are mispredicted."""
    guess = foreground ^ wrong
    union = sum((weight[i] for i in foreground | guess), Fraction(0))
    both = sum((weight[i] for i in foreground & guess), Fraction(0))
    return 1 - both / union if union else Fraction(0)


@pytest.mark.parametrize("seed", range(40))
def test_lovasz_is_the_extension_for_every_sorted_order(seed: int) -> None:
    """Exact fractions; with ties all orders that sort the errors give the same value."""
    rng = random.Random(seed)
    size = rng.randint(1, 5)
    foreground = {i for i in range(size) if rng.random() < 0.5}
    weight = [Fraction(rng.randint(1, 8), 4 if seed % 2 else 1) for _ in range(size)]
    weight = weight if seed % 3 else [Fraction(1)] * size
    errors = [Fraction(rng.randint(0, 3), 2) for _ in range(size)]
    pixels = [
        (_exact(e), i in foreground, _exact(w))
        for i, (e, w) in enumerate(zip(errors, weight, strict=True))
    ]
    orders = [o for o in permutations(range(size)) if _sorted_down([errors[i] for i in o])]
    for order in orders:
        expected = sum(
            errors[i]
            * (
                jaccard(set(order[: j + 1]), foreground, weight)
                - jaccard(set(order[:j]), foreground, weight)
            )
            for j, i in enumerate(order)
        )
        assert near(lovasz.extension(pixels), _exact(Fraction(expected)))


def _exact(x: Fraction) -> Number:
    return context.mpf(x.numerator) / x.denominator


def _sorted_down(errors: list[Fraction]) -> bool:
    return all(a >= b for a, b in pairwise(errors))


@pytest.mark.parametrize("size", [1, 3, 4])
def test_lovasz_of_a_set_is_its_jaccard_loss(size: int) -> None:
    """At errors that are 0 or 1 the extension is the set function."""
    for bits in range(4**size):
        wrong = {i for i in range(size) if bits >> i & 1}
        foreground = {i for i in range(size) if bits >> (size + i) & 1}
        pixels = [(context.mpf(i in wrong), i in foreground, context.mpf(1)) for i in range(size)]
        expected = jaccard(wrong, foreground, [Fraction(1)] * size)
        assert near(lovasz.extension(pixels), _exact(expected))


def test_lovasz_weights_in_closed_form() -> None:
    """Foreground 1/U and background I/(U(U-1)), U and I after the pixel."""
    pred = floats((1, 4), [-2, 0.5, -0.25, 0])  # hinge errors 3, 1.5, 0.75, 1
    target = ints((1, 4), [1, 0, 0, 1])
    # order: fg (U=2, I=1), bg (U=3, I=1), fg (U=3, I=0), bg (U=4, I=0)
    weights = [Fraction(1, 2), Fraction(1, 6), Fraction(0), Fraction(1, 3)]
    expected = [_exact(-weights[0]), _exact(weights[1]), _exact(weights[2]), _exact(-weights[3])]
    assert near(oracle.gradient(binary("LovaszLoss"), pred, target), expected)
    whole = 3 * weights[0] + Fraction(3, 2) * weights[1] + weights[3]
    assert near(value(binary("LovaszLoss"), pred, target), _exact(whole))


def test_lovasz_without_foreground_is_the_largest_error() -> None:
    pred, target = floats((1, 3), [0.5, 2, -3]), ints((1, 3), [0, 0, 0])
    assert value(binary("LovaszLoss"), pred, target) == 3
    assert value(binary("LovaszLoss", absent="skip"), pred, target) == 0


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("seed", range(3))
def test_identities(mode: str, seed: int) -> None:
    """Dice = Tversky(1/2, 1/2) = F1, IoU = Tversky(1, 1) = Dice / (2 - Dice), focal(0) = CE."""
    arrays = some_call(seed)
    pairs: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
        ("DiceLoss", {}, "TverskyLoss", {"alpha": 0.5, "beta": 0.5}),
        ("DiceLoss", {"smooth": 1.0}, "TverskyLoss", {"smooth": 0.5}),
        ("DiceLoss", {"smooth": 1.0}, "FBetaLoss", {"beta": 1.0, "smooth": 1.0}),
        ("JaccardLoss", {"smooth": 0.5}, "TverskyLoss", {"alpha": 1, "beta": 1, "smooth": 0.5}),
        ("CrossEntropyLoss", {}, "FocalLoss", {"gamma": 0.0}),
    ]
    for name, kwargs, other, options in pairs:
        a, b = Loss(name, mode, kwargs), Loss(other, mode, options)
        assert near(value(a, *arrays), value(b, *arrays))
        assert near(oracle.gradient(a, *arrays), oracle.gradient(b, *arrays))
    none = {"reduction": "none"}
    dice = oracle.value(Loss("DiceLoss", mode, none), *arrays)[1]
    iou = oracle.value(Loss("JaccardLoss", mode, none), *arrays)[1]
    assert near([1 - v for v in iou], [(1 - v) / (1 + v) for v in dice])


LOSSES = ["DiceLoss", "TverskyLoss", "CrossEntropyLoss", "FocalLoss", "LovaszLoss"]


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("name", LOSSES)
def test_an_ignored_pixel_a_weight_of_zero_and_a_crop_are_one(name: str, mode: str) -> None:
    pred, target, _ = some_call(5)
    bad = [Decimal("nan") if i % 4 == 3 else x for i, x in enumerate(pred.data)]
    broken = Array(pred.shape, "float", tuple(bad))
    cropped = Array((2, 3, 3), "float", tuple(x for i, x in enumerate(pred.data) if i % 4 != 3))
    inside = ints((2, 3), [int(t) for i, t in enumerate(target.data) if i % 4 != 3])
    marked = ints((2, 4), [255 if i % 4 == 3 else int(t) for i, t in enumerate(target.data)])
    weight = floats((2, 4), [0 if i % 4 == 3 else 1 for i in range(8)])
    expected = value(Loss(name, mode), cropped, inside)
    assert near(value(Loss(name, mode, {"ignore_index": 255}), broken, marked), expected)
    assert near(value(Loss(name, mode), broken, target, weight), expected)


@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("name", LOSSES)
def test_doubling_a_weight_is_repeating_a_pixel(name: str, mode: str) -> None:
    rng = random.Random(name + mode)
    classes = 1 if mode == "binary" else 3
    labels = [0, 1, 1] if mode == "binary" else [0, 2, 1]
    columns = [[rng.randint(-32, 32) / 8 for _ in range(classes)] for _ in range(3)]

    def pred(pixels: list[int]) -> Array:
        data = [columns[k][c] for c in range(classes) for k in pixels]
        return floats((1, classes, len(pixels)), data)

    once = value(Loss(name, mode), pred([0, 1, 2]), ints((1, 3), labels), floats((1, 3), [1, 2, 1]))
    repeated = value(Loss(name, mode), pred([0, 1, 1, 2]), ints((1, 4), [*labels[:2], *labels[1:]]))
    assert near(once, repeated)


@pytest.mark.parametrize("name", LOSSES)
def test_channels_last_and_dense_targets_are_only_layout(name: str) -> None:
    pred, target, weight = some_call(7)
    grid = [
        [[pred.data[(n * 3 + c) * 4 + k] for c in range(3)] for k in range(4)] for n in range(2)
    ]
    last = Array((2, 4, 3), "float", tuple(x for a in grid for b in a for x in b))
    dense = ints(
        (2, 3, 4),
        [int(target.data[n * 4 + k] == c) for n in (0, 1) for c in (0, 1, 2) for k in range(4)],
    )
    expected = value(Loss(name, "multiclass"), pred, target, weight)
    assert near(value(Loss(name, "multiclass", {"class_axis": -1}), last, target, weight), expected)
    assert near(value(Loss(name, "multiclass"), pred, dense, weight), expected)


def test_per_image_is_the_mean_of_samples_with_something_counted() -> None:
    pred, _, _ = some_call(9)
    target = ints((2, 4), [0, 1, 1, 0, 255, 255, 255, 255])
    first = Array((1, 3, 4), "float", pred.data[:12])
    one = ints((1, 4), [0, 1, 1, 0])
    kwargs = {"per_image": True, "ignore_index": 255, "absent": "skip"}
    loss = Loss("DiceLoss", "multiclass", kwargs)
    alone = value(Loss("DiceLoss", "multiclass", {"absent": "skip"}), first, one)
    assert near(value(loss, pred, target), alone)
    keep = Loss("DiceLoss", "multiclass", kwargs | {"absent": "keep"})
    zero = Loss("DiceLoss", "multiclass", kwargs | {"absent": "zero"})
    assert near(value(zero, pred, target), alone * 2 / 3)
    assert near(value(keep, pred, target), (alone * 2 + 1) / 3)


def test_mean_divides_by_the_weights_of_what_counts() -> None:
    """Two classes of three with weights 1 and 3; cross-entropy divides by sum w_c t_c."""
    arrays = some_call(11)
    none = {"classes": (2, 0), "reduction": "none"}
    plain = oracle.value(Loss("DiceLoss", "multiclass", none), *arrays)[1]
    weighted = {"classes": (2, 0), "class_weights": (1.0, 3.0)}
    expected = (plain[0] + 3 * plain[1]) / 4
    assert near(value(Loss("DiceLoss", "multiclass", weighted), *arrays), expected)
    pixels = oracle.value(Loss("CrossEntropyLoss", "multiclass", {"reduction": "none"}), *arrays)[1]
    target, weight = arrays[1].data, arrays[2].data
    of = {2: 1, 0: 3, 1: 0}
    above = sum(of[int(t)] * v for t, v in zip(target, pixels, strict=True))
    below = sum(of[int(t)] * float(w) for t, w in zip(target, weight, strict=True))
    loss = Loss("CrossEntropyLoss", "multiclass", weighted)
    assert near(value(loss, *arrays), above / below)


def test_a_sum_is_the_sum_of_its_terms() -> None:
    arrays = some_call(13)
    parts = [Loss(name, "multiclass") for name in LOSSES]
    factors = [1.0, -0.5, 2.0, 0.25, 3.0]
    whole = Sum(tuple(zip(factors, parts, strict=True)))
    expected = sum(f * value(p, *arrays) for f, p in zip(factors, parts, strict=True))
    assert near(value(whole, *arrays), expected)
    gradients = [oracle.gradient(p, *arrays) for p in parts]
    summed = [
        sum(f * g for f, g in zip(factors, gs, strict=True)) for gs in zip(*gradients, strict=True)
    ]
    assert near(oracle.gradient(whole, *arrays), summed)


def test_golden_cases_stand_clear_of_kinks_and_cover_the_contract() -> None:
    cases = load()
    assert len(cases) >= 400
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        kink = has_kink(case.loss, case.pred, case.target, case.weight)
        assert case.gradient is None or not kink, case.name
    singles = [case.loss for case in cases if isinstance(case.loss, Loss)]
    for name, own in OWN.items():
        used = {key for loss in singles if loss.name == name for key in loss.kwargs}
        assert used >= (SHARED | own).keys() - {"bins"}, name
        assert {loss.mode for loss in singles if loss.name == name} >= {
            "binary",
            "multiclass",
            "multilabel",
        }


def test_cases_survive_writing_and_reading() -> None:
    for path in sorted(FOLDER.glob("*.json")):
        for row in rows(path)[::20]:
            assert json.loads(json.dumps(encode(decode(row)))) == row


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="has no parameter"):
        value(binary("DiceLoss", smoth=1.0), HALF, MASK)


def test_oracle_and_cases_import_nothing_of_the_library() -> None:
    """Only the standard library, mpmath and conformance itself."""
    allowed = {"__future__", "collections", "dataclasses", "decimal", "fractions", "functools"}
    allowed |= {"itertools", "json", "math", "pathlib", "random", "struct", "types", "typing"}
    for path in [HERE / "cases.py", *HERE.glob("oracle/*.py"), *HERE.glob("recipes/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.split(".")[0] for name in names}
            extra = {"mpmath"} if path.name == "numbers.py" else set()
            assert roots <= allowed | extra | {"conformance"}, path.name
