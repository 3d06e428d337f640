"""The demo from its options to the table and the picture."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xploss.backends import LIBRARIES, first_line

from . import DemoError
from .losses import chosen
from .scene import load
from .train import STEPS, Run, train

if TYPE_CHECKING:
    from xploss import Loss

    from .scene import Scene

BACKENDS = ("numpy", "torch", "jax", "cupy")


def run(options: Namespace) -> None:
    """Train with each loss, print how well it did, and draw what it learnt."""
    losses = chosen(options.loss)
    asarray = array_maker(options.backend)
    require("skimage", "matplotlib", "tqdm")
    require_place(options.out)
    scene = load(options.image, options.mask)
    print(f"Photograph: {scene.origin}.")
    print(f"The left half trains, on {options.backend}; the right half tests.", flush=True)
    runs = train_all(losses, scene, asarray)
    print_table(runs)
    from .picture import draw

    draw(scene, losses, runs).savefig(options.out)
    print(f"\nThe picture is {options.out}.")


def train_all(losses: dict[str, Loss], scene: Scene, asarray: Callable[[Any], Any]) -> list[Run]:
    """Train with each loss, under one progress bar."""
    from tqdm import tqdm

    features = scene.features()
    runs = []
    pace = 0.1 if sys.stderr.isatty() else 5.0  # seconds between lines: few in a log
    with tqdm(total=len(losses) * STEPS, unit="step", leave=False, mininterval=pace) as bar:
        for name, loss in losses.items():
            bar.set_description(name, refresh=False)
            runs.append(train(name, loss, scene, features, asarray, bar.update))
    return runs


def print_table(runs: Iterable[Run]) -> None:
    """Loss on the left half, IoU and Dice on the right half, before and after, and the time."""
    print(f"\n{'':14}{'loss':>15}{'IoU':>16}{'Dice':>16}{'seconds':>11}")
    for run in runs:
        pairs = zip(run.before, run.after, strict=True)
        scores = "".join(f"{a:8.3f} →{b:6.3f}" for a, b in pairs)
        print(f"{run.name:14}{scores}{run.seconds:10.1f}")


def array_maker(backend: str) -> Callable[[Any], Any]:
    """The function of a backend that makes its arrays."""
    library = next((one for one in LIBRARIES if one.name == backend in BACKENDS), None)
    if library is None:
        raise DemoError(f"no backend is named {backend!r}; the names are {', '.join(BACKENDS)}")
    try:
        xp = library.load()
        xp.asarray(0.0)
    except ImportError as error:
        raise DemoError(f"{backend} is not installed; {library.install}") from error
    except Exception as error:  # a GPU that is not there, in the words of its library
        raise DemoError(f"{backend} cannot make an array here: {first_line(error)}") from error
    make: Callable[[Any], Any] = xp.asarray
    return make


def require(*modules: str) -> None:
    """Refuse to start without the libraries of the demo."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        names = " and ".join(missing).replace("skimage", "scikit-image")
        raise DemoError(
            f"{names} not found; the demo needs: pip install scikit-image matplotlib tqdm"
        )


def require_place(out: Path) -> None:
    """Refuse a picture that could not be written once all the work is done."""
    if out.suffix.lower() != ".png":
        raise DemoError(f"--out is {out}; expected the name of a .png file")
    if not out.absolute().parent.is_dir():
        raise DemoError(f"--out is {out}; its folder does not exist")
