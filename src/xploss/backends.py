"""Which array libraries this machine has, and what of xploss works on each: tried, not assumed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from textwrap import shorten
from types import ModuleType
from typing import Any, TypeAlias

from .losses.overlap import DiceLoss

Array: TypeAlias = Any
Device: TypeAlias = Any
Trial: TypeAlias = Callable[[ModuleType, Array, Array], Array]

LOSS = DiceLoss("binary")
PRED, TARGET = [[0.0, 0.0]], [[1, 0]]
# By hand: p = 1/2, so I = 1/2 and P = T = 1; with D = P + T, dL/dp = -2(tD - I)/D², dp/dz = 1/4.
VALUE, GRADIENT = [0.5], [-0.1875, 0.0625]

TRIALS = ("value", "gradient", "autodiff", "jit")
YES, NONE, NO = "yes", "-", "NO"


@dataclass(frozen=True)
class Library:
    """An array library: how to import it, its devices, and how it differentiates and compiles."""

    name: str
    root: str
    namespace: str
    install: str
    devices: Callable[[ModuleType], dict[str, Device]]
    grad: Trial | None = None
    jit: Trial | None = None

    def load(self) -> ModuleType:
        """Import the namespace that makes its arrays; ImportError where it is not installed."""
        return import_module(self.namespace)

    @property
    def trials(self) -> tuple[tuple[Trial | None, list[float]], ...]:
        """What is tried, in the order of `TRIALS`, with the numbers expected of it."""
        return (_value, VALUE), (_gradient, GRADIENT), (self.grad, GRADIENT), (self.jit, VALUE)


def _value(_: ModuleType, pred: Array, target: Array) -> Array:
    return LOSS(pred, target)


def _gradient(_: ModuleType, pred: Array, target: Array) -> Array:
    return LOSS.value_and_grad(pred, target)[1]


def _host(_: ModuleType) -> dict[str, Device]:
    return {"cpu": None}


def _torch_devices(torch: ModuleType) -> dict[str, Device]:
    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        names.append("mps")
    return {name: torch.device(name) for name in names}


def _torch_grad(_: ModuleType, pred: Array, target: Array) -> Array:
    LOSS(pred.requires_grad_(), target).backward()
    return pred.grad


def _torch_jit(torch: ModuleType, pred: Array, target: Array) -> Array:
    # aot_eager traces like the default compiler, but needs no C++ compiler on the machine.
    compiled = torch.compile(lambda z: LOSS(z, target), fullgraph=True, backend="aot_eager")
    return compiled(pred)


def _jax_devices(_: ModuleType) -> dict[str, Device]:
    return {str(device): device for device in import_module("jax").devices()}


def _jax_grad(_: ModuleType, pred: Array, target: Array) -> Array:
    return import_module("jax").grad(LOSS)(pred, target)


def _jax_jit(_: ModuleType, pred: Array, target: Array) -> Array:
    return import_module("jax").jit(LOSS)(pred, target)


def _cupy_devices(cupy: ModuleType) -> dict[str, Device]:
    return {f"cuda:{cupy.cuda.Device().id}": None}


_TORCH = "pip install torch"
_JAX = "pip install jax"
_STRICT = "pip install array-api-strict"
_CUPY = "pip install cupy-cuda13x (or cupy-cuda12x: the CUDA version that nvidia-smi shows)"

LIBRARIES = (
    Library("numpy", "numpy", "numpy", "pip install numpy", _host),
    Library("torch", "torch", "torch", _TORCH, _torch_devices, _torch_grad, _torch_jit),
    Library("jax", "jax", "jax.numpy", _JAX, _jax_devices, _jax_grad, _jax_jit),
    Library("cupy", "cupy", "cupy", _CUPY, _cupy_devices),
    Library("strict", "array_api_strict", "array_api_strict", _STRICT, _host),
)


def table() -> Iterator[str]:
    """The lines of the table, then what went wrong, then how to install what is absent."""
    rows: list[tuple[str, ...]] = [("backend", "version", "device", *TRIALS)]
    problems, absent = [], []
    for library in LIBRARIES:
        try:
            xp = library.load()
        except ImportError:
            absent.append(f"{library.name}: {library.install}")
            continue
        version = str(import_module(library.root).__version__)
        for device, outcomes in _outcomes(library, xp):
            cells = [text if text in (YES, NONE) else NO for text in outcomes]
            rows.append((library.name, version, device, *cells))
            wrong = zip(TRIALS, outcomes, cells, strict=True)
            problems += [
                f"{library.name}, {device}, {x}: {t}" for x, t, cell in wrong if cell == NO
            ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()
    for title, lines in (("What went wrong", problems), ("Not installed", absent)):
        if lines:
            yield from ("", f"{title}:", *(f"  {line}" for line in lines))


def _outcomes(library: Library, xp: ModuleType) -> Iterator[tuple[str, list[str]]]:
    """Each device with the outcome of each trial on it: yes, none, or what went wrong."""
    try:
        devices = library.devices(xp)
    except Exception as error:  # drivers fail in ways of their own
        yield "none", [first_line(error)] * len(TRIALS)
        return
    for name, device in devices.items():
        yield name, [_outcome(xp, device, *trial) for trial in library.trials]


def _outcome(xp: ModuleType, device: Device, trial: Trial | None, expected: list[float]) -> str:
    if trial is None:
        return NONE
    place = {} if device is None else {"device": device}
    try:
        with warnings.catch_warnings(action="ignore"):
            pred = xp.asarray(PRED, dtype=xp.float32, **place)
            result = xp.reshape(trial(xp, pred, xp.asarray(TARGET, **place)), (-1,))
            found = [float(result[index]) for index in range(len(expected))]
    except Exception as error:  # whatever goes wrong is what the table is to show
        return first_line(error)
    if all(math.isclose(*pair, rel_tol=1e-5) for pair in zip(found, expected, strict=True)):
        return YES
    return f"gave {found}, expected {expected}"


def first_line(error: Exception) -> str:
    """An error in one line, which need not be all of it."""
    text = next(iter(str(error).strip().splitlines()), "no message")
    return shorten(f"{type(error).__name__}: {text}", 120, placeholder=" ...")
