"""The walk that every loss takes: measure the tiles, add, score, and pull the slopes back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import inputs, values
from .activations import Activation, Probability, Sigmoid, Softmax
from .lazy import lazy
from .reading import Reading, Slopes
from .scoring import add_values, scale_slopes, score_term
from .tiles import Block, Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._xp import Array
    from .backend import Backend
    from .loss import Loss, Term


Measured = tuple[Any, ...]
"""The statistics of one term: arrays with the samples, or 1, as axis 0."""


KEPT = 1 << 18
"""A single tile of at most so many elements is kept for the way back."""


@dataclass
class Walk:
    """The terms that share an activation, and the tiles they walk over."""

    backend: Backend
    laid: inputs.Laid
    terms: list[tuple[int, float, Term]]
    checked: bool = False
    """Whether the values of the target have been found to be in range."""
    _kept: tuple[Activation, dict[int | None, Reading]] | None = None

    @property
    def _first(self) -> Term:
        return self.terms[0][2]

    @lazy
    def grid(self) -> Grid:
        samples, classes, pixels = self.laid.sizes
        if self.backend.traces:
            return Grid(samples, classes, pixels, None)
        whole = any(t.whole for *_, t in self.terms)
        size = samples * classes * pixels
        if whole:
            return Grid(samples, classes, pixels, size)
        limit = self.backend.tile_limit(self.laid.pred, size)
        if any(t.accumulates for *_, t in self.terms):
            # beside large statistics, with indices and sums of 64 bits, there is room for less
            limit = max(limit >> 1, 1)
        return Grid(samples, classes, pixels, limit)

    def tile(self, block: Block) -> tuple[Activation, dict[int | None, Reading]]:
        """The activation of a block, and its target for each ignore label of the terms."""
        if not self.small:
            return self._tile(block)
        if self._kept is None:
            self._kept = self._tile(block)
        return self._kept

    @lazy
    def small(self) -> bool:
        """Whether the arrays are one small tile, which is kept from measure to pull."""
        samples, classes, pixels = self.laid.sizes
        limit = self.grid.elements
        if limit is None or not self.backend.keeps_tiles:
            return False
        return samples * classes * pixels <= min(limit, KEPT)

    def _tile(self, block: Block) -> tuple[Activation, dict[int | None, Reading]]:
        b, dtype = self.backend, self.backend.compute_dtype(self.laid.pred.dtype)
        x = b.contiguous(b.xp.astype(b.cut(self.laid.pred, block), dtype, copy=False))
        target = b.cut(self.laid.target, block)
        weight = None if self.laid.weight is None else b.cut(self.laid.weight, block)
        part = replace(self.laid, pred=x, target=target, weight=weight)
        readings: dict[int | None, Reading] = {}
        gone: list[Array | None] = []
        for ignore in dict.fromkeys(t.ignore_index for *_, t in self.terms):
            readings[ignore], out = self._reading(part, ignore)
            gone.append(out)
        # what no term reads may be anything; what one term leaves out another may need
        dead = _everywhere(gone)
        if dead is not None:
            x = b.xp.where(dead, b.xp.zeros_like(x), x)
        return self._activation(x), readings

    def _activation(self, x: Array) -> Activation:
        if not self._first.from_logits:
            return Probability(self.backend, x)
        kind = Softmax if self._first.mode == "multiclass" else Sigmoid
        return kind(self.backend, x)

    def _reading(self, part: inputs.Laid, ignore: int | None) -> tuple[Reading, Array | None]:
        """A tile's target and weight, and the pixels (k, 1|C, m) that are left out."""
        b, xp, dtype = self.backend, self.backend.xp, part.pred.dtype
        out = b.somewhere(values.left_out(b, part, ignore))
        weight = None
        if part.weight is not None:
            weight = xp.astype(part.weight, dtype, copy=False)
        elif out is not None:
            weight = xp.ones_like(out, dtype=dtype)
        if out is not None:
            weight = xp.where(out, xp.zeros_like(weight), weight)
        if self._first.mode == "multiclass" and out is not None and out.shape[1] > 1:
            out = xp.all(out, axis=1, keepdims=True)
        labels, dense = None, None
        if part.labels:
            labels = xp.astype(part.target[:, 0, :], b.index_dtype(), copy=False)
            gone = None if out is None or out.shape[1] > 1 else out[:, 0, :]
            labels = labels if gone is None else xp.where(gone, -xp.ones_like(labels), labels)
            if self._first.mode == "multilabel":
                labels, dense = None, b.one_hot(labels, part.sizes[1], dtype)
        else:
            exact = self.checked or b.isdtype(part.target, ("bool", "real floating"))
            dense = b.numbers(part.target if exact else b.equals(part.target, 1), dtype)
        if dense is not None and out is not None:
            dense = xp.where(out, xp.zeros_like(dense), dense)
        reading = Reading(
            backend=b,
            classes=part.sizes[1],
            dtype=dtype,
            accumulator=b.accumulator(dtype, b.device(part.pred)),
            labels=labels,
            dense=dense,
            weight=weight,
            weighted=part.weight is not None
            and (part.weight.shape[1] > 1 or not b.isdtype(part.weight, "bool")),
            known=self.checked and out is None,
            integral=part.labels or not b.isdtype(part.target, "real floating"),
            slopes=Slopes(),
            memory={},
        )
        return reading, out

    def measure(self) -> list[Measured]:
        """The statistics of each term over all blocks."""
        b = self.backend

        def measured(block: Block, held: list[Measured] | None) -> list[Measured]:
            activation, readings = self.tile(block)
            sums: list[Measured] = []
            for position, (*_, term) in enumerate(self.terms):
                so_far = None if held is None else held[position]
                reading = readings[term.ignore_index]
                if term.accumulates:
                    sums.append(term.measure(activation, reading, so_far))
                    continue
                parts = term.measure(activation, reading)
                if not term.per_sample:
                    parts = tuple(b.add_samples(part) for part in parts)
                if so_far is not None:
                    parts = tuple(x + y for x, y in zip(so_far, parts, strict=True))
                sums.append(parts)
            return sums

        return b.fold(self.grid, measured, [t.per_sample for *_, t in self.terms])

    def maps(self, position: int, slopes: tuple[Array, ...]) -> Array:
        """The loss of each pixel for a pointwise term, (N, 1|C, n)."""
        term = self.terms[position][2]
        samples, classes, pixels = self.laid.sizes
        planes = 1 if term.mode == "multiclass" else classes

        def mapped(block: Block) -> Array:
            activation, readings = self.tile(block)
            return term.map(activation, readings[term.ignore_index], slopes)

        b, dtype = self.backend, self.backend.compute_dtype(self.laid.pred.dtype)
        device = b.device(self.laid.pred)
        out = b.fill(
            self.grid,
            mapped,
            dtype,
            lambda: b.xp.empty((samples, planes, pixels), dtype=dtype, device=device),
        )
        if term.mode == "multiclass":
            return inputs.restore_map(b, out, self.laid)
        return inputs.restore(b, self._counted(out, term), self.laid)

    def _counted(self, planes: Array, term: Term) -> Array:
        """The planes of the classes that count."""
        if term.classes is None:
            return planes
        return self.backend.xp.concat([planes[:, c : c + 1, :] for c in term.classes], axis=1)

    def lay_cotangent(self, term: Term, cotangent: Array | None) -> Array | None:
        """A cotangent of a map of pixels as planes (N, 1|C, n)."""
        if cotangent is None:
            return None
        xp, classes = self.backend.xp, self.laid.sizes[1]
        if term.mode == "multiclass":
            return xp.reshape(cotangent, (self.laid.shape[0], 1, -1))
        planes = inputs.planes(self.backend, cotangent, self.laid.class_axis)
        if term.classes is None:
            return planes
        given = {c: planes[:, i : i + 1, :] for i, c in enumerate(term.classes)}
        zero = xp.zeros_like(planes[:, :1, :])
        return xp.concat([given.get(c, zero) for c in range(classes)], axis=1)

    def pull(self, slopes: Sequence[tuple[Array, ...]], maps: Sequence[Array | None]) -> Array:
        """The gradient, (N, C, n); `maps` holds cotangents per pixel, of pointwise terms."""

        def pulled(block: Block) -> Array:
            activation, readings = self.tile(block)
            for reading in readings.values():
                reading.slopes = Slopes()
            used: list[Reading] = []
            for (*_, term), own, per_pixel in zip(self.terms, slopes, maps, strict=True):
                reading = readings[term.ignore_index]
                if per_pixel is not None:
                    cot = self.backend.cut(per_pixel, block)
                    weight = cot if reading.weight is None else cot * reading.weight
                    reading = replace(reading, weight=weight, slopes=Slopes())
                term.pull(activation, reading, tuple(self.backend.rows(s, block) for s in own))
                if not any(reading is other for other in used):
                    used.append(reading)
            parts = [activation.pull(reading) for reading in used]
            return sum(parts[1:], start=parts[0])

        pred = self.laid.pred
        return self.backend.fill(
            self.grid, pulled, pred.dtype, lambda: self.backend.xp.empty_like(pred)
        )


