"""Walking (sample, class, pixel) arrays in tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

KEPT = 1 << 20
"""A single tile of at most so many elements is kept for the way back."""
LARGE = 1 << 22
"""From about so many elements on, a tile's memory counts, and what threads cost does not."""


def device_limit(size: int) -> int:
    """How many elements a tile of `size` elements has on a device.

    Some tiles, so that what is computed of one is small beside the whole; but large ones, for each
    operation has to be started.
    """
    return min(1 << 24, max(1 << 22, size >> 3))


@dataclass(frozen=True)
class Block:
    """A tile's place: a range of samples and a range of pixels, with all classes.

    The starts may be traced values; the lengths are plain numbers.
    """

    sample: Any
    samples: int
    pixel: Any
    pixels: int


@dataclass(frozen=True)
class Grid:
    """The blocks that cover N samples of n pixels with C classes, sample by sample.

    Small samples share a block; a large one is divided into blocks of whole pixels.
    """

    samples: int
    classes: int
    pixels: int
    elements: int | None
    """The most that a block may hold; None for one block, whose sizes may be symbols."""
    workers: int = 1
    """How many threads walk over the blocks."""

    @property
    def step(self) -> tuple[int, int]:
        """The samples and pixels of a full block of at most `elements` elements."""
        assert self.elements is not None
        per_sample = self.classes * self.pixels
        if per_sample <= self.elements:
            return max(1, min(self.samples, self.elements // max(per_sample, 1))), self.pixels
        count = -(-per_sample // self.elements)
        return 1, -(-self.pixels // count)

    def by_samples(self) -> Sequence[Sequence[Block]]:
        """The blocks of each range of samples."""
        if self.elements is None or self.samples * self.classes * self.pixels <= self.elements:
            return [[Block(0, self.samples, 0, self.pixels)]]
        return _cover(self.samples, self.pixels, *self.step)

    def __iter__(self) -> Iterator[Block]:
        return chain.from_iterable(self.by_samples())

    def runs(self) -> Sequence[Sequence[Block]]:
        """The blocks in runs of about equal length, one per worker."""
        blocks = list(self)
        if self.workers == 1:
            return [blocks]
        count = min(self.workers, len(blocks))
        ends = [len(blocks) * i // count for i in range(count + 1)]
        return [blocks[a:b] for a, b in pairwise(ends)]


@lru_cache(maxsize=16)
def _cover(samples: int, pixels: int, k: int, m: int) -> tuple[tuple[Block, ...], ...]:
    """The blocks of at most k samples and m pixels, by ranges of samples."""
    return tuple(
        tuple(
            Block(sample, min(k, samples - sample), pixel, min(m, pixels - pixel))
            for pixel in range(0, pixels, m)
        )
        for sample in range(0, samples, k)
    )
