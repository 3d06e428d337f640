"""Reading a tile: its values looked at, its activation, its target for each ignore label."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import inputs, values
from .activations import Activation, MarginSigmoid, Probability, Sigmoid, Softmax
from .lazy import lazy
from .reading import Reading, Slopes
from .tiles import Block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._xp import Array, Dtype
    from .backend import Backend
    from .plan import Part

MODEST = 1e15
"""Logits up to it have finite costs and slopes in float32, and with factors of up to 1e20."""


@dataclass
class Memory:
    """What a walk remembers from measure to pull."""

    trusted: bool = False
    """Whether the values have been found to be in range."""
    hard: bool = False
    """Whether every target has been found to be 0 or 1."""
    modest: bool = False
    """Whether predictions have been found to be finite wherever pixels are left out."""
    room: Array | None = None
    """The gradient's array, which holds what it is made from: of each tile the odds, p, notes or
    slopes."""
    ahead: tuple[Array, ...] | None = None
    """The slopes, up to a factor, with which `room` holds the gradient already."""
    by_class: bool = False
    """Whether slopes by p are found class by class, and left in `room` until it is used up."""
    scorer: Backend | None = None
    """Where slopes are arrays of."""
    whole: dict[Any, Any] = field(default_factory=dict)
    """What terms that see all pixels at once keep of them."""


@dataclass
class Reader:
    """Reads the tiles of the terms that share an activation."""

    part: Part
    looking: bool
    """Whether the values of the tiles are looked at."""
    _soft: bool = False
    """Whether a target between 0 and 1 has been found."""
    _wild: bool = False
    """Whether a prediction that is left out may be anything."""

    def __post_init__(self) -> None:
        part = self.part
        self.backend, self.dtype = part.backend, part.dtype
        self.laid = inputs.Laid(part.backend, part.layout)
        # not as defaults, whose factories torch.compile cannot trace
        self.memory = Memory()
        self._sizes: dict[Any, Array] = {}

    @lazy
    def accumulator(self) -> Dtype:
        """The dtype of the sums over tiles."""
        return self.backend.accumulator(self.backend.device(self.laid.pred))

    @lazy
    def weighted(self) -> bool:
        """Whether weights other than 0 and 1 may occur, or those of each class."""
        weight = self.laid.weight
        return weight is not None and (weight.shape[1] > 1 or self.part.float_weight)

    def read(
        self, block: Block, room: Array | None, ready: bool
    ) -> tuple[Activation, dict[int | None, Reading]]:
        """The activation of a block, and its target for each ignore label of the terms."""
        b, laid = self.backend, self.laid
        x = b.contiguous(b.cast(b.cut(laid.pred, block), self.dtype))
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
        for ignore in self.part.ignored:
            readings[ignore], out = self._reading(x, target, weight, ignore, fine)
            gone.append(out)
        # what no term reads may be anything; what one term leaves out another may need
        dead = _everywhere(gone)
        if dead is not None and not self._harmless(x):
            x = b.xp.where(dead, b.xp.zeros_like(x), x)
        return self._activation(x, room, ready, list(readings.values())), readings

    def truth_of(self, block: Block, c: int) -> Array:
        """1 where a class is the label, else 0, (k, 1, m)."""
        b = self.backend
        return b.equal(b.cast(b.cut(self.laid.target, block), self.dtype), c)

    def read_class(self, block: Block, c: int) -> Reading:
        """A block's target for one class."""
        b, laid, (ignore,) = self.backend, self.laid, self.part.ignored
        weight = None if laid.weight is None else b.cast(b.cut(laid.weight, block), self.dtype)
        if ignore is not None:
            kept = b.not_equal(b.cut(laid.target, block), ignore, self.dtype)
            weight = kept if weight is None else b.multiply(weight, kept)
        return self.class_reading(self.truth_of(block, c), weight)

    def class_reading(self, truth: Array | None = None, weight: Array | None = None) -> Reading:
        """What is seen of one class, or nothing, for a term that has notes of it."""
        return Reading(
            backend=self.backend,
            classes=1,
            dtype=self.dtype,
            accumulator=self.accumulator,
            labels=None,
            dense=truth,
            weight=weight,
            weighted=self.weighted,
            known=True,
            left_out=None,
            adding=self.part.adding,
            hard=True,
            slopes=Slopes(),
            sizes=None,
            memory={},
            whole={},
        )

    def _activation(
        self, x: Array, room: Array | None, ready: bool, readings: Sequence[Reading]
    ) -> Activation:
        part = self.part
        if not part.first.from_logits:
            return Probability(self.backend, x)
        if part.by_margin and len(readings) == 1 and readings[0].hard:
            alone = len(part.terms) == 1
            return MarginSigmoid(self.backend, x, room, ready, truth=readings[0].truth, alone=alone)
        kind = Sigmoid if part.entrywise else Softmax
        if part.noted:
            return kind(self.backend, x, None, ready, room)
        return kind(self.backend, x, room, ready)

    def _in_range(self, x: Array, target: Array, weight: Array | None) -> bool:
        """Whether all values of a tile have a meaning; False also where one is left out."""
        b, part = self.backend, self.part
        top = part.layout.sizes[1] - 1 if part.layout.labels else 1
        if weight is not None and part.float_weight:
            low, high = b.extent(weight)
            if not (low >= 0 and high <= values.heaviest(b, self.dtype)):
                return False
        # the look for targets other than 0 and 1 is a look for those out of range
        if not (part.bool_target and top >= 1) and not part.float_target and not part.masked:
            low, high = b.extent(self._but_ignored(target))
            if not (low >= 0 and high <= top):
                return False
        if part.first.from_logits:
            return True
        low, high = b.extent(x)
        return low >= 0 and high <= 1

    def _but_ignored(self, target: Array) -> Array:
        """`target`, with 0 for labels that all terms ignore."""
        b, ignored = self.backend, self.part.ignored
        if not self.part.layout.labels or len(ignored) > 1 or ignored[0] is None:
            return target
        # labels that the dtype rounds are out of range in any case
        return b.multiply(b.cast(target, self.dtype), b.not_equal(target, ignored[0], self.dtype))

    def _harmless(self, x: Array) -> bool:
        """Whether all that `x` gives is known to be finite, so that a weight of 0 undoes it."""
        if self.memory.modest:
            return True
        # where all pixels are sorted, any of them has a share in how sums are rounded
        b, harmless, sorts = self.backend, False, self.part.whole
        if b.concrete(x) and b.on_host(x) and not sorts:
            low, high = b.extent(x)
            least, most = (-MODEST, MODEST) if self.part.first.from_logits else (0.0, 1.0)
            harmless = low >= least and high <= most
        if not harmless:
            self._wild = True
        return harmless

    def _reading(
        self, x: Array, target: Array, weight: Array | None, ignore: int | None, fine: bool
    ) -> tuple[Reading, Array | None]:
        """A tile's target and weight, and the pixels (k, 1|C, m) that are left out.

        `fine` says whether all values are known to be in range.
        """
        b, xp = self.backend, self.backend.xp
        zeros = None if weight is None or b.positive(weight) else weight
        out = b.somewhere(values.left_out(b, target, zeros, ignore))
        kept = None
        if weight is not None:
            weight = b.cast(weight, self.dtype)
            if out is not None and ignore is not None:
                weight = xp.where(out, xp.zeros_like(weight), weight)
        elif out is not None:
            weight = kept = b.numbers(~out, self.dtype)
        if out is not None and out.shape[1] > 1 and not self.part.entrywise:
            out = xp.all(out, axis=1, keepdims=True)
        labels, dense = self._target(target, out, kept, ignore, x.shape[1], fine)
        reading = Reading(
            backend=b,
            classes=x.shape[1],
            dtype=self.dtype,
            accumulator=self.accumulator,
            labels=labels,
            dense=dense,
            weight=weight,
            weighted=self.weighted,
            known=fine,
            left_out=out,
            adding=self.part.adding,
            hard=dense is None or self._is_hard(dense),
            slopes=Slopes(),
            sizes=self._sizes if b.eager else None,
            memory={},
            whole=self.memory.whole if b.keeps_tiles else {},
        )
        return reading, out

    def _target(
        self,
        target: Array,
        out: Array | None,
        kept: Array | None,
        ignore: int | None,
        classes: int,
        fine: bool,
    ) -> tuple[Array | None, Array | None]:
        """A tile's labels, or its target as one number per class, without what is left out.

        `kept` is 0 where a pixel is left out, else 1, if only the ignore label leaves out any.
        """
        b, xp = self.backend, self.backend.xp
        labels, dense = None, None
        if self.part.layout.labels:
            labels = b.cast(target, b.index_dtype())
            # of other labels than those of classes none is counted
            named = kept is None or (ignore is not None and 0 <= ignore < classes)
            if out is not None and named and out.shape[1] == 1:
                labels = xp.where(out, -xp.ones_like(labels), labels)
            if self.part.first.mode == "multilabel":
                labels, dense = None, b.one_hot(labels, classes, self.dtype)
                # a label of no class has no one
                out = out if kept is None else None
        else:
            exact = fine or self.part.bool_target or self.part.float_target
            dense = b.numbers(target if exact else b.equals(target, 1), self.dtype)
            if kept is not None:
                dense, out = b.blanked(dense, kept), None
        if dense is not None and out is not None:
            dense = xp.where(out, xp.zeros_like(dense), dense)
        return labels, dense

    def _is_hard(self, dense: Array) -> bool:
        """Whether every target of a tile is 0 or 1; if not, it is looked whether it is in range."""
        part = self.part
        hard = not part.float_target or self.memory.hard or self.backend.is_hard(dense)
        if not hard:
            # threads may do so at the same time
            self._soft = True
        if (part.masked or not hard) and self.looking and not self.memory.trusted:
            low, high = self.backend.extent(dense)
            if not (low >= 0 and high <= 1):
                self.check()
        return hard

    def check(self) -> None:
        """Raise for a value without a meaning."""
        for *_, term in self.part.terms:
            values.check(self.backend, term, self.laid, self.dtype)

    def conclude(self) -> None:
        """Remember what all tiles were found to be."""
        if self.looking and not self.memory.trusted:
            if self._soft and any(term.hard_targets for *_, term in self.part.terms):
                self.check()
            self.memory.trusted = True
            self.memory.hard = not self._soft
        self.memory.modest = not self._wild


def _everywhere(masks: Sequence[Array | None]) -> Array | None:
    """Where all masks hold; None, a mask that holds nowhere, if one of them is."""
    held = [mask for mask in masks if mask is not None]
    if len(held) < len(masks):
        return None
    both = held[0]
    for mask in held[1:]:
        both = both & mask
    return both
