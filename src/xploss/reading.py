"""What the terms of a sum see of a tile's target and weight, and the slopes they give back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .lazy import lazy

if TYPE_CHECKING:
    from ._xp import Array, Dtype
    from .backend import Backend


@dataclass
class Slopes:
    """Derivatives that the terms add up, before the pixel weight; None stands for 0.

    They are taken by the probability p, by its logarithm and that of 1 − p, and by the logit z.
    Those at the truth belong to the class that a pixel's label names.
    """

    p_class: Array | None = None
    """By p, constant over the pixels, (k|1, C, 1)."""
    p: Array | None = None
    """By p, (k, C, m)."""
    p_line: tuple[Array, Array] | None = None
    """By p, what it starts at and rises by with a hard target, each (k|1, C, 1)."""
    p_true: Array | None = None
    """By p of the truth, (k, 1, m), or (k, C, m) if each entry has one."""
    log_p: Array | None = None
    """By log p, (k, C, m)."""
    log_p_true: Array | None = None
    """By log p of the truth, as `p_true`."""
    log_q: Array | None = None
    """By log(1 − p), (k, C, m)."""
    z: Array | None = None
    """By the logit, (k, C, m)."""
    away: tuple[tuple[Array, Array], ...] = ()
    """By the logit against the true side of each entry, (1 − 2t)·z: products of a factor,
    (1, 1|C, 1) or (k, C, m), and (k, C, m), to be added."""

    @property
    def by_p(self) -> bool:
        """Whether there is a slope by p of each entry."""
        return self.p is not None or self.p_class is not None or self.p_line is not None

    @property
    def only_line(self) -> tuple[Array, Array] | None:
        """`p_line`, if there is no other slope by p of each entry."""
        return self.p_line if self.p is None and self.p_class is None else None

    def add(self, name: str, slope: Array) -> None:
        """Add a term's derivative to the sum of that name."""
        held = getattr(self, name)
        setattr(self, name, slope if held is None else held + slope)

    def add_line(self, start: Array, rise: Array) -> None:
        """Add a derivative by p that is a line in a hard target."""
        if self.p_line is not None:
            start, rise = start + self.p_line[0], rise + self.p_line[1]
        self.p_line = start, rise


