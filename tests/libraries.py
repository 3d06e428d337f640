"""The array libraries that the tests run on: found, selected, and made to look alike."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

Array = Any

# "torch-tiles" computes small tensors as large ones are, which else NumPy does
ROOTS = {
    "numpy": "numpy",
    "strict": "array_api_strict",
    "torch": "torch",
    "torch-tiles": "torch",
    "torch-cuda": "torch",
    "jax": "jax",
    "jax-gpu": "jax",
    "cupy": "cupy",
}


def selected() -> list[str]:
    """The backends that XPLOSS_BACKENDS names, with their devices, or all."""
    named = [name for name in os.environ.get("XPLOSS_BACKENDS", "").split(",") if name]
    if not named:
        return list(ROOTS)
    return [name for name in ROOTS if name in named or name.partition("-")[0] in named]


def required() -> list[str]:
    """The backends that XPLOSS_BACKENDS names, all of which must be there."""
    return [name for name in os.environ.get("XPLOSS_BACKENDS", "").split(",") if name]


def why_absent(name: str) -> str | None:
    """What is missing to run on a backend, or None."""
    if name not in ROOTS:
        return f"{name} is no backend; expected some of {', '.join(ROOTS)}"
    if find_spec(ROOTS[name]) is None:
        return f"{name}: {ROOTS[name]} is not installed"
    if name == "torch-cuda" and not import_module("torch").cuda.is_available():
        return f"{name}: torch finds no CUDA device"
    if name == "jax-gpu" and not _jax_devices("gpu"):
        return f"{name}: JAX finds no GPU"
    if name == "cupy":
        return _why_no_cupy()
    return None


def _jax_devices(kind: str) -> list[Any]:
    try:
        return list(import_module("jax").devices(kind))
    except RuntimeError:
        return []


def _why_no_cupy() -> str | None:
    try:
        count = import_module("cupy").cuda.runtime.getDeviceCount()
    except Exception as error:  # drivers fail in ways of their own
        return f"cupy: {error}"
    return None if count else "cupy: no CUDA device"


@dataclass(frozen=True)
class Library:
    """A namespace with a device; its functions are reached as attributes."""

    name: str
    namespace: Any
    device: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.namespace, name)

    @property
    def family(self) -> str:
        return self.name.partition("-")[0]

    def has(self, dtype: str) -> bool:
        return hasattr(self.namespace, dtype)

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """Numbers or a NumPy array on this library's device; `dtype` may be a name."""
        if isinstance(dtype, str):
            dtype = getattr(self.namespace, dtype)
        # a copy, because torch warns of read-only arrays and shares memory with others
        x = np.array(x, order="C")
        place = {} if self.device is None else {"device": self.device}
        if dtype is None:
            return self.namespace.asarray(x, **place)
        if str(dtype).endswith("bfloat16"):
            x = x.astype(np.float32)
        return self.namespace.asarray(x, dtype=dtype, **place)

    def to_numpy(self, x: Array) -> np.ndarray:
        """The values of an array; half precision as float32."""
        if self.family == "torch":
            x = x.detach().cpu()
            x = x.float() if x.dtype.itemsize < 4 and x.dtype.is_floating_point else x
            return x.numpy()
        if self.family == "cupy":
            return self.namespace.asnumpy(x)
        found = np.asarray(x)
        return found.astype(np.float32) if found.dtype.itemsize == 2 else found

    def assert_like(self, x: Array, shape: tuple[int, ...], dtype: str) -> None:
        """Assert namespace, shape, dtype and device of an array."""
        # NumPy's own functions return 0-d values as scalars
        own = (np.ndarray, np.generic) if self.name == "numpy" else type(self.asarray(0.0))
        assert isinstance(x, own), type(x)
        assert tuple(x.shape) == tuple(shape)
        assert x.dtype == getattr(self.namespace, dtype)
        if self.device is not None:
            assert x.device == self.asarray(0.0).device

    def few(self, items: Sequence[Any]) -> Sequence[Any]:
        """All items; every third where each costs a compilation."""
        return items[::3] if self.family == "jax" else items

    def skip_most(self, item: Any, items: Sequence[Any]) -> None:
        """Skip the test of an item that `few` leaves out."""
        if self.family == "jax" and item not in self.few(items):
            pytest.skip(f"{self.name}: one in three, for each is compiled")

    @property
    def differentiates(self) -> bool:
        return self.family in ("torch", "jax")

    def autodiff(self, function: Callable[..., Array], x: Array, cotangent: Any = None) -> Array:
        """The gradient of Σ cotangent·function(x) by the library's own autodiff."""
        if self.family == "torch":
            x = x.detach().requires_grad_()
            value = function(x)
            upstream = self.namespace.ones_like(value) if cotangent is None else cotangent
            return self.namespace.autograd.grad(value, x, upstream)[0]
        jax = import_module("jax")
        value, pull = jax.vjp(function, x)
        upstream = self.namespace.ones_like(value) if cotangent is None else cotangent
        return pull(upstream)[0]


@contextmanager
def none_small() -> Iterator[None]:
    """Let torch compute small tensors as it does large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xploss.adapters._torch_small.MOST", -1)
        yield


@contextmanager
def all_large() -> Iterator[None]:
    """Let torch walk small arrays as it does large ones, by threads of our own."""
    with none_small(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("xploss.adapters._torch_eager.LARGE", 0)
        yield


@contextmanager
def library(name: str) -> Iterator[Library]:
    """A backend, made the default place of new arrays; JAX computes with 64 bits."""
    if name.startswith("torch"):
        torch = import_module("torch")
        device = torch.device("cuda:0" if name == "torch-cuda" else "cpu")
        with ExitStack() as stack:
            if name == "torch-cuda":
                stack.enter_context(device)
            if name == "torch-tiles":
                stack.enter_context(all_large())
            yield Library(name, torch, device)
    elif name.startswith("jax"):
        jax = import_module("jax")
        device = _jax_devices("gpu" if name == "jax-gpu" else "cpu")[0]
        with jax.default_device(device), jax.enable_x64(True):
            yield Library(name, jax.numpy, device)
    elif name == "strict":
        yield Library(name, import_module("array_api_strict"), None)
    else:
        yield Library(name, import_module(name), None)
