"""A walk over tiles: measure them, and pull slopes back to their pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import inputs, values
from .activations import Activation, Probability, Sigmoid, Softmax
from .lazy import lazy
from .reading import Reading, Slopes
from .tiles import Block, Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._xp import Array
    from .backend import Backend
    from .loss import Term


Measured = tuple[Any, ...]
"""The statistics of one term: arrays with the samples, or 1, as axis 0."""


KEPT = 1 << 18
"""A single tile of at most so many elements is kept for the way back."""


@dataclass
class Memory:
    """What a walk remembers from measure to pull."""

    trusted: bool = False
    """Whether the values have been found to be in range."""
    hard: bool = False
    """Whether every target has been found to be 0 or 1."""
    room: Array | None = None
    """The gradient's array, which holds what it is made from."""
    ahead: tuple[Array, ...] | None = None
    """The slopes, up to a factor, with which `room` holds the gradient already."""
    scorer: Backend | None = None
    """Where slopes are arrays of."""


@dataclass
class Walk:
    """The terms that share an activation, and the tiles they walk over."""

    backend: Backend
    laid: inputs.Laid
    terms: list[tuple[int, float, Term]]
    looking: bool
    """Whether the values of the tiles are looked at."""
    memory: Memory
    _kept: tuple[Activation, dict[int | None, Reading]] | None = None
    _soft: bool = False
    """Whether a target between 0 and 1 has been found."""

    def __post_init__(self) -> None:
        b, laid = self.backend, self.laid
        self._dtype = b.compute_dtype(laid.pred.dtype)
        self._accumulator = b.accumulator(self._dtype, b.device(laid.pred))
        self._float_target = b.isdtype(laid.target, "real floating")
        self._bool_target = b.isdtype(laid.target, "bool")
        self._weighted = laid.weight is not None and (
            laid.weight.shape[1] > 1 or not b.isdtype(laid.weight, "bool")
        )
        self._sizes: dict[Any, Array] = {}

    @property
    def _first(self) -> Term:
        return self.terms[0][2]

    @lazy
    def _noted(self) -> bool:
        """Whether the gradient's array is for the notes of the only term."""
        return len(self.terms) == 1 and self._first.takes_notes

    @lazy
    def grid(self) -> Grid:
        samples, classes, pixels = self.laid.sizes
        if self.backend.traces:
            return Grid(samples, classes, pixels, None)
        whole = any(t.whole for *_, t in self.terms)
        size = samples * classes * pixels
        if whole:
            return Grid(samples, classes, pixels, size)
        accumulates = any(t.accumulates for *_, t in self.terms)
        limit = self.backend.tile_limit(self.laid.pred, size, accumulates)
        return Grid(samples, classes, pixels, limit)

    @lazy
    def small(self) -> bool:
        """Whether the arrays are one small tile, which is kept from measure to pull."""
        samples, classes, pixels = self.laid.sizes
        limit = self.grid.elements
        if limit is None or not self.backend.keeps_tiles:
            return False
        return samples * classes * pixels <= min(limit, KEPT)

    def hold(self) -> None:
        """Let the gradient's array hold what spares the second walk, where it fits.

        That is the gradient itself, up to a factor, if the slopes are known beforehand; else
        the probabilities.
        """
        b, pred, (_, _, first) = self.backend, self.laid.pred, self.terms[0]
        if not b.holds or self.small or pred.dtype != self._dtype:
            return
        if len(self.terms) == 1:
            one = b.xp.ones(
                (1, pred.shape[1]), dtype=self._accumulator, device=b.device(self.laid.pred)
            )
            self.memory.scorer, (one,) = b.scoring((one,))
            self.memory.ahead = first.slopes_ahead(one, self.memory.scorer)
        by_p = first.mode == "multiclass" or any(t.by_p for *_, t in self.terms)
        whole = any(t.whole for *_, t in self.terms)
        settles = first.from_logits and by_p and not whole
        if self.memory.ahead is not None or settles or self._noted:
            self.memory.room = b.empty_like(pred)

    def tile(
        self, block: Block, room: Array | None = None, ready: bool = False
    ) -> tuple[Activation, dict[int | None, Reading]]:
        """The activation of a block, and its target for each ignore label of the terms.

        `room` is where the probabilities are to be, or are already if they are `ready`.
        """
        if not self.small:
            return self._tile(block, room, ready)
        if self._kept is None:
            self._kept = self._tile(block, room, ready)
        return self._kept

    def _tile(
        self, block: Block, room: Array | None, ready: bool
    ) -> tuple[Activation, dict[int | None, Reading]]:
        b, laid = self.backend, self.laid
        x = b.contiguous(b.cast(b.cut(laid.pred, block), self._dtype))
        target = b.cut(laid.target, block)
        weight = None if laid.weight is None else b.cut(laid.weight, block)
        fine = self.memory.trusted
        if self.looking and not fine and not self._in_range(x, target, weight):
            # bad, or left out: the whole array tells
            self.check()
            self.memory.trusted = True
        fine = self.looking or fine
        readings: dict[int | None, Reading] = {}
        gone: list[Array | None] = []
        for ignore in dict.fromkeys(t.ignore_index for *_, t in self.terms):
            readings[ignore], out = self._reading(x, target, weight, ignore, fine)
            gone.append(out)
        # what no term reads may be anything; what one term leaves out another may need
        dead = _everywhere(gone)
        if dead is not None:
            x = b.xp.where(dead, b.xp.zeros_like(x), x)
        return self._activation(x, room, ready), readings

    def _activation(self, x: Array, room: Array | None, ready: bool) -> Activation:
        if not self._first.from_logits:
            return Probability(self.backend, x)
        kind = Softmax if self._first.mode == "multiclass" else Sigmoid
        if self._noted:
            return kind(self.backend, x, None, ready, room)
        return kind(self.backend, x, room, ready)

    def _in_range(self, x: Array, target: Array, weight: Array | None) -> bool:
        """Whether all values of a tile have a meaning; False also where one is left out."""
        b, top = self.backend, self.laid.sizes[1] - 1 if self.laid.labels else 1
        if weight is not None and b.isdtype(weight, "real floating"):
            low, high = b.extent(weight)
            if not (low >= 0 and high < float("inf")):
                return False
        # the look for targets other than 0 and 1 is a look for those out of range
        if not (self._bool_target and top >= 1) and not self._float_target:
            low, high = b.extent(target)
            if not (low >= 0 and high <= top):
                return False
        if self._first.from_logits:
            return True
        low, high = b.extent(x)
        return low >= 0 and high <= 1

    def _reading(
        self, x: Array, target: Array, weight: Array | None, ignore: int | None, fine: bool
    ) -> tuple[Reading, Array | None]:
        """A tile's target and weight, and the pixels (k, 1|C, m) that are left out.

        `fine` says whether all values are known to be in range.
        """
        b, xp = self.backend, self.backend.xp
        out = b.somewhere(values.left_out(b, target, weight, ignore))
        if weight is not None:
            weight = b.cast(weight, self._dtype)
        elif out is not None:
            weight = xp.ones_like(out, dtype=self._dtype)
        if out is not None:
            weight = xp.where(out, xp.zeros_like(weight), weight)
        if self._first.mode == "multiclass" and out is not None and out.shape[1] > 1:
            out = xp.all(out, axis=1, keepdims=True)
        labels, dense = self._target(target, out, x.shape[1], fine)
        reading = Reading(
            backend=b,
            classes=x.shape[1],
            dtype=self._dtype,
            accumulator=self._accumulator,
            labels=labels,
            dense=dense,
            weight=weight,
            weighted=self._weighted,
            known=fine and out is None,
            hard=dense is None or self._is_hard(dense),
            slopes=Slopes(),
            sizes=self._sizes if b.keeps_tiles and not b.traces else None,
            memory={},
        )
        return reading, out

    def _target(
        self, target: Array, out: Array | None, classes: int, fine: bool
    ) -> tuple[Array | None, Array | None]:
        """A tile's labels, or its target as one number per class, without what is left out."""
        b, xp = self.backend, self.backend.xp
        labels, dense = None, None
        if self.laid.labels:
            labels = b.cast(target, b.index_dtype())
            if out is not None and out.shape[1] == 1:
                labels = xp.where(out, -xp.ones_like(labels), labels)
            if self._first.mode == "multilabel":
                labels, dense = None, b.one_hot(labels, classes, self._dtype)
        else:
            exact = fine or self._bool_target or self._float_target
            dense = b.numbers(target if exact else b.equals(target, 1), self._dtype)
        if dense is not None and out is not None:
            dense = xp.where(out, xp.zeros_like(dense), dense)
        return labels, dense

    def _is_hard(self, dense: Array) -> bool:
        """Whether every target of a tile is 0 or 1; if not, it is looked whether it is in range."""
        if not self._float_target or self.memory.hard:
            return True
        if self.backend.is_hard(dense):
            return True
        self._soft = True
        if self.looking and not self.memory.trusted:
            low, high = self.backend.extent(dense)
            if not (low >= 0 and high <= 1):
                self.check()
        return False

    def check(self) -> None:
        """Raise for a value without a meaning."""
        for *_, term in self.terms:
            values.check(self.backend, term, self.laid)

    def conclude(self) -> None:
        """Remember what all tiles were found to be."""
        if self.looking and not self.memory.trusted:
            if self._soft and any(term.hard_targets for *_, term in self.terms):
                self.check()
            self.memory.trusted = True
            self.memory.hard = not self._soft

    def measure(self) -> list[Measured]:
        """The statistics of each term over all blocks."""
        b, room = self.backend, self.memory.room
        ahead = None if self.memory.ahead is None else self._near(self.memory.ahead)
        # where the gradient is written, only a softmax may be read that is written last
        aside = ahead is not None and self._first.mode != "multiclass"

        def measured(block: Block, held: list[Measured] | None) -> list[Measured]:
            own = None if room is None else b.cut(room, block)
            activation, readings = self.tile(block, None if aside else own)
            found: list[Measured] = []
            for position, (*_, term) in enumerate(self.terms):
                so_far = held[position] if held is not None and term.accumulates else None
                found.append(term.measure(activation, readings[term.ignore_index], so_far))
            if own is not None and ahead is not None:
                self._put(own, self._pulled(activation, readings, [ahead], own))
            elif own is not None:
                activation.settle()
            return found

        found = b.fold(self.grid, measured, [term for *_, term in self.terms])
        self.conclude()
        return found

    def maps(self, position: int, slopes: tuple[Array, ...]) -> Array:
        """The loss of each pixel for a pointwise term, (N, 1|C, n)."""
        term = self.terms[position][2]
        samples, classes, pixels = self.laid.sizes
        planes = 1 if term.mode == "multiclass" else classes
        room, near = self.memory.room, self._near(slopes)

        def mapped(block: Block, place: Array | None) -> Array:
            own = None if room is None else b.cut(room, block)
            activation, readings = self.tile(block, own, ready=own is not None)
            return term.map(activation, readings[term.ignore_index], near)

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
        b, pred, memory = self.backend, self.laid.pred, self.memory
        # what is held is used up: another gradient of the same call computes it anew
        room, memory.room = memory.room, None
        if room is not None and memory.ahead is not None:
            return self._scale(room, slopes[0], memory.ahead)
        near = [self._near(own) for own in slopes]

        def pulled(block: Block, place: Array | None) -> Array:
            held = None if room is None else place
            activation, readings = self.tile(block, held, ready=held is not None)
            for reading in readings.values():
                reading.slopes = Slopes()
            own = [tuple(b.rows(s, block) for s in term) for term in near]
            cots = [None if cot is None else b.cut(cot, block) for cot in maps]
            return self._pulled(activation, readings, own, place, cots)

        out = b.fill(self.grid, pulled, pred.dtype, lambda: b.empty_like(pred), room)
        self.conclude()
        return out

    def _pulled(
        self,
        activation: Activation,
        readings: dict[int | None, Reading],
        slopes: Sequence[tuple[Array, ...]],
        place: Array | None,
        maps: Sequence[Array | None] = (None,),
    ) -> Array:
        """The gradient of a tile, which may be in `place`."""
        used: list[Reading] = []
        for (*_, term), own, cot in zip(self.terms, slopes, maps, strict=True):
            reading = readings[term.ignore_index]
            if cot is not None:
                weight = cot if reading.weight is None else cot * reading.weight
                reading = replace(reading, weight=weight, slopes=Slopes())
            term.pull(activation, reading, own)
            if not any(reading is other for other in used):
                used.append(reading)
        if len(used) == 1:
            return activation.pull(used[0], place)
        parts = [activation.pull(reading) for reading in used]
        return sum(parts[1:], start=parts[0])

    def _scale(self, room: Array, slopes: tuple[Array, ...], ahead: tuple[Array, ...]) -> Array:
        """The gradient of `slopes` from that of `ahead`, in its place."""
        assert self.memory.scorer is not None
        xp = self.memory.scorer.xp
        given, known = (xp.sum(xp.stack(list(s))) for s in (slopes, ahead))
        (factor,) = self._near((given / xp.where(known > 0, known, xp.ones_like(known)),))

        def scaled(block: Block, place: Array | None) -> Array:
            return self.backend.multiply(place, factor, place)

        return self.backend.fill(self.grid, scaled, room.dtype, lambda: room, room)

    def _near(self, slopes: tuple[Array, ...]) -> tuple[Array, ...]:
        """Slopes as the tiles take them: beside `pred`, in the dtype of the computation."""
        return tuple(self.backend.scored(slope, self.laid.pred, self._dtype) for slope in slopes)

    def _put(self, place: Array, x: Array) -> None:
        if x is not place:
            self.backend.write(place, x)


def _everywhere(masks: Sequence[Array | None]) -> Array | None:
    """Where all masks hold; None, a mask that holds nowhere, if one of them is."""
    held = [mask for mask in masks if mask is not None]
    if len(held) < len(masks):
        return None
    both = held[0]
    for mask in held[1:]:
        both = both & mask
    return both
