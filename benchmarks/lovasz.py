"""How exact the Lovász gradient is, and how its time grows: the tables of docs/lovasz.md.

python -m benchmarks.lovasz                     prints them
python -m benchmarks.lovasz accuracy --write    puts one of them (or times, or both) into the page
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from statistics import median
from sys import modules
from typing import Any

import numpy as np
import torch

from xploss import LovaszLoss

from .machine import describe

PAGE = Path(__file__).parents[1] / "docs" / "lovasz.md"
SIZES = (18, 20, 22, 24)
TIMED = range(16, 25)
SHARE = 0.1
"""Of foreground pixels."""
ROUNDS = 5

Array = np.ndarray[Any, np.dtype[np.float64]]
Gradient = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def drawn(size: int, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (1, size) and labels.

    Of "distinct" logits the errors are distinct and float32 holds them exactly, so that nothing but
    the weights can go wrong; "random" are normal, and "trained" such as a trained network gives.
    """
    rng = np.random.default_rng(size)
    t = rng.random((1, size)) < SHARE
    z = rng.normal(size=t.shape)
    if kind == "distinct":
        z = np.where(t, 1, -1) * (1 - 4 * (1 + rng.permutation(size)[None]) / size)
    elif kind == "trained":
        right = rng.random(t.shape) > 0.03
        z = np.where(right == t, 1, -1) * (4 + 8 * rng.random(t.shape))
    return torch.tensor(z, dtype=torch.float32), torch.tensor(t, dtype=torch.int64)


def reference(errors: Array, foreground: Array) -> tuple[Array, Array]:
    """The order of the errors, and the Lovász weights in that order, in float64."""
    order = np.argsort(-errors, kind="stable")
    fore = foreground[order]
    seen, passed = np.arange(1, fore.size + 1), np.cumsum(fore, dtype=np.int64)
    union = (passed[-1] + seen - passed).astype(np.float64)
    left = (passed[-1] - passed).astype(np.float64)
    weights = np.where(fore > 0, 1 / union, left / union / np.maximum(union - 1, 1))
    return order, weights


def exact(z: torch.Tensor, t: torch.Tensor) -> Array:
    """The gradient of the Lovász hinge, in float64."""
    logits, foreground = z.numpy().astype(np.float64)[0], t.numpy()[0]
    sign = 2 * foreground - 1
    errors = 1 - sign * logits
    order, weights = reference(errors, foreground)
    gradient = np.empty_like(errors)
    gradient[order] = weights
    return np.where(errors > 0, -sign * gradient, 0)


def by_autograd(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Gradient:
    """The gradient that a loss has in torch."""

    def gradient(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        leaf = z.detach().requires_grad_()
        loss(leaf, t).backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None
        return leaf.grad

    return gradient


def contenders() -> dict[str, Gradient]:
    """Ours, and the peers that are installed."""
    sort = LovaszLoss("binary", method="sort")
    found = {'"sort"': by_autograd(sort), '"histogram"': by_autograd(LovaszLoss("binary"))}
    if find_spec("kornia"):
        from kornia.losses import lovasz_hinge_loss

        found["kornia"] = by_autograd(lambda z, t: lovasz_hinge_loss(z[:, None, None], t[:, None]))
    if spec := find_spec("segmentation_models_pytorch"):
        # the losses alone, without the networks and what they need
        modules.setdefault("segmentation_models_pytorch", module_from_spec(spec))
        from segmentation_models_pytorch.losses import LovaszLoss as Peer

        found["smp"] = by_autograd(Peer("binary", per_image=False))
    return found


def accuracy() -> Iterator[str]:
    """The relative error of the gradient."""
    rivals = contenders()
    yield "Relative error of the float32 gradient, L2 (L1 in brackets), against float64:\n"
    yield from _head(["predictions", "pixels", *rivals])
    for kind in ("distinct", "random", "trained"):
        for power in SIZES:
            z, t = drawn(2**power, kind)
            right = exact(z, t)
            cells = (_cell(rival(z, t), right) for rival in rivals.values())
            yield f"| {kind} | 2^{power} | {' | '.join(cells)} |"
    yield ""


def _cell(found: torch.Tensor, right: Array) -> str:
    gap = found.numpy().astype(np.float64).reshape(-1) - right
    errors = [np.linalg.norm(gap, order) / np.linalg.norm(right, order) for order in (2, 1)]
    return "{:.1e} ({:.1e})".format(*errors)


def times() -> Iterator[str]:
    """Milliseconds forward and backward, and nanoseconds per pixel, medians of a few rounds."""
    rivals = contenders()
    yield f"Time of value and gradient in ms, in ns per pixel in brackets ({_machine()}):\n"
    yield from _head(["pixels", *rivals])
    for power in TIMED:
        z, t = drawn(2**power, "random")
        spent = {name: median(_seconds(rival, z, t)) for name, rival in rivals.items()}
        cells = (f"{1e3 * s:.3g} ({1e9 * s / 2**power:.3g})" for s in spent.values())
        yield f"| 2^{power} | {' | '.join(cells)} |"
    yield ""


def _seconds(gradient: Gradient, z: torch.Tensor, t: torch.Tensor) -> Iterator[float]:
    gradient(z, t)
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        gradient(z, t)
        yield time.perf_counter() - begin


def _machine() -> str:
    made = describe()
    return f"{made['cpu']}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _head(cells: Sequence[str]) -> Iterator[str]:
    yield f"| {' | '.join(cells)} |"
    yield "|" + " --- |" * len(cells)


TABLES: dict[str, Callable[[], Iterator[str]]] = {"accuracy": accuracy, "times": times}


def put(name: str, table: str) -> None:
    """Put a table between its marks in the page."""
    start, end = f"<!-- {name}: python -m benchmarks.lovasz {name} --write -->", f"<!-- /{name} -->"
    before, marked, rest = PAGE.read_text(encoding="utf-8").partition(start)
    if not marked:
        raise ValueError(f"{PAGE} has no line {start}; expected one where the table goes")
    page = f"{before}{start}\n\n{table}\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(page, encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lovasz", description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="accuracy|times", help="by default both")
    parser.add_argument("--write", action="store_true", help="put them into docs/lovasz.md")
    given = parser.parse_args()
    for name in given.tables or TABLES:
        if name not in TABLES:
            parser.error(f"{name} is no table; expected {' or '.join(TABLES)}")
        table = "\n".join(TABLES[name]())
        if given.write:
            put(name, table)
        else:
            print(table)


if __name__ == "__main__":
    main()
