"""One picture: the photograph, its mask, where a loss pulls, and what each loss learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from xploss import Loss

    from .scene import Image, Mask, Scene
    from .train import Floats, Run

PAPER, INK, SOFT = "#0f1318", "#f2f4f7", "#9aa5b1"
FOUND, MISSED, FALSE = "#2dd4bf", "#fbbf24", "#ff4d8d"
PULL = LinearSegmentedColormap.from_list("pull", [FALSE, "#171c22", FOUND])
WIDTH, ACROSS = 12.0, 5


def draw(scene: Scene, losses: dict[str, Loss], runs: list[Run]) -> Figure:
    """Draw three large panels, and below them the test half as each loss sees it."""
    tall = float(np.clip(scene.mask.shape[0] / scene.mask.shape[1], 0.3, 2.0))
    rows = -(-(1 + len(runs)) // ACROSS)
    heights = [WIDTH / 3 * tall + 0.4, rows * (2 * WIDTH / ACROSS * tall + 0.3) + 0.7]
    figure = Figure((WIDTH, sum(heights)), dpi=100, facecolor=PAPER, layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    draw_task(above, scene, losses[runs[0].name], runs[0])
    draw_results(below, scene, runs, rows)
    return figure


def draw_task(figure: SubFigure, scene: Scene, loss: Loss, run: Run) -> None:
    """Show the photograph, the mask, and the gradient map of one loss."""
    photograph, mask, pull = figure.subplots(1, 3)
    show(photograph, coloured(scene.image), "photograph", "the left half trains")
    show(mask, painted(scene.image, (scene.mask, FOUND)), "mask", "what is to be found")
    pulled = pull_map(loss, run.logits, scene.mask)
    show(pull, pulled, f"where {run.name} still pulls", "teal: up, pink: down")
    for axes in (photograph, mask, pull):
        axes.axvline(scene.middle - 0.5, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))


def draw_results(figure: SubFigure, scene: Scene, runs: list[Run], rows: int) -> None:
    """Show the right half before training, and what is right and wrong there after it."""
    panels = figure.subplots(rows, min(1 + len(runs), ACROSS), squeeze=False).ravel()
    for axes in panels:
        axes.axis("off")
    half = np.s_[:, scene.middle :]
    seen, truth = scene.image[half], scene.mask[half]
    shown = [("before training", runs[0].start, runs[0].before)]
    shown += [(run.name, run.logits, run.after) for run in runs]
    for axes, (name, logits, score) in zip(panels, shown, strict=False):
        found = logits[half] > 0
        layers = (found & truth, FOUND), (truth & ~found, MISSED), (found & ~truth, FALSE)
        show(axes, painted(seen, *layers), name, f"IoU {score.iou:.3f}")
    legend = {"found": FOUND, "missed": MISSED, "false alarm": FALSE}
    patches = [Patch(color=colour, label=name) for name, colour in legend.items()]
    figure.suptitle("The right half, which no loss has seen", color=SOFT, fontsize=11)
    figure.legend(
        handles=patches, loc="outside lower center", ncols=3, frameon=False, labelcolor=SOFT
    )


def show(axes: Axes, image: Image, title: str, note: str) -> None:
    """Show an image without axes, under its title and a note."""
    axes.imshow(image, interpolation="antialiased")
    axes.axis("off")
    axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
    axes.set_title(note, loc="right", color=SOFT, fontsize=9)


def coloured(image: Image) -> Image:
    """Give a grey image three channels."""
    return np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image


def painted(image: Image, *layers: tuple[Mask, str]) -> Image:
    """Dim the image, and let it shine through the colour of each mask."""
    light = coloured(image).mean(axis=-1, keepdims=True)
    out = np.repeat(0.08 + 0.4 * light, 3, axis=-1)
    for mask, colour in layers:
        out[mask] = (0.45 + 0.55 * light[mask]) * np.asarray(to_rgb(colour))
    return out


def pull_map(loss: Loss, logits: Floats, mask: Mask) -> Image:
    """Colour each pixel by where, and how hard, the gradient of a loss pulls its logit."""
    _, gradient = loss.value_and_grad(logits[None], mask[None])
    strongest = np.quantile(np.abs(gradient), 0.995) + 1e-30
    return np.asarray(PULL(0.5 - 0.5 * np.clip(gradient[0] / strongest, -1, 1)))[..., :3]
