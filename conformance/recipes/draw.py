"""Random arrays for the cases, from a seed that is a text: the same on every machine."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import isfinite, prod
from typing import Any

from conformance.cases import Array

POISON = ("nan", "inf", "-inf", "9984")  # what may stand where nothing is read


def dense_shape(n: int, c: int | None, spatial: Sequence[int], axis: int) -> tuple[int, ...]:
    """(N, C, *S) with the class axis where it belongs; without C: (N, *S)."""
    shape = [n, *spatial]
    if c is not None:
        shape.insert(axis % (len(shape) + 1), c)
    return tuple(shape)


class Draw:
    """Draws arrays; every number is a short decimal unless it says otherwise."""

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)

    def _multiples(self, count: int, low: int, high: int, unit: int) -> list[Decimal]:
        return [Decimal(self.rng.randint(low, high)) / unit for _ in range(count)]

    def _chosen(self, shape: tuple[int, ...], choices: Sequence[int], unit: int) -> Array:
        numbers = [Decimal(self.rng.choice(choices)) / unit for _ in range(prod(shape))]
        return Array(shape, "float", tuple(numbers))

    def logits(self, shape: tuple[int, ...], span: int = 4) -> Array:
        """Multiples of 1/8 within +-span: the same number in every dtype."""
        return Array(shape, "float", tuple(self._multiples(prod(shape), -8 * span, 8 * span, 8)))

    def float32(self, shape: tuple[int, ...]) -> Array:
        """Logits that use all digits of a float32."""
        numbers = [self.rng.gauss(0, 2) for _ in range(prod(shape))]
        rounded = [struct.unpack("f", struct.pack("f", x))[0] for x in numbers]
        return Array(shape, "float", tuple(Decimal(x) for x in rounded))

    def probabilities(self, shape: tuple[int, ...], low: int = 1, high: int = 63) -> Array:
        """Multiples of 1/64."""
        return Array(shape, "float", tuple(self._multiples(prod(shape), low, high, 64)))

    def extreme(self, shape: tuple[int, ...], size: int = 9984) -> Array:
        """Logits of +-size among moderate ones."""
        numbers = self._multiples(prod(shape), -16, 16, 8)
        for i in self.rng.sample(range(len(numbers)), max(1, len(numbers) // 2)):
            numbers[i] = Decimal(self.rng.choice((-size, size)))
        return Array(shape, "float", tuple(numbers))

    def extreme_1e4(self, shape: tuple[int, ...]) -> Array:
        """Logits of +-10000 among moderate ones."""
        return self.extreme(shape, 10000)

    def far(self, shape: tuple[int, ...]) -> Array:
        """Logits of -30 and 30, and of -8 to 8."""
        return self._chosen(shape, (-30, 30, -8, 8, 3), 1)

    def few(self, shape: tuple[int, ...]) -> Array:
        """Logits of few values, so that many are equal."""
        return self._chosen(shape, (-1, 1, 2), 2)

    def corners(self, shape: tuple[int, ...]) -> Array:
        """Probabilities, many of them exactly 0 or 1."""
        return self._chosen(shape, (0, 0, 64, 64, 13, 47), 64)

    def labels(self, shape: tuple[int, ...], classes: Sequence[int]) -> Array:
        """Labels in which every class occurs, where there are pixels enough."""
        count = prod(shape)
        values = [*classes, *(self.rng.choice(classes) for _ in range(count - len(classes)))]
        values = values[:count]
        self.rng.shuffle(values)
        return Array(shape, "int", tuple(values))

    def bits(self, shape: tuple[int, ...]) -> Array:
        """Independent zeros and ones."""
        return Array(shape, "int", tuple(self.rng.randint(0, 1) for _ in range(prod(shape))))

    def soft(self, shape: tuple[int, ...]) -> Array:
        """Multiples of 1/16 in [0, 1]."""
        return Array(shape, "float", tuple(self._multiples(prod(shape), 0, 16, 16)))

    def shares(self, shape: tuple[int, ...], axis: int) -> Array:
        """Multiples of 1/16 that add up to 1 along `axis`."""
        values: dict[tuple[int, ...], Decimal] = {}
        axis %= len(shape)
        rest = [range(size) if i != axis else range(1) for i, size in enumerate(shape)]
        for index in product(*rest):
            cuts = sorted(self.rng.randint(0, 16) for _ in range(shape[axis] - 1))
            for c, (a, b) in enumerate(zip([0, *cuts], [*cuts, 16], strict=True)):
                values[*index[:axis], c, *index[axis + 1 :]] = Decimal(b - a) / 16
        return Array(shape, "float", tuple(values[i] for i in indices(shape)))

    def weights(self, shape: tuple[int, ...], zeros: bool = False) -> Array:
        """Multiples of 1/4 in (0, 2], with zeros among them on request."""
        numbers = self._multiples(prod(shape), 1, 8, 4)
        if zeros:
            for i in self.some(len(numbers)):
                numbers[i] = Decimal(0)
        return Array(shape, "float", tuple(numbers))

    def cotangent(self, shape: tuple[int, ...]) -> Array:
        """Multiples of 1/4 in [-2, 2], none of them 0."""
        numbers = self._multiples(prod(shape), 1, 8, 4)
        return Array(shape, "float", tuple(x * self.rng.choice((-1, 1)) for x in numbers))

    def some(self, count: int) -> list[int]:
        """About a third of range(count), at least one, never all unless there is only one."""
        return sorted(self.rng.sample(range(count), max(1, count // 3)))


def indices(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All indices of an array, row-major."""
    return product(*(range(size) for size in shape))


