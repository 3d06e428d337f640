"""How tiles are walked over, and the entries that an adapter hooks the gradient into.

The generic backend does with the Array API standard alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ._xp import Array, Dtype
from .engine import Problem, check_cotangent
from .kernels import Kernels
from .scoring import add_values, score_term

if TYPE_CHECKING:
    from .loss import Loss, Term
    from .plan import Part
    from .tiles import Block, Grid
    from .walk import Measured


class Backend(Kernels):
    """The generic backend: any namespace that array-api-compat recognises, on one thread."""

    tile_elements: ClassVar[int] = 1 << 18
    traces: ClassVar[bool] = False
    """Whether arrays are walked in one piece, as a compiler wants it that fuses operations."""
    fuses: ClassVar[bool] = False
    """Whether what is computed entry by entry is one loop, with no arrays in between."""
    keeps_tiles: ClassVar[bool] = True
    """Whether what is read of a single tile may be kept from measure to pull."""
    holds: ClassVar[bool] = False
    """Whether the gradient's array may hold the probabilities until they are pulled."""

    scored_bins: ClassVar[int] = 1 << 13
    """Classes are scored together as long as they have no more bins than this."""
    by_class: ClassVar[bool] = False
    """Whether large statistics and their slopes are better found class by class, from all of p."""

    @property
    def eager(self) -> bool:
        """Whether the arrays of a call are at hand, and nothing is compiled of it."""
        return self.keeps_tiles and not self.traces

    # walks

    def tile_limit(self, part: Part) -> int:
        """How many elements a tile may have; beside large statistics, fewer."""
        return self.tile_elements >> part.bulky

    def workers(self, part: Part) -> int:
        """How many threads walk over the tiles."""
        return 1

    def scoring(self, arrays: Sequence[Array]) -> tuple[Backend, Sequence[Array]]:
        """Where small arrays are scored: their own library unless another is faster."""
        return self, arrays

    def scored(self, x: Array, dtype: Dtype) -> Array:
        """Bring an array out of `scoring` back, in a dtype."""
        return self.xp.astype(x, dtype, copy=False)

    def cut(self, x: Array, block: Block) -> Array:
        """The block of `x`, (N, C, n)."""
        rows = slice(block.sample, block.sample + block.samples)
        return x[rows, :, block.pixel : block.pixel + block.pixels]

    def rows(self, x: Array, block: Block) -> Array:
        """The samples of `block` in an array of one row per sample, or of one row for all."""
        if x.shape[0] == 1:
            return x
        return x[block.sample : block.sample + block.samples, ...]

    def fold(
        self,
        grid: Grid,
        measure: Callable[[Block, list[Measured] | None], list[Measured]],
        terms: Sequence[Term],
    ) -> list[Measured]:
        """Add the statistics of each term over all blocks; stack those per sample.

        `measure` may add a block's statistics to those of the block before. Blocks are added in
        runs, and the runs in order, so that the sum does not depend on which thread is faster.
        """

        def run(blocks: Sequence[Block]) -> list[Measured]:
            rows: list[list[Measured]] = []
            for block in blocks:
                rows.append(measure(block, rows[-1] if rows else None))
            return [
                self.united(parts[-1])
                if term.accumulates
                else tuple(self.total(c, term.per_sample) for c in zip(*parts, strict=True))
                for term, parts in zip(terms, zip(*rows, strict=True), strict=True)
            ]

        stacked = any(term.per_sample for term in terms)
        runs = list(grid.by_samples()) if stacked else grid.runs()
        if len(runs) == 1:
            return run(runs[0])
        found: list[list[Measured]] = self.map(run, runs, grid.workers)
        return [
            tuple(self._joined(c, term) for c in zip(*parts, strict=True))
            for term, parts in zip(terms, zip(*found, strict=True), strict=True)
        ]

    def _joined(self, parts: Sequence[Array], term: Term) -> Array:
        if term.per_sample:
            return self.xp.concat(parts, axis=0)
        return self.added(parts) if term.accumulates else sum(parts[1:], start=parts[0])

    def added(self, parts: Sequence[Array]) -> Array:
        """The sum of large arrays, of which the first may be used up."""
        total = parts[0]
        for part in parts[1:]:
            total += part
        return total

    def total(self, parts: Sequence[Array], per_sample: bool) -> Array:
        """Σ of the statistics of tiles (k, C, ...), and over their samples unless `per_sample`."""
        if not per_sample:
            parts = [self.add_samples(part) for part in parts]
        return sum(parts[1:], start=parts[0])

    def map(self, function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> list[Any]:
        """`function` of each item, in order, by so many threads."""
        return [function(item) for item in items]

    def fill(
        self,
        grid: Grid,
        function: Callable[[Block, Array | None], Array],
        dtype: Dtype,
        make: Callable[[], Array],
        room: Array | None = None,
    ) -> Array:
        """`room`, or what `make` gives, with the blocks that `function` returns.

        `function` is given the block's place, which it may fill and return, or None.
        """
        blocks = list(grid)
        if len(blocks) == 1 and room is None:
            return self.cast(function(blocks[0], None), dtype)
        out = make() if room is None else room
        # tiles are not computed in half precision
        wide = out.dtype == self.compute_dtype(out.dtype)

        def write(block: Block) -> None:
            place = self.cut(out, block)
            found = function(block, place if wide else None)
            if found is not place:
                self.write(place, found)

        self.map(write, blocks, grid.workers)
        return out

    def add_samples(self, x: Array) -> Array:
        """Σ over the samples, axis 0, which is kept."""
        return x if x.shape[0] == 1 else self.xp.sum(x, axis=0, keepdims=True, dtype=x.dtype)

    # the entries that autodiff hooks into

    def value(self, loss: Loss, pred: Array, target: Array, weight: Array | None) -> Array:
        """The value of the loss, differentiable where the library has autodiff."""
        problem = Problem(self, loss, pred, target, weight)
        return problem.score(problem.measure())[0]

    def value_and_grad(
        self,
        loss: Loss,
        pred: Array,
        target: Array,
        weight: Array | None,
        cotangent: Array | None,
        statistics: Sequence[Measured] | None,
    ) -> tuple[Array, Array]:
        """The value, and the gradient of Σ cotangent·value."""
        adding = statistics is not None
        problem = Problem(self, loss, pred, target, weight, adding=adding)
        if statistics is None:
            statistics = problem.measure(ahead=True)
        else:
            problem.check_statistics(statistics)
        value, slopes = problem.score(statistics)
        check_cotangent(self, pred, value, cotangent)
        return value, problem.gradient(slopes, cotangent)

    def statistics(
        self, loss: Loss, pred: Array, target: Array, weight: Array | None
    ) -> tuple[list[Measured], Dtype]:
        """The statistics of each term, and the dtype of the value."""
        problem = Problem(self, loss, pred, target, weight, adding=True)
        # terms may share arrays or hold views; what is given out may be changed in place
        own = [tuple(self.xp.concat([x], axis=0) for x in part) for part in problem.measure()]
        return own, problem.dtype

    def from_statistics(self, loss: Loss, parts: Sequence[Measured], dtype: Dtype) -> Array:
        """The value from the statistics of each term."""
        scores = [
            score_term(self, factor, term, part, dtype).value
            for (factor, term), part in zip(loss.terms, parts, strict=True)
        ]
        return self.scored(add_values(loss, scores), dtype)
