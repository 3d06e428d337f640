"""The base classes of the losses: their public face, and what one loss has to define."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass, fields
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from . import docs, parameters
from .adapters import backend_of
from .statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._xp import Array
    from .activations import Activation
    from .backend import Backend
    from .reading import Reading

Mode = Literal["binary", "multiclass", "multilabel"]
Reduction = Literal["mean", "sum", "none"]


class Loss(ABC):
    """A loss, or a weighted sum of losses.

    A loss holds hyperparameters only: no arrays, no device, no memory of earlier calls. It is
    hashable, comparable, picklable and safe to share between threads. Losses are added, and
    multiplied and divided by numbers, to build weighted sums.
    """

    @property
    @abstractmethod
    def terms(self) -> tuple[tuple[float, Term], ...]:
        """The single losses and their factors."""

    def __call__(self, pred: Array, target: Array, /, *, weight: Array | None = None) -> Array:
        """The value of the loss.

        Parameters
        ----------
        pred : array of floats, (N, C, *S)
            Logits, or probabilities with ``from_logits=False``. The classes are at
            ``class_axis``; *S is any number of spatial axes, also none. In mode ``"binary"``
            (N, *S), or with a class axis of length 1.
        target : array
            Class labels, of any integer or bool dtype, (N, *S) or with a class axis of length
            1; or one number in [0, 1] per class, of any integer, bool or floating dtype, in the
            shape of `pred`.
        weight : array of floats or bools, optional
            Pixel weights of at least 0: (N, *S), that with a class axis of length 1, or the
            shape of `pred`. 0 leaves a pixel out.

        Returns
        -------
        array
            0-d, or the terms with ``reduction="none"``, in the namespace and on the device of
            `pred`; float64 for float64 input, float32 for everything narrower. In torch and JAX
            it is differentiable by `pred`.

        Raises
        ------
        TypeError, ValueError
            For arrays of several libraries or devices, for dtypes and shapes that do not fit
            (nothing is broadcast), for an empty batch, and, where values are checked
            (`xploss.checks`), for labels that are no class.
        """
        return backend_of(pred, target, weight).value(self, pred, target, weight)

    def value_and_grad(
        self,
        pred: Array,
        target: Array,
        /,
        *,
        weight: Array | None = None,
        cotangent: Array | None = None,
        statistics: Statistics | None = None,
    ) -> tuple[Array, Array]:
        """The value of the loss and its gradient by `pred`, on every backend.

        Parameters
        ----------
        pred, target, weight
            As in a call.
        cotangent : array, optional
            In the shape of the value: the gradient is that of Σ cotangent·value. Ones by
            default. For float16, the place of a scale, as slopes of single pixels underflow.
        statistics : Statistics, optional
            The statistics of a whole of which `pred` is a part (a tile, a rank's batch), added
            up: value and gradient are then those of the loss of the whole.

        Returns
        -------
        value : array
            As a call returns it, without a graph.
        gradient : array
            In the shape, dtype and device of `pred`.
        """
        whole = None if statistics is None else self._own(statistics)
        return backend_of(pred, target, weight).value_and_grad(
            self, pred, target, weight, cotangent, whole
        )

    def statistics(
        self, pred: Array, target: Array, /, *, weight: Array | None = None
    ) -> Statistics:
        """The small sums that the loss is computed from.

        They add: the statistics of two tiles, batches or ranks, added, are those of the whole.
        Losses with ``per_image=True`` have them per sample, which add over the tiles of the
        same samples.

        Raises
        ------
        ValueError
            If the loss has no small statistics: pointwise losses with ``reduction="none"`` and
            ``LovaszLoss(method="sort")``.
        """
        for _, term in self.terms:
            term.check_adds()
        parts, dtype = backend_of(pred, target, weight).statistics(self, pred, target, weight)
        return Statistics(self, tuple(parts), dtype)

    def from_statistics(self, statistics: Statistics, /) -> Array:
        """The value of the loss from its statistics: that of the whole, if they were added."""
        parts = self._own(statistics)
        return backend_of(parts[0][0]).from_statistics(self, parts, statistics.dtype)

    def _own(self, statistics: Statistics) -> tuple[tuple[Array, ...], ...]:
        if not isinstance(statistics, Statistics):
            raise TypeError(
                f"statistics is a {type(statistics).__name__}; expected what statistics() of this "
                "loss returns"
            )
        if statistics.loss != self:
            raise ValueError(
                f"statistics are those of {statistics.loss}; expected those of {self}; call "
                "statistics() of the same loss"
            )
        return statistics.parts

    def __add__(self, other: Loss | int) -> Loss:
        if isinstance(other, Loss):
            return WeightedSum(self.terms + other.terms)
        if isinstance(other, Real) and not isinstance(other, bool) and other == 0:
            return self
        return NotImplemented

    __radd__ = __add__

    def __mul__(self, factor: float) -> Loss:
        if isinstance(factor, bool) or not isinstance(factor, Real):
            return NotImplemented
        scale = parameters.number("factor of a loss", factor)
        return WeightedSum(tuple((scale * held, term) for held, term in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Loss:
        if isinstance(divisor, bool) or not isinstance(divisor, Real):
            return NotImplemented
        if divisor == 0:
            raise ValueError("divisor of a loss is 0; expected a finite number other than 0")
        return self * (1 / parameters.number("divisor of a loss", divisor))


@dataclass(frozen=True)
class WeightedSum(Loss):
    """A sum of losses with factors; built by ``+``, ``*`` and ``/``.

    Equal activations of its terms are computed once.
    """

    _terms: tuple[tuple[float, Term], ...]

    @property
    def terms(self) -> tuple[tuple[float, Term], ...]:
        return self._terms

    def __repr__(self) -> str:
        parts = [
            f"{term!r}" if factor == 1 else f"{_short(factor)} * {term!r}"
            for factor, term in self.terms
        ]
        return " + ".join(parts)


@dataclass(frozen=True, repr=False)
class Term(Loss):
    """One loss: its shared hyperparameters, and the three steps that define it.

    A subclass defines `measure` (a tile to statistics), `score` (statistics to the loss per
    class, with its slopes) and `pull` (slopes to derivatives on a tile). Shapes: R is 1, or the
    number of samples with statistics per sample; C classes, m pixels of a tile. Losses that are
    equal are taken for one: all that a loss computes with is in its fields.
    """

    mode: Mode
    _: KW_ONLY
    from_logits: bool = True
    class_axis: int = 1
    classes: Sequence[int] | None = None
    class_weights: Sequence[float] | None = None
    ignore_index: int | None = None
    reduction: Reduction = "mean"

    hard_targets: ClassVar[bool] = False
    """Whether the loss is defined for targets of 0 and 1 only."""
    pointwise: ClassVar[bool] = False
    """Whether the loss is a sum over pixels, of which ``"none"`` returns the terms."""

    def __init_subclass__(cls) -> None:
        if cls.__doc__:
            cls.__doc__ = docs.fill(cls.__doc__, cls.pointwise, cls.absent_default)

    def __post_init__(self) -> None:
        for f in fields(self):
            if isinstance(text := getattr(self, f.name), str) and type(text) is not str:
                self._set(f.name, "".join(text))  # of an enumeration, or NumPy's
        self._set("mode", parameters.choice("mode", self.mode, _MODES))
        parameters.flag("from_logits", self.from_logits)
        self._set("class_axis", parameters.integer("class_axis", self.class_axis))
        if self.class_axis == 0:
            raise ValueError("class_axis is 0, the axis of the samples; expected 1, 2, .. or -1")
        parameters.choice("reduction", self.reduction, ("mean", "sum", "none"))
        if self.classes is not None:
            self._set("classes", parameters.indices("classes", self.classes))
        if self.class_weights is not None:
            self._set("class_weights", parameters.weights("class_weights", self.class_weights))
        if self.ignore_index is not None:
            self._set("ignore_index", parameters.integer("ignore_index", self.ignore_index))
        for name in self.per_class:
            self._check_per_class(name, getattr(self, name))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_per_class(self, name: str, values: Any, classes: int | None = None) -> None:
        """One number per counted class, as far as the number of classes is known."""
        if not isinstance(values, tuple):
            return
        counted = classes
        if self.classes is not None:
            counted = len(self.classes)
        elif self.mode == "binary":
            counted = 1
        if counted is not None and len(values) != counted:
            pair = self.mode == "binary" and len(values) == 2
            hint = "; of two weights, pass pos_weight=w[1] / w[0] to CrossEntropyLoss"
            raise ValueError(
                f"{name} has {len(values)} numbers for {counted} counted classes; "
                f"expected one number per counted class{hint if pair else ''}"
            )

    absent_default: ClassVar[str] = '"keep"'
    per_class: ClassVar[tuple[str, ...]] = ("class_weights",)
    """The parameters that may hold one number per counted class."""

    def check_classes(self, classes: int) -> None:
        """Raise ValueError if a parameter does not fit the number of classes of a call."""
        if self.classes is not None and max(self.classes) >= classes:
            raise ValueError(
                f"classes is {self.classes} and pred has {classes} classes; "
                f"expected class indices in 0..{classes - 1}"
            )
        for name in self.per_class:
            self._check_per_class(name, getattr(self, name), classes)

    def check_adds(self) -> None:
        """Raise ValueError if the loss has no small statistics."""
        if self.maps:
            raise ValueError(
                f'{self} has reduction="none", whose value is a map of pixels; expected '
                '"mean" or "sum" to take statistics'
            )

    @property
    def terms(self) -> tuple[tuple[float, Term], ...]:
        return ((1.0, self),)

    @property
    def per_sample(self) -> bool:
        """Whether statistics are kept per sample."""
        return bool(getattr(self, "per_image", False))

    @property
    def maps(self) -> bool:
        """Whether the value is a map of pixels rather than computed from statistics."""
        return self.pointwise and self.reduction == "none"

    @property
    def by_p(self) -> bool:
        """Whether the loss is differentiated by the probability rather than the logit."""
        return not self.pointwise

    @property
    def by_margin(self) -> bool:
        """Whether all is read of the margin of a hard target."""
        return False

    @property
    def takes_notes(self) -> bool:
        """Whether `pull` is spared work by an array of the tile's shape that `measure` fills."""
        return False

    @property
    def accumulates(self) -> bool:
        """Whether the statistics are so large that tiles should add to them in place."""
        return False

    @property
    def crowded(self) -> bool:
        """Whether more arrays of a tile are needed at a time than by most losses."""
        return self.accumulates

    def for_size(self, pixels: int) -> Term:
        """The loss as it is best computed for so many pixels per class, if nothing is added."""
        return self

    @property
    def whole(self) -> bool:
        """Whether the loss must see all pixels in one tile."""
        return False

    def vector(self, values: Any, classes: int, rest: float) -> tuple[float, ...]:
        """One number, or one per counted class, as one per class with `rest` for the others."""
        counted = range(classes) if self.classes is None else self.classes
        given = values if isinstance(values, tuple) else (values,) * len(counted)
        full = [rest] * classes
        for index, value in zip(counted, given, strict=True):
            full[index] = value
        return tuple(full)

    def weights(self, classes: int) -> tuple[float, ...]:
        """The class weights, one per class; 0 for a class that does not count."""
        return self.vector(1.0 if self.class_weights is None else self.class_weights, classes, 0.0)

    @property
    def uniform(self) -> bool:
        """Whether all classes have the same factor."""
        given = (getattr(self, name) for name in self.per_class)
        return self.classes is None and not any(isinstance(values, tuple) for values in given)

    @abstractmethod
    def measure(
        self,
        activation: Activation,
        reading: Reading,
        held: tuple[Array, ...] | None = None,
    ) -> tuple[Array, ...]:
        """The statistics of a tile, each with the samples as axis 0.

        If the loss `accumulates`, they are added to those `held`, which may be reused.
        """

    @abstractmethod
    def score(
        self, statistics: tuple[Array, ...], backend: Backend, bits: int
    ) -> tuple[Array, Array, tuple[Array, ...]]:
        """The loss per class and its slopes; `bits` are those of the tiles' arithmetic.

        Returns
        -------
        losses : (R, C), or (R, 1) of statistics of all classes together
        share : of the same shape
            The factor of each loss in the value: Σ share·losses is the value, and share·losses
            are the terms that ``"none"`` returns.
        slopes : arrays (R, C, ...)
            Derivatives of `losses` that `pull` takes.
        """

    def class_counts(self, c: int, classes: int, is_somewhere: Callable[[], bool]) -> bool:
        """Of a loss that `accumulates`, whether class `c` of so many has a share in the value.

        `is_somewhere` looks whether the class is the label of a pixel.
        """
        return True

    def score_classes(
        self, statistics: tuple[Array, ...], backend: Backend, bits: int
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Of a loss that `accumulates`, what `score` takes once the slopes of classes are known.

        Returns
        -------
        statistics : arrays (R, C)
            Of the number of classes that were given.
        slopes : arrays (R, C, ...)
            Derivatives of the losses that `pull` takes.
        """
        raise NotImplementedError(f"{type(self).__name__} is not scored class by class")

    @property
    def foreseen(self) -> bool:
        """Whether the slopes of the value are known before the statistics, but for a factor."""
        return False

    def slopes_ahead(self, pixels: Array, backend: Backend) -> tuple[Array, ...]:
        """The slopes of the value of a loss that is `foreseen`, if so many pixels count.

        If fewer do, the slopes differ by a common factor. `pixels` is (1, C), in the library in
        which statistics are scored.
        """
        raise TypeError(f"the slopes of {type(self).__name__} are not known beforehand")

    @abstractmethod
    def pull(self, activation: Activation, reading: Reading, slopes: tuple[Array, ...]) -> None:
        """Add the derivatives of Σ slopes·statistics to ``reading.slopes``."""

    def map(self, activation: Activation, reading: Reading, slopes: tuple[Array, ...]) -> Array:
        """The loss of each pixel of a tile; for pointwise losses."""
        raise TypeError(f"{type(self).__name__} is not a sum over pixels")

    def __repr__(self) -> str:
        shown, usual = [repr(self.mode)], type(self)(self.mode)
        for f in fields(self):
            value = getattr(self, f.name)
            if value != getattr(usual, f.name):
                shown.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


_MODES = ("binary", "multiclass", "multilabel")


def _short(number: float) -> str:
    """The shortest text that reads back as the number."""
    text = f"{number:g}"
    return text if float(text) == number else repr(number)
