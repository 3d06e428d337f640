"""PyTorch, eager or compiled, on the CPU or a GPU."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import ours
from ..contender import NAIVE, OURS, Contender, Field, agreement
from ..peers.entry import Entry
from ..peers.torch_own import naive
from ..peers.torch_packages import PACKAGES
from ..peers.torch_targets import Targets
from ..workloads import Workload, make_inputs
from .offers import gather


@dataclass(frozen=True)
class TorchRunner:
    """The torch contenders of a workload."""

    compiled: bool = False
    device: str = "cpu"

    def absence(self) -> str | None:
        """Why this cannot run here; None if it can."""
        torch = importlib.import_module("torch")
        if self.device == "cuda" and not torch.cuda.is_available():
            return "no CUDA GPU on this machine"
        return None

    def field(self, work: Workload, only: str | None = None, run: bool = True) -> Field:
        """The contenders of a workload, run once and compared unless `run` is False."""
        torch = importlib.import_module("torch")
        torch.compiler.reset()
        given = make_inputs(work)
        x = torch.from_numpy(given.logits).to(self.device, getattr(torch, work.dtype))
        t = Targets(work, torch.from_numpy(given.labels).to(self.device))
        del given
        packages = {name: partial(package, work, t) for name, package in PACKAGES.items()}
        if self.compiled:
            packages[NAIVE] = partial(naive, work, t)

        def own() -> Entry:
            return Entry(ours.build(work.loss, work.mode), (t.usual,))

        def build(name: str, entry: Entry) -> Contender:
            forward, both = self._passes(entry, x)
            if not run:
                return Contender(name, forward, both, None, entry.note)
            value = forward()
            both()
            return Contender(name, forward, both, agrees(name, entry, value), entry.note)

        def agrees(name: str, entry: Entry, value: Any) -> bool | None:
            if name == OURS or not entry.same:
                return None
            with torch.no_grad():
                loss = ours.build(work.loss, work.mode, **entry.options)
                return agreement(float(value) / entry.scale, float(loss(x, t.usual)), work.dtype)

        return gather(work.loss, {OURS: lambda: {work.loss: own}, **packages}, build, only)

    def _passes(self, entry: Entry, x: Any) -> tuple[Any, Any]:
        torch = importlib.import_module("torch")
        call = torch.compile(entry.call) if self.compiled else entry.call
        leaf = x.detach().requires_grad_()

        def wait() -> None:
            if self.device == "cuda":
                torch.cuda.synchronize()

        def forward() -> Any:
            with torch.no_grad():
                value = call(x, *entry.arrays)
            wait()
            return value

        def both() -> Any:
            value = call(leaf, *entry.arrays)
            (gradient,) = torch.autograd.grad(value, leaf)
            wait()
            return gradient

        return forward, both
