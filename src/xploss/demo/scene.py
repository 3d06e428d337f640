"""What the demo looks at: a photograph, its mask, and the features of its pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import DemoError

Image: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.bool]

MOST_PIXELS = 500_000


@dataclass(frozen=True)
class Scene:
    """A photograph (H, W) or (H, W, 3), the mask (H, W) of what to find, and their origin."""

    image: Image
    mask: Mask
    origin: str

    @property
    def middle(self) -> int:
        """The first column of the right half; the left half trains, the right half tests."""
        return int(self.mask.shape[1]) // 2

    def features(self) -> NDArray[np.float32]:
        """Intensity, edges and texture at several scales, standardised, and a one: (H, W, F)."""
        from skimage.feature import multiscale_basic_features

        colour = -1 if self.image.ndim == 3 else None
        found = multiscale_basic_features(self.image, sigma_max=8, channel_axis=colour)
        train = found[:, : self.middle]
        scaled = (found - train.mean(axis=(0, 1))) / (train.std(axis=(0, 1)) + 1e-6)
        return np.concatenate([scaled, np.ones_like(scaled[..., :1])], axis=-1, dtype=np.float32)


def load(image: Path | None, mask: Path | None) -> Scene:
    """The user's photograph and mask; without any, the coins of scikit-image."""
    if image is None and mask is None:
        return coins()
    if image is None or mask is None:
        raise DemoError("--image and --mask belong together; one of them is missing")
    pixels, marks = read(image), read(mask, indices=True)
    if pixels.shape[:2] != marks.shape[:2]:
        raise DemoError(f"{mask} is {size(marks)} pixels, but {image} is {size(pixels)}")
    step = int(np.ceil(np.sqrt(marks[..., 0].size / MOST_PIXELS)))
    found: Mask = np.any(marks > 0, axis=-1)[::step, ::step]
    scene = Scene(_plane(pixels[::step, ::step]), found, f"{image} with {mask}")
    for half, part in (("left", found[:, : scene.middle]), ("right", found[:, scene.middle :])):
        if part.all() or not part.any():
            raise DemoError(f"the {half} half of {mask} needs both zero and non-zero pixels")
    return scene


def coins() -> Scene:
    """Roman coins; their mask as in the gallery, "edge-based and region-based segmentation"."""
    from scipy.ndimage import binary_fill_holes
    from skimage import data, filters, segmentation

    photograph = data.coins()
    markers = np.where(photograph < 30, 1, np.where(photograph > 150, 2, 0))
    regions = segmentation.watershed(filters.sobel(photograph), markers)
    origin = "coins.png of scikit-image; mask: watershed of its edges (scikit-image's gallery)"
    return Scene(photograph / np.float32(255), binary_fill_holes(regions == 2), origin)


def read(path: Path, indices: bool = False) -> Image:
    """An image file as (H, W, 1|3) of floats from 0 to 1, without its alpha channel.

    Of an image with a palette, the places in it are taken in place of the colours on request.
    """
    import PIL.Image

    if not path.is_file():
        raise DemoError(f"{path} is not a file")
    try:
        with PIL.Image.open(path) as file:
            grey = file.mode in ("1", "L", "I", "I;16", "F") or (indices and file.mode == "P")
            pixels: Image = np.asarray(file if grey else file.convert("RGB"), np.float32)
    except Exception as error:  # every format has errors of its own
        raise DemoError(f"{path} cannot be read as an image") from error
    pixels = pixels / max(pixels.max(), 1)
    return pixels[..., None] if grey else pixels


def _plane(image: Image) -> Image:
    """An image of one channel without that axis."""
    return image[..., 0] if image.shape[-1] == 1 else image


def size(image: Image) -> str:
    """Width by height, as people say it."""
    return f"{image.shape[1]} x {image.shape[0]}"
