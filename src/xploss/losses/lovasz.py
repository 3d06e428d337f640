"""The Lovász extension of the Jaccard loss, from histograms of the errors or from their order.

With the errors in descending order, and I foreground pixels and U of the union left after a
pixel, the derivative of the extension by the error is 1/U at a foreground pixel and I/(U(U − 1))
at another: increments of the Jaccard loss in closed form, never the difference of two nearly
equal numbers.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from .. import parameters
from ..loss import Term
from ._lovasz_bins import table, weights_of_bins
from ._lovasz_order import weights_of_order
from .region import share_of_classes

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._xp import Array, Dtype
    from ..activations import Activation
    from ..backend import Backend
    from ..reading import Reading

MOST = 1 << 19
"""The most bins: with more, a place in float32 would hardly have a digit within a bin."""
SMALL = 1 << 14
"""Up to so many pixels per class, sorting takes little, and is exact."""


@dataclass(frozen=True, repr=False)
class LovaszLoss(Term):
    """Lovász loss: the Lovász extension of the Jaccard loss, of errors per pixel and class.

    Multi-class (Lovász-softmax): errors abs(t − p). Binary and multi-label: the hinge errors
    max(0, 1 − (2t − 1)·logit), or abs(t − p) with ``surrogate="probability"``, and always so for
    probabilities. With the errors of a class in descending order, the loss is Σ e·w, where w is
    1/U at a foreground pixel and I/(U(U − 1)) at another, I and U the foreground pixels and the
    union left after the pixel. Without foreground it is the largest error. Pixel weights turn
    counts into sums of weights: w/U and I·w/(U(U − w)).

    Parameters
    ----------
    {shared}
    {region}
    surrogate : {"hinge", "probability"}, default "hinge"
        The errors of logits in binary and multi-label mode; all others are of probabilities.
    method : {"histogram", "sort"}, default "histogram"
        ``"sort"`` is exact. ``"histogram"`` counts and adds the errors in bins, in time linear
        in the pixels; its statistics add over tiles, batches and ranks.
    bins : int, optional
        The bins of the histogram, at least 2; 8192 for probability errors and 20480 for hinge
        errors by default.

    Notes
    -----
    Targets are hard: values other than 0 and 1 are refused where values are checked.

    The histogram is the default because it is right and cheap. Against a sort in float64, the
    value is typically within 1e-7, and the gradient within 1 to 3/sqrt(bins·foreground pixels) in
    relative L2: 1e-4 for a tenth of foreground in 512², where a float32 sort with differenced
    weights, as other libraries have it, is 0.3% off (19% at 256³). It is less in larger images,
    and more where nearly all errors are alike, or background weighs much more than foreground.

    A class of at most 2^14 pixels is sorted, which is exact and takes at most some three times as
    long, unless a call has more than 2^20 entries. Statistics are always those of the histogram.

    Take ``"sort"`` if a class has a handful of foreground pixels in a large image and its
    gradient has to be exact, or if a class without foreground (``absent="keep"``) has to cost its
    largest error to the last digit: the histogram takes the mean error of the highest bin.

    If no pixel counts, the loss is 0 with a zero gradient.

    References
    ----------
    Berman, Triki, Blaschko, "The Lovász-softmax loss", CVPR 2018, eq. 8 and 9 and algorithm 1.
    """

    _: KW_ONLY
    per_image: bool = False
    absent: Literal["keep", "skip", "zero"] | None = None
    surrogate: Literal["hinge", "probability"] = "hinge"
    method: Literal["histogram", "sort"] = "histogram"
    bins: int | None = None

    hard_targets: ClassVar[bool] = True
    absent_default: ClassVar[str] = '"skip" in multi-class mode, else "keep"'

    def __post_init__(self) -> None:
        super().__post_init__()
        parameters.flag("per_image", self.per_image)
        if self.absent is None:
            self._set("absent", "skip" if self.mode == "multiclass" else "keep")
        parameters.choice("absent", self.absent, ("keep", "skip", "zero"))
        parameters.choice("surrogate", self.surrogate, ("hinge", "probability"))
        parameters.choice("method", self.method, ("histogram", "sort"))
        if self.bins is not None:
            self._set("bins", parameters.integer("bins", self.bins))
            if not 2 <= self.bins <= MOST:
                raise ValueError(f"bins is {self.bins}; expected 2 to {MOST}")
            if self.method == "sort":
                raise ValueError(
                    f'bins is {self.bins} and method is "sort", which has none; expected None, or '
                    'method="histogram"'
                )

    @property
    def hinge(self) -> bool:
        """Whether the errors are those of the hinge."""
        return self.surrogate == "hinge" and self.mode != "multiclass" and self.from_logits

    @property
    def whole(self) -> bool:
        return self.method == "sort"

    @property
    def by_p(self) -> bool:
        return not self.hinge

    @property
    def accumulates(self) -> bool:
        return self.method == "histogram"

    @property
    def takes_notes(self) -> bool:
        return self.hinge and self.method == "histogram"

    @property
    def count(self) -> int:
        """The bins."""
        return self.bins or (20480 if self.hinge else 8192)

    def for_size(self, pixels: int) -> Term:
        return replace(self, method="sort", bins=None) if pixels <= SMALL else self

    def check_adds(self) -> None:
        if self.method == "sort":
            raise ValueError(
                f'{self} has method="sort", which has to see all pixels at once; expected '
                '"histogram" to take statistics'
            )

    def errors(self, activation: Activation, reading: Reading) -> Array:
        """The errors, (k, C, m)."""
        b = reading.backend
        if self.hinge:
            return b.hinge(activation.x, reading.truth)
        if reading.labels is None:
            return b.distance(reading.truth, activation.p)
        rest = b.complement(activation.true(reading))
        return b.put_at(b.copied(activation.p), reading.place, rest)

    def measure(
        self,
        activation: Activation,
        reading: Reading,
        held: tuple[Array, ...] | None = None,
    ) -> tuple[Array, ...]:
        b = reading.backend
        if self.method == "sort":
            return weights_of_order(self, activation, reading).statistics
        samples = activation.x.shape[0] if self.per_image else 1
        shape = (samples, reading.classes, 2, self.count)
        errors = self.errors(activation, reading) if reading.labels is None else None
        index = b.index_bins(self._place(activation, reading, errors), shape)
        if errors is None:
            # where the places were
            errors = self.errors(activation, reading)
        if reading.weight is not None:
            index = b.leave_out(index, reading.weight, math.prod(shape))
        weight = reading.weight if reading.weighted else None
        return b.histogram(index, errors, weight, shape, held, reading.accumulator)

    def _place(
        self, activation: Activation, reading: Reading, errors: Array | None = None
    ) -> Array:
        """The place of each error among the bins of its class, which may be in the notes."""
        b = reading.backend
        place = partial(b.place_errors, bins=self.count, hinge=self.hinge)
        if reading.labels is None:
            if errors is None:
                errors = self.errors(activation, reading)
            truth = reading.truth
            if not reading.hard:
                truth = b.cast(truth > 0.5, truth.dtype)
            return place(errors, truth=truth, room=activation.notes)
        rest = b.complement(activation.true(reading))
        return b.put_at(
            place(activation.p), reading.place, place(rest, truth=b.constant(1.0, rest))
        )

    def score(
        self, statistics: tuple[Array, ...], backend: Backend, bits: int
    ) -> tuple[Array, Array, tuple[Array, ...]]:
        if len(statistics) == 3:
            # the slopes of each pixel are known, but for the share of its class
            slopes: tuple[Array, ...] = (backend.xp.ones_like(statistics[0]),)
        else:
            statistics, slopes = self.score_classes(statistics, backend, bits)
        losses, mass, size = statistics
        weights = backend.constant(self.weights(losses.shape[1]), losses)[None, :]
        return losses, share_of_classes(self, weights, mass, size, backend), slopes

    def class_counts(self, c: int, classes: int, is_somewhere: Callable[[], bool]) -> bool:
        if self.absent == "zero":
            # an image whose classes all cost 0 has a share in the mean
            return True
        return self.weights(classes)[c] > 0 and (self.absent == "keep" or is_somewhere())

    def score_classes(
        self, statistics: tuple[Array, ...], backend: Backend, bits: int
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Loss, Σ w·t, Σ w; and the table, (R, C, 2, bins, 2): a few classes at a time."""
        xp, (size, total) = backend.xp, statistics
        # of the pixels' dtype
        narrow = xp.float64 if bits == 64 else xp.float32
        (rows, classes), step = size.shape[:2], max(1, backend.scored_bins // self.count)
        # a trace would hold the same operations again for each part
        if rows * classes <= step or not backend.in_place:
            *found, lines = self._score_bins(size, total, backend, narrow)
            return tuple(found), (lines,)
        slopes = xp.empty((*size.shape, 2), dtype=narrow, device=backend.device(total))
        samples = []
        for r in range(rows):
            sums = []
            for c in range(0, classes, step):
                part = (slice(r, r + 1), slice(c, min(c + step, classes)), ...)
                *found, lines = self._score_bins(size[part], total[part], backend, narrow)
                backend.write(slopes[part], lines)
                sums.append(found)
            samples.append([xp.concat(parts, axis=1) for parts in zip(*sums, strict=True)])
        return tuple(xp.concat(parts, axis=0) for parts in zip(*samples, strict=True)), (slopes,)

    def _score_bins(
        self, size: Array, total: Array, backend: Backend, narrow: Dtype
    ) -> tuple[Array, ...]:
        """Loss, Σ w·t, Σ w and the table of some classes from their bins, (R, C, 2, bins)."""
        xp = backend.xp
        size = xp.astype(size, total.dtype)
        mean, rise = weights_of_bins(size, backend)
        loss = xp.sum(mean * total, axis=(2, 3))
        mass = xp.sum(size[:, :, 1, :], axis=2)
        valid = mass + xp.sum(size[:, :, 0, :], axis=2)
        mean, rise = (xp.astype(x, narrow, copy=False) for x in (mean, rise))
        slopes = table(size, total, mean, rise, backend, self.hinge)
        return loss, mass, valid, slopes

    def pull(self, activation: Activation, reading: Reading, slopes: tuple[Array, ...]) -> None:
        b = reading.backend
        if self.method == "sort":
            order = weights_of_order(self, activation, reading)
            slope = order.slopes * slopes[0][:, :, None]
        else:
            place = activation.notes if activation.ready else None
            if place is None:
                place = self._place(activation, reading)
            samples = place.shape[0] if self.per_image else 1
            index = b.index_bins(place, (samples, reading.classes, 2, self.count))
            slope = b.look_up_lines(slopes[0], index, place)
        reading.slopes.add("z" if self.hinge else "p", slope)
