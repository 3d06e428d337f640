"""Which measurements a run makes: jobs, each for one process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .regimes import Regime
from .timing import Effort
from .workloads import SHAPES, Workload

SUITES = ("time", "memory", "scaling")
COMPILED = ("torch compiled", "cuda compiled", "jax", "jax gpu")


@dataclass(frozen=True)
class Job:
    """What one process measures."""

    suite: str
    runner: str
    shape: str
    loss: str
    dtype: str
    passes: tuple[str, ...]
    regime: Regime
    effort: Effort

    @property
    def work(self) -> Workload:
        """The loss on its arrays."""
        return Workload(self.loss, SHAPES[self.shape], self.dtype)

    def json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Job:
        """From plain data."""
        plain = {**data, "passes": tuple(data["passes"])}
        return cls(
            **{**plain, "regime": Regime(**data["regime"]), "effort": Effort(**data["effort"])}
        )


@dataclass(frozen=True)
class Plan:
    """All combinations of a run."""

    suites: tuple[str, ...]
    runners: tuple[str, ...]
    shapes: tuple[str, ...]
    losses: tuple[str, ...]
    dtypes: tuple[str, ...]
    passes: tuple[str, ...]
    regimes: tuple[Regime, ...]
    effort: Effort

    def jobs(self) -> Iterator[Job]:
        """The jobs; those of a regime and runner follow each other."""
        for suite in self.suites:
            for regime in self.regimes:
                for runner in self.runners:
                    yield from self._of(suite, regime, runner)

    def _of(self, suite: str, regime: Regime, runner: str) -> Iterator[Job]:
        if suite != "time" and regime != Regime():
            return
        if regime.load == "busy" and runner != "torch":
            return
        shapes = ("scaling",) if suite == "scaling" else self.shapes
        if suite == "scaling" and runner != "torch":
            return
        for shape in shapes:
            if shape == "small" and (suite != "time" or runner not in ("torch", "numpy")):
                continue
            for dtype in self.dtypes:
                if suite == "scaling" and dtype != "float32":
                    continue
                passes = ("both",) if suite != "time" or regime.load == "busy" else self.passes
                for loss in self.losses:
                    yield Job(suite, runner, shape, loss, dtype, passes, regime, self.effort)