def _everywhere(masks: Sequence[Array | None]) -> Array | None:
    """Where all masks hold; None, a mask that holds nowhere, if one of them is."""
    held = [mask for mask in masks if mask is not None]
    if len(held) < len(masks):
        return None
    both = held[0]
    for mask in held[1:]:
        both = both & mask
    return both


class Problem:
    """A loss and the arrays of one call, checked and laid out.

    With `adding`, the statistics are to be added to others, so that no term may take a way of
    its own for few pixels. `looking` says whether values have been checked already; by default
    they are checked here, where that is asked for.
    """

    def __init__(
        self,
        backend: Backend,
        loss: Loss,
        pred: Array,
        target: Array,
        weight: Array | None,
        *,
        adding: bool = False,
        looking: bool | None = None,
    ) -> None:
        self.backend, self.loss, self.pred = backend, loss, pred
        self.terms: list[tuple[float, Term]] = []
        walks: dict[tuple[str, bool, int], Walk] = {}
        looked = looking
        if looking is None:
            looking = values.are_checked(backend, pred, target, weight)
        self.looking = looking
        for index, (factor, term) in enumerate(loss.terms):
            key = (term.mode, term.from_logits, term.class_axis)
            if key not in walks:
                laid = inputs.lay_out(backend, term, pred, target, weight)
                walks[key] = Walk(backend, laid, [], looking)
            walk = walks[key]
            inputs.check_term(term, walk.laid)
            if looking and looked is None:
                values.check(backend, term, walk.laid)
            samples, _, pixels = walk.laid.sizes
            used = term if adding else term.for_size(pixels * (1 if term.per_sample else samples))
            walk.terms.append((index, factor, used))
            self.terms.append((factor, used))
        self.walks = list(walks.values())
        self.dtype = backend.compute_dtype(pred.dtype)

    @property
    def small(self) -> bool:
        """Whether the arrays are so small that they may be kept from measure to pull."""
        return all(walk.small for walk in self.walks)

    def check_statistics(self, statistics: Sequence[Measured]) -> None:
        """Raise unless `statistics` fit the samples and classes of the call."""
        samples, classes, _ = self.walks[0].laid.sizes
        for (_, term), part in zip(self.terms, statistics, strict=True):
            expected = (samples if term.per_sample else 1, classes)
            for array in part:
                if not self.backend.owns(array):
                    raise TypeError(
                        f"statistics hold a {type(array).__name__} and pred is a "
                        f"{type(self.pred).__name__}; expected arrays of one library"
                    )
                if tuple(array.shape[:2]) != expected:
                    raise ValueError(
                        f"statistics are of {array.shape[0]} samples and {array.shape[1]} classes "
                        f"and pred asks for {expected[0]} and {expected[1]}; expected those of "
                        "the whole that pred is a part of, with per_image=True of the same samples"
                    )

    def measure(self) -> list[Measured]:
        """The statistics of each term, in their order."""
        found: dict[int, Measured] = {}
        for walk in self.walks:
            for (index, *_), part in zip(walk.terms, walk.measure(), strict=True):
                found[index] = part
        return [found[index] for index in range(len(found))]

    def score(self, statistics: Sequence[Measured]) -> tuple[Array, list[tuple[Array, ...]]]:
        """The value, and the slopes of each term by its statistics."""
        b = self.backend
        scores = [
            score_term(b, factor, term, arrays, self.dtype)
            for (factor, term), arrays in zip(self.terms, statistics, strict=True)
        ]
        slopes = [scored.slopes for scored in scores]
        parts = [scored.value for scored in scores]
        for walk in self.walks:
            for position, (index, _, term) in enumerate(walk.terms):
                if term.maps:
                    parts[index] = walk.maps(position, self._near(slopes[index]))
        return b.scored(add_values(self.loss, parts), self.pred, self.dtype), slopes

    def gradient(self, slopes: Sequence[tuple[Array, ...]], cotangent: Array | None) -> Array:
        """The gradient of Σ cotangent·value by `pred`."""
        b, total = self.backend, None
        for walk in self.walks:
            own, maps = [], []
            for index, _, term in walk.terms:
                own.append(self._near(scale_slopes(b, term, slopes[index], cotangent)))
                maps.append(walk.lay_cotangent(term, cotangent) if term.maps else None)
            part = inputs.restore(b, walk.pull(own, maps), walk.laid)
            total = part if total is None else total + part
        return total

    def _near(self, slopes: tuple[Array, ...]) -> tuple[Array, ...]:
        """Slopes as the tiles take them: beside `pred`, in the dtype of the computation."""
        return tuple(self.backend.scored(slope, self.pred, self.dtype) for slope in slopes)


def check_cotangent(backend: Backend, value: Array | None, cotangent: Array | None) -> None:
    """Raise unless `cotangent` is an array of floats, in the shape of the value if it is known."""
    if cotangent is None:
        return
    if not backend.owns(cotangent) or not backend.isdtype(cotangent, "real floating"):
        raise TypeError(
            f"cotangent is {cotangent!r}; expected an array of floats of the library of pred"
        )
    if value is not None and tuple(cotangent.shape) != tuple(value.shape):
        raise ValueError(
            f"cotangent has shape {tuple(cotangent.shape)}; expected that of the value, "
            f"{tuple(value.shape)}"
        )
