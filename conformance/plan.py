"""Which golden cases a backend takes by which route, in which dtype, in a run of minutes.

`stride` n takes every n-th case, beginning with `first`; `--full` makes every stride 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from conformance.cases import Case
from conformance.grid import DTYPES, family, golden

FAMILIES = (
    "DiceLoss", "JaccardLoss", "TverskyLoss", "FBetaLoss",
    "CrossEntropyLoss", "FocalLoss", "LovaszLoss", "Sum",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A route through the cases in one dtype."""

    route: str
    dtype: str
    stride: int = 1
    first: int = 0

    def cases(self, loss: str) -> list[Case]:
        """The cases of a class of loss that this step takes."""
        taken = [c for c in golden() if self.dtype in c.exact_in][self.first :: self.stride]
        return [c for c in taken if family(c) == loss]


_AUTODIFF = (
    Step("autodiff", "float64"),
    Step("autodiff", "float32", 3),
    Step("autodiff", "float16", 9),
    Step("autodiff", "bfloat16", 9, 3),
)
_PLAIN = (*(Step("eager", d) for d in DTYPES), Step("call", "float32", 3), Step("tiles", "float64"))

# A compilation takes 0.1 to 0.3 s in JAX and 2 to 10 s in torch: float64 and float32 share the cases.
PLANS: dict[str, tuple[Step, ...]] = {
    "numpy": _PLAIN,
    "strict": _PLAIN,
    "cupy": _PLAIN,
    "torch": (
        *_PLAIN,
        *_AUTODIFF,
        Step("aot_eager", "float64", 110, 5),
        Step("aot_eager", "float32", 110, 60),
        Step("inductor", "float32", 700, 77),
    ),
    "torch-tiles": (*_PLAIN, *_AUTODIFF),
    "jax": (
        Step("jit", "float64", 6),
        Step("jit", "float32", 6, 3),
        Step("jit", "float16", 24, 1),
        Step("jit", "bfloat16", 24, 3),
        Step("jit-autodiff", "float64", 24, 5),
        Step("jit-autodiff", "float32", 48, 7),
        Step("eager", "float64", 48, 9),
        Step("call", "float32", 48, 11),
    ),
}


def steps(backend: str, *, full: bool = False) -> Iterator[Step]:
    """The steps of a backend, named as in XPLOSS_BACKENDS."""
    for step in PLANS.get(backend) or PLANS[backend.partition("-")[0]]:
        yield replace(step, stride=1, first=0) if full else step


def batches(cases: Sequence[Case], size: int = 32) -> Iterator[Sequence[Case]]:
    """Cases in groups of at most `size`, which one jit takes together."""
    for start in range(0, len(cases), size):
        yield cases[start : start + size]