@dataclass
class Reading:
    """A tile's target and weight as one ignore label leaves them.

    Either `labels` (k, 1, m), where a pixel that is left out has the label of no class, or `dense`
    (k, C, m), with 0 there, is given. `weight` (k, 1|C, m) is 0 where a pixel is left out; None
    stands for 1.
    """

    backend: Backend
    classes: int
    dtype: Dtype
    accumulator: Dtype
    labels: Array | None
    dense: Array | None
    weight: Array | None
    weighted: bool
    """Whether weights other than 0 and 1 may occur, so that counting will not do."""
    known: bool
    """Whether every label is known to be a class, but where a pixel is left out."""
    left_out: Array | None
    """Where a pixel is left out, (k, 1|C, m), as far as that is looked at; None for nowhere."""
    adding: bool
    """Whether the statistics are to be added to others, and so to tell the classes apart."""
    hard: bool
    """Whether every target is known to be 0 or 1."""
    slopes: Slopes
    sizes: dict[Any, Array] | None
    """The number of pixels of a tile as an array, which all tiles of a walk share; or None."""
    memory: dict[Any, Any]
    """What terms and their activation keep of a tile, also until pull, if the tile is kept."""
    whole: dict[Any, Any]
    """The same for terms that see all pixels at once: they have one tile, read again for pull."""

    @lazy
    def place(self) -> Any:
        """Where each pixel's label is among the classes, as the backend looks it up."""
        return self.backend.locate(self.labels, self.classes, self.labelled)

    def forget(self) -> None:
        """Drop what `pull` does not read."""
        self.memory.pop("overlap", None)

    @lazy
    def looked_up(self) -> bool:
        """Whether the overlap of many classes is looked up, not added over masks of each."""
        return self.labels is not None and self.classes > self.backend.few_classes

    @lazy
    def _signed(self) -> Array:
        """2t − 1, (k, C, m), of a dense target."""
        return self.backend.signed(self.truth)

    @lazy
    def _against(self) -> Array:
        """1 − 2t, (k, C, m), of a dense target."""
        return self.backend.against(self.truth)

    @property
    def slope_by_p(self) -> Array | None:
        """The slope by p of each entry, (k, C, m|1), None standing for 0."""
        s = self.slopes
        slope = s.p
        if s.p_line is not None:
            start, rise = s.p_line
            line = self.backend.line(rise, self.truth, start)
            slope = line if slope is None else slope + line
        return slope if s.p_class is None else s.p_class if slope is None else s.p_class + slope

    def toward(self, x: Array, place: Array | None = None) -> Array:
        """(2t − 1)·x of a dense and hard target; it may be in `place`, which may be x."""
        b = self.backend
        chosen = b.chosen(x, self.truth, 1.0, -1.0, place)
        return b.multiply(self._signed, x, place) if chosen is None else chosen

    def away(self, x: Array) -> Array:
        """(1 − 2t)·x of a dense and hard target."""
        chosen = self.backend.chosen(x, self.truth, -1.0, 1.0)
        return self.backend.multiply(self._against, x) if chosen is None else chosen

    def pull_away(self, place: Array | None = None) -> Array | None:
        """The part of the slopes `away`, which may be in `place`; None for 0."""
        pulled = None
        for factor, x in self.slopes.away:
            part = self.backend.times_line(x, -2 * factor, self.truth, factor, place)
            pulled, place = part if pulled is None else pulled + part, None
        return pulled

    @lazy
    def foreground(self) -> Array:
        """Where a class is a pixel's label, (k, C, m)."""
        return self.backend.one_hot(self.labels, self.classes, self.backend.xp.bool)

    @lazy
    def truth(self) -> Array:
        """The target as one number per class, (k, C, m)."""
        if self.labels is None:
            return self.dense
        return self.backend.one_hot(self.labels, self.classes, self.dtype)

    @lazy
    def mass(self) -> Array:
        """Σ w·t per sample and class, (k, C): the target's pixels, counted or weighed."""
        return self.mass_of(None)

    @lazy
    def size(self) -> Array:
        """Σ w per sample and class, (k, C): the pixels that are not left out."""
        xp, given = self.backend.xp, self.labels if self.dense is None else self.dense
        assert given is not None
        shape = (given.shape[0], self.classes)
        if self.weight is None:
            key, sizes = (shape, given.shape[-1]), self.sizes
            if sizes is not None and key in sizes:
                return sizes[key]
            size = self.backend.full(shape, key[1], self.accumulator, given)
            if sizes is not None:
                sizes[key] = size
            return size
        summed = self.backend.sum_pixels(self.weight, None, self.accumulator)
        return xp.broadcast_to(summed, shape)

    @property
    def spread(self) -> bool:
        """Whether the classes of a pixel have weights of their own."""
        return self.weight is not None and self.weight.shape[1] > 1

    @lazy
    def total(self) -> Array:
        """Σ w of the pixels with a class for a label, (k, 1), if weights are not `spread`."""
        known = self.labelled
        return self.size[:, :1] if known is None else self.sum(known)

    @lazy
    def labelled(self) -> Array | None:
        """1 where a pixel has a class for a label, else 0, (k, 1, m); None for 1 everywhere."""
        assert self.labels is not None
        if not self.known:
            known = (self.labels >= 0) & (self.labels < self.classes)
        elif self.left_out is None:
            return None
        else:
            known = ~self.left_out
        return self.backend.numbers(known, self.dtype)

    def mass_of(self, power: int | None) -> Array:
        """Σ w·t^power per sample and class, (k, C)."""
        b = self.backend
        if self.dense is not None:
            return self.sum_where_target(self.dense if power is None else self.dense**power)
        if not self.weighted:
            counts = b.count_classes(self.place, self.classes)
            return b.xp.astype(counts, self.accumulator)
        assert self.labels is not None
        ones = b.xp.ones_like(self.labels, dtype=self.dtype)
        return self.sum_true(ones)

    def sum(self, x: Array) -> Array:
        """Σ w·x over the pixels, (k, C), of x (k, C, m)."""
        return self.backend.sum_pixels(x, self.weight, self.accumulator)

    def sum_where_target(self, x: Array, target: Array | None = None) -> Array:
        """Σ w·x·t over the pixels, (k, C), of x (k, C, m); without t, of an x that is 0 with it."""
        # where a pixel is left out, the target is 0
        weight = self.weight if self.weighted else None
        if weight is not None and target is not None:
            return self.sum(self.backend.multiply(x, target))
        by = target if weight is None else weight
        return self.backend.sum_pixels(x, by, self.accumulator)

    def sum_true(self, x: Array) -> Array:
        """Σ w·x over the pixels of each label, (k, C), of x (k, 1, m)."""
        w = self.weight
        if self.weighted and w is not None:
            w = self.at_truth(w) if w.shape[1] > 1 else w
            x = x * w
        return self.backend.sum_classes(x, self.place, self.classes, self.accumulator)

    def at_truth(self, x: Array) -> Array:
        """`x` (k|1, C, m|1) at each pixel's label, (k, 1, m); 0 where it has none."""
        return self.backend.take_at(x, self.place)
