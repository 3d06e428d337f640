"""Maps of torch tensors: by NumPy on a CPU, where torch's many small operations take far longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from ._torch_watch import in_dispatch_mode
from .numpy import BACKEND as NUMPY

if TYPE_CHECKING:
    from .._xp import Array
    from ..maps._sweep import Plan


def run(function: Callable[[Array, Plan], Array], array: Array, plan: Plan) -> Array:
    """Call `function(array, plan)` with an array of NumPy, if the tensor may become one."""
    if plan.backend.traces or in_dispatch_mode() or not plan.backend.on_host(array):
        # many small blocks would make a graph long
        return function(array, plan._replace(staged=bool(torch.compiler.is_compiling())))
    # of a copy: torch would not resize the memory of a tensor that NumPy has
    found = function(array.clone().numpy(force=True), plan._replace(backend=NUMPY))
    return torch.from_numpy(np.asarray(found))
