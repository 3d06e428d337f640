"""Who computes: an array library, eager or compiled, with us and the peers in it."""

from __future__ import annotations

from typing import Protocol

from ..contender import Field, reason
from ..workloads import Workload
from .array_runner import ArrayRunner
from .jax_runner import JaxRunner
from .torch_runner import TorchRunner


class Runner(Protocol):
    """What a runner has to offer."""

    def absence(self) -> str | None:
        """Why this cannot run here; None if it can."""

    def field(self, work: Workload, only: str | None = None, run: bool = True) -> Field:
        """The contenders of a workload."""


RUNNERS: dict[str, Runner] = {
    "torch": TorchRunner(),
    "torch compiled": TorchRunner(compiled=True),
    "numpy": ArrayRunner(),
    "jax": JaxRunner("cpu"),
    "cuda": TorchRunner(device="cuda"),
    "cuda compiled": TorchRunner(compiled=True, device="cuda"),
    "jax gpu": JaxRunner("gpu"),
    "cupy": ArrayRunner("cupy"),
}


def absence(name: str) -> str | None:
    """Why a runner cannot run here; None if it can."""
    try:
        return RUNNERS[name].absence()
    except ImportError as error:
        return reason(error)
