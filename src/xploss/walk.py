"""A walk over tiles: measure them, and pull slopes back to their pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import frexp
from typing import TYPE_CHECKING, Any

from . import inputs
from .activations import Probability
from .lazy import lazy
from .reader import Reader
from .reading import Slopes
from .scoring import among_all, counted
from .tiles import KEPT, Block, Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._xp import Array, Dtype
    from .activations import Activation
    from .loss import Term
    from .reading import Reading


Measured = tuple[Any, ...]
"""The statistics of one term: arrays with the samples, or 1, as axis 0."""


@dataclass
class Walk(Reader):
    """The terms that share an activation, and the tiles they walk over."""

    _kept: tuple[Activation, dict[int | None, Reading]] | None = None

    @lazy
    def grid(self) -> Grid:
        b, part = self.backend, self.part
        sizes = part.layout.sizes
        if b.traces:
            return Grid(*sizes, None)
        if part.whole:
            return Grid(*sizes, part.size)
        limit = b.tile_limit(part)
        return Grid(*sizes, limit, b.workers(part) if part.size > limit else 1)

    @lazy
    def _outward(self) -> Grid:
        """The blocks of an array that is made of others: one, where that is a single loop."""
        part = self.part
        if self.backend.fuses and part.entrywise and not part.accumulates:
            return Grid(*part.layout.sizes, None)
        return self.grid

    @lazy
    def small(self) -> bool:
        """Whether the arrays are one small tile, which is kept from measure to pull."""
        samples, classes, pixels = self.part.layout.sizes
        limit = self.grid.elements
        if limit is None or not self.backend.keeps_tiles:
            return False
        return samples * classes * pixels <= min(limit, KEPT)

    def hold(self) -> None:
        """Let the gradient's array hold what spares the second walk, where it fits.

        That is the gradient itself, up to a factor, if the slopes are known beforehand; else
        the probabilities.
        """
        b, part, pred = self.backend, self.part, self.laid.pred
        if not b.holds or self.small:
            return
        # to multiply what is rounded already, one has to look at the factor
        ahead = part.ahead and (part.wide or b.on_host(pred))
        if ahead:
            _, factor, term = part.terms[0]
            count = b.full((1, part.layout.sizes[1]), self._pixels_ahead(), self.accumulator, pred)
            self.memory.scorer, (count,) = b.scoring((count,))
            slopes = term.slopes_ahead(count, self.memory.scorer)
            self.memory.ahead = tuple(slope * factor for slope in slopes)
        if ahead or part.settles:
            self.memory.room = b.empty_like(pred)

    def _pixels_ahead(self) -> float:
        """The pixels that count, as far as labels alone tell."""
        b, part, (ignore, *_) = self.backend, self.part, self.part.ignored
        samples, _, pixels = part.layout.sizes
        if ignore is None or not part.layout.labels or part.weight is not None:
            return samples * pixels
        if not b.on_host(self.laid.target):
            # a factor will tell
            return samples * pixels

        def left(block: Block) -> float:
            kept = b.not_equal(b.cut(self.laid.target, block), ignore, self.dtype)
            return float(b.add_all(b.sum_pixels(kept, None, self.accumulator)))

        blocks = Grid(samples, 1, pixels, self.grid.elements)
        found: list[float] = b.map(left, blocks, self.grid.workers)
        return sum(found)

    def let_go(self) -> None:
        """Forget the arrays, and what was read of them."""
        self.laid.let_go()
        self._kept = None

    def tile(
        self, block: Block, room: Array | None = None, ready: bool = False
    ) -> tuple[Activation, dict[int | None, Reading]]:
        """The activation of a block, and its target for each ignore label of the terms.

        `room` is where the probabilities are to be, or are already if they are `ready`.
        """
        if not self.small:
            return self.read(block, room, ready)
        if self._kept is None:
            self._kept = self.read(block, room, ready)
        return self._kept

    def measure(self) -> list[Measured]:
        """The statistics of each term over all blocks."""
        b, part, room = self.backend, self.part, self.memory.room
        ahead = None if self.memory.ahead is None else self._near(self.memory.ahead)
        # a gradient in half precision holds nothing meanwhile
        aside = ahead is not None and not part.wide
        # from the probabilities of all pixels, which the tiles leave behind
        later = part.term_by_class if room is not None else None
        now = [position for position in part.order if position != later]
        places = sorted(now)

        def measured(block: Block, held: list[Measured] | None) -> list[Measured]:
            own = None if room is None else b.cut(room, block)
            activation, readings = self.tile(block, None if aside else own)
            found: dict[int, Measured] = {}
            for position in now:
                term = part.terms[position][2]
                so_far = None
                if held is not None and term.accumulates:
                    so_far = held[places.index(position)]
                found[position] = term.measure(activation, readings[term.ignore_index], so_far)
            if own is not None and ahead is not None:
                place = own if part.wide else None
                self._put(own, self._pulled(activation, readings, [ahead], place))
            elif activation.room is not None:
                activation.settle()
            for reading in readings.values():
                reading.forget()
            return [found[position] for position in places]

        sums = b.fold(self.grid, measured, [part.terms[position][2] for position in places])
        found = dict(zip(places, sums, strict=True))
        self.conclude()
        if later is not None:
            found[later] = self._measure_classes(part.terms[later][2])
        return [found[position] for position in range(len(found))]

    def _measure_classes(self, term: Term) -> Measured:
        """The statistics of a term class by class, and its slopes by p where p was, in `room`.

        A class's histogram is held until its slopes are found, which are yet to be multiplied by
        the class's share. A class without one has statistics of 0, and keeps p.
        """
        b, room, (samples, classes, pixels) = self.backend, self.memory.room, self.part.layout.sizes
        bits = 64 if self.dtype == b.xp.float64 else 32
        assert self.grid.elements is not None
        step = self.grid.elements >> 1
        rows = [list(Grid(samples, 1, pixels, step))]
        if term.per_sample:
            blocks = list(Grid(1, 1, pixels, step))
            rows = [[replace(block, sample=i) for block in blocks] for i in range(samples)]
        zero = b.full((1, 1), 0.0, self.accumulator, room)

        def measure_class(row_and_class: tuple[int, int]) -> Measured:
            r, c = row_and_class
            one, held = slice(c, c + 1), None
            if not term.class_counts(c, classes, lambda: self._is_somewhere(rows[r], c)):
                return zero, zero, zero
            for block in rows[r]:
                p = b.cut(room, block)[:, one, :]
                held = term.measure(Probability(b, p, notes=p), self.read_class(block, c), held)
            assert held is not None
            scorer, arrays = b.scoring(b.united(held))
            statistics, slopes = term.score_classes(tuple(arrays), scorer, bits)
            near = self._near(slopes)
            for block in rows[r]:
                notes = b.cut(room, block)[:, one, :]
                reading = self.class_reading()
                term.pull(Probability(b, notes, ready=True, notes=notes), reading, near)
                self._put(notes, reading.slopes.p)
            return tuple(b.scored(x, self.accumulator) for x in statistics)

        pairs = [(r, c) for r in range(len(rows)) for c in range(classes)]
        found = b.map(measure_class, pairs, self.grid.workers)
        self.memory.by_class = True
        shape = (len(rows), classes)
        return tuple(b.reshape(b.xp.concat(x, axis=1), shape) for x in zip(*found, strict=True))

    def _is_somewhere(self, blocks: Sequence[Block], c: int) -> bool:
        """Whether a label of some blocks is a class."""
        return any(self.backend.extent(self.truth_of(block, c))[1] > 0 for block in blocks)

    def maps(self, position: int, slopes: tuple[Array, ...]) -> Array:
        """The loss of each pixel for a pointwise term, (N, 1|C, n)."""
        part = self.part
        term = part.terms[position][2]
        samples, classes, pixels = part.layout.sizes
        planes = 1 if term.mode == "multiclass" else classes
        room, near = self.memory.room, self._near(slopes)

        def mapped(block: Block, place: Array | None) -> Array:
            own = None if room is None else b.cut(room, block)
            activation, readings = self.tile(block, own, ready=own is not None)
            return term.map(activation, readings[term.ignore_index], near)

        b, dtype = self.backend, self.backend.compute_dtype(self.laid.pred.dtype)
        device = b.device(self.laid.pred)
        out = b.fill(
            self._outward,
            mapped,
            dtype,
            lambda: b.xp.empty((samples, planes, pixels), dtype=dtype, device=device),
        )
        if term.mode == "multiclass":
            return inputs.restore_map(b, out, part.layout)
        return inputs.restore(b, counted(b.xp, out, term), part.layout)

    def lay_cotangent(self, term: Term, cotangent: Array | None) -> Array | None:
        """A cotangent of a map of pixels as planes (N, 1|C, n)."""
        if cotangent is None:
            return None
        xp, classes = self.backend.xp, self.part.layout.sizes[1]
        if term.mode == "multiclass":
            return xp.reshape(cotangent, (self.part.layout.shape[0], 1, -1))
        planes = inputs.planes(self.backend, cotangent, self.part.layout.class_axis)
        return among_all(xp, planes, term, classes)

    def pull(
        self,
        slopes: Sequence[tuple[Array, ...]],
        maps: Sequence[Array | None],
        dtype: Dtype | None = None,
    ) -> Array:
        """The gradient, (N, C, n); `maps` holds cotangents per pixel, of pointwise terms.

        It is in the dtype of `pred` if none is given.
        """
        b, pred, memory = self.backend, self.laid.pred, self.memory
        # what is held is used up: another gradient of the same call computes it anew
        room, memory.room = memory.room, None
        if room is None and memory.by_class:
            # the histograms are gone
            again = Walk(self.part, self.looking)
            again.laid, again.memory.trusted = self.laid, memory.trusted
            again.hold()
            again.measure()
            room = again.memory.room
        if room is not None and memory.ahead is not None:
            scaled = self._scale(room, slopes[0], memory.ahead)
            if scaled is not None:
                return scaled
            room = None
        near = [self._near(own) for own in slopes]

        def pulled(block: Block, place: Array | None) -> Array:
            held = None if room is None or memory.by_class else place
            activation, readings = self.tile(block, held, ready=held is not None)
            for reading in readings.values():
                reading.slopes = Slopes()
            own = [tuple(b.rows(s, block) for s in term) for term in near]
            cots = [None if cot is None else b.cut(cot, block) for cot in maps]
            return self._pulled(activation, readings, own, place, cots)

        kind = pred.dtype if dtype is None else dtype
        out = b.fill(self._outward, pulled, kind, lambda: b.cast(b.empty_like(pred), kind), room)
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
        done = self.part.term_by_class if self.memory.by_class else None
        for position, (own, cot) in enumerate(zip(slopes, maps, strict=True)):
            term = self.part.terms[position][2]
            reading = readings[term.ignore_index]
            if cot is not None:
                weight = cot if reading.weight is None else cot * reading.weight
                reading = replace(reading, weight=weight, slopes=Slopes())
            if position == done:
                reading.slopes.add("p", self.backend.multiply(place, own[0][:, :, None], place))
            else:
                term.pull(activation, reading, own)
            if not any(reading is other for other in used):
                used.append(reading)
        if len(used) == 1:
            return activation.pull(used[0], place)
        parts = [activation.pull(reading) for reading in used]
        return sum(parts[1:], start=parts[0])

    def _scale(
        self, room: Array, slopes: tuple[Array, ...], ahead: tuple[Array, ...]
    ) -> Array | None:
        """The gradient of `slopes` from that of `ahead`, in its place; None if rounded twice.

        What is rounded already may be multiplied by a power of 2.
        """
        assert self.memory.scorer is not None
        scorer = self.memory.scorer
        xp = scorer.xp
        given, known = (xp.sum(xp.stack(list(s))) for s in (slopes, ahead))
        (factor,) = self._near((given / xp.where(known != 0, known, xp.ones_like(known)),))
        if scorer.on_host(given) and float(factor) == 1.0:
            return room
        if not (self.part.wide or (scorer.on_host(given) and frexp(float(factor))[0] == 0.5)):
            return None

        def scaled(block: Block, place: Array | None) -> Array:
            return self.backend.multiply(place, factor, place)

        return self.backend.fill(self.grid, scaled, room.dtype, lambda: room, room)

    def _near(self, slopes: tuple[Array, ...]) -> tuple[Array, ...]:
        """Slopes as the tiles take them: beside `pred`, in the dtype of the computation."""
        return tuple(self.backend.scored(slope, self.dtype) for slope in slopes)

    def _put(self, place: Array, x: Array) -> None:
        if x is not place:
            self.backend.write(place, x)
