"""JAX, jitted."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from .. import ours
from ..contender import NAIVE, OURS, Contender, Field, agreement
from ..peers.entry import Entry
from ..peers.naive import Naive
from ..peers.optax import optax
from ..workloads import Workload, make_inputs
from .offers import gather


@dataclass(frozen=True)
class JaxRunner:
    """The JAX contenders of a workload, on a device of a platform."""

    platform: str

    def absence(self) -> str | None:
        """Why this cannot run here; None if it can."""
        jax = importlib.import_module("jax")
        try:
            jax.devices(self.platform)
        except RuntimeError:
            return f"JAX finds no {self.platform.upper()}"
        return None

    def field(self, work: Workload, only: str | None = None, run: bool = True) -> Field:
        """The contenders of a workload, run once and compared unless `run` is False."""
        jax = importlib.import_module("jax")
        jax.config.update("jax_default_device", jax.devices(self.platform)[0])
        jnp = importlib.import_module("jax.numpy")
        given = make_inputs(work)
        x = jnp.asarray(given.logits, dtype=work.dtype)
        labels = jnp.asarray(given.labels, dtype="int32")
        mask = labels[:, None].astype(work.dtype)
        y = mask if work.mode == "binary" else labels
        del given

        def own() -> Entry:
            return Entry(ours.build(work.loss, work.mode), (y,))

        def build(name: str, entry: Entry) -> Contender:
            forward, both, temporaries = _passes(entry, x)
            agrees = None
            if run:
                value = float(forward()) / entry.scale
                both()
                if name != OURS and entry.same:
                    loss = ours.build(work.loss, work.mode, **entry.options)
                    expected = float(jax.jit(loss)(x, y))
                    agrees = agreement(value, expected, work.dtype)
            return Contender(name, forward, both, agrees, entry.note, temporaries)

        packages = {
            OURS: lambda: {work.loss: own},
            "optax": lambda: optax(work, mask, labels),
            NAIVE: lambda: {work.loss: lambda: Entry(Naive(jnp, work).value, (y,))},
        }
        return gather(work.loss, packages, build, only)


def _passes(entry: Entry, x: Any) -> tuple[Any, Any, Any]:
    jax = importlib.import_module("jax")
    given = jax.numpy.moveaxis(x, 1, -1).copy() if entry.channels_last else x
    value = jax.jit(entry.call)
    both = jax.jit(jax.value_and_grad(entry.call))

    def temporaries(step: str) -> int:
        function = value if step == "forward" else both
        analysis = function.lower(given, *entry.arrays).compile().memory_analysis()
        return int(analysis.temp_size_in_bytes)

    return (
        lambda: jax.block_until_ready(value(given, *entry.arrays)),
        lambda: jax.block_until_ready(both(given, *entry.arrays)),
        temporaries,
    )
