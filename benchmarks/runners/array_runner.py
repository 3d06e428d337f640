"""NumPy and CuPy, against whole-array code."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from .. import ours
from ..contender import NAIVE, OURS, Contender, Field, agreement
from ..peers.naive import Naive
from ..workloads import Workload, make_inputs


@dataclass(frozen=True)
class ArrayRunner:
    """The contenders of a workload in a library without autodiff."""

    library: str = "numpy"

    def absence(self) -> str | None:
        """Why this cannot run here; None if it can."""
        xp = importlib.import_module(self.library)
        if self.library == "cupy" and not xp.cuda.is_available():
            return "no CUDA GPU on this machine"
        return None

    def field(self, work: Workload, only: str | None = None, run: bool = True) -> Field:
        """The contenders of a workload, run once and compared unless `run` is False."""
        if work.dtype != "float32":
            return Field(absent={OURS: f"{self.library} has no {work.dtype}"})
        xp = importlib.import_module(self.library)
        given = make_inputs(work)
        x, labels = xp.asarray(given.logits), xp.asarray(given.labels)
        y = labels[:, None].astype(x.dtype) if work.mode == "binary" else labels
        del given
        found = Field()
        for name in (OURS, NAIVE):
            if only not in (None, name):
                continue
            contender = self._contender(name, work, x, y)
            agrees = None
            if run:
                contender.both()
                if name == NAIVE:
                    loss = ours.build(work.loss, work.mode)
                    agrees = agreement(float(contender.forward()), float(loss(x, y)), work.dtype)
            found.contenders.append(Contender(name, contender.forward, contender.both, agrees))
        return found

    def _contender(self, name: str, work: Workload, x: Any, y: Any) -> Contender:
        if name == OURS:
            loss = ours.build(work.loss, work.mode)
            return Contender(name, self._done(loss, x, y), self._done(loss.value_and_grad, x, y))
        naive = Naive(importlib.import_module(self.library), work)
        return Contender(
            name, self._done(naive.value, x, y), self._done(naive.value_and_grad, x, y)
        )

    def _done(self, function: Any, x: Any, y: Any) -> Any:
        """A call that has its result when it returns."""

        def call() -> Any:
            result = function(x, y)
            if self.library == "cupy":
                importlib.import_module("cupy").cuda.get_current_stream().synchronize()
            return result

        return call