def one_hot(labels: Array, classes: int, axis: int) -> Array:
    """The dense 0/1 form of labels of shape (N, *S)."""
    shape = dense_shape(labels.shape[0], classes, labels.shape[1:], axis)
    axis %= len(shape)
    label = dict(zip(indices(labels.shape), labels.data, strict=True))
    return Array(
        shape, "int", tuple(int(label[i[:axis] + i[axis + 1 :]] == i[axis]) for i in indices(shape))
    )


def as_kind(array: Array, kind: str) -> Array:
    """The same numbers as float, int or bool."""
    convert: Callable[[Any], Any] = bool if kind == "bool" else int
    if kind == "float":
        return Array(array.shape, kind, tuple(Decimal(int(x)) for x in array.data))
    return Array(array.shape, kind, tuple(convert(x) for x in array.data))


def poisoned(pred: Array, axis: int | None, dead: set[tuple[int, ...]]) -> Array:
    """`pred` with NaN, infinities and a huge number at pixels (or, axis None, entries) `dead`."""
    data = []
    for i, (index, x) in enumerate(zip(indices(pred.shape), pred.data, strict=True)):
        at = index if axis is None else index[: axis % len(index)] + index[axis % len(index) + 1 :]
        data.append(Decimal(POISON[i % len(POISON)]) if at in dead else x)
    return Array(pred.shape, pred.kind, tuple(data))


FORMATS = {"float64": (53, -1074, 1024), "float32": (24, -149, 128)}
FORMATS |= {"float16": (11, -24, 16), "bfloat16": (8, -133, 128)}


def exact_in(*arrays: Array | None) -> tuple[str, ...]:
    """The dtypes that hold every floating number of the arrays without rounding."""
    numbers = [
        x
        for a in arrays
        if a is not None
        for x in a.data
        if isinstance(x, Decimal) and x.is_finite()
    ]
    return tuple(f for f, limits in FORMATS.items() if all(_fits(x, limits) for x in numbers))


def _fits(x: Decimal, limits: tuple[int, int, int]) -> bool:
    digits, lowest, highest = limits
    fraction = Fraction(x)
    if fraction == 0:
        return True
    if fraction.denominator & (fraction.denominator - 1) or not isfinite(float(x)):
        return False
    odd = abs(fraction.numerator)
    exponent = -(fraction.denominator.bit_length() - 1)
    while odd % 2 == 0:
        odd, exponent = odd // 2, exponent + 1
    return (
        odd.bit_length() <= digits and exponent >= lowest and odd.bit_length() + exponent <= highest
    )
