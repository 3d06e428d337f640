"""PyTorch: tiles in eager mode, one piece of pure functions where a graph or trace is made."""

from __future__ import annotations

from typing import Any

import torch

from .. import _xp
from ._torch_eager import DeviceBackend, EagerBackend
from ._torch_graph import TorchBackend
from ._torch_small import SmallBackend, is_small
from ._torch_watch import is_watched

_NAMESPACE = _xp.namespace(torch.empty(0))
_GRAPH = TorchBackend(_NAMESPACE)
EAGER = EagerBackend(_NAMESPACE, _GRAPH)
_SMALL = SmallBackend(_NAMESPACE, _GRAPH)
_DEVICE = DeviceBackend(_NAMESPACE, _GRAPH)


def backend(*arrays: Any) -> TorchBackend:
    """The backend for tensors, by whether somebody watches the operations on them."""
    if torch.compiler.is_compiling() or is_watched(*arrays):
        return _GRAPH
    if is_small(*arrays):
        return _SMALL
    return EAGER if arrays[0].device.type == "cpu" else _DEVICE
