"""The demo: it learns, draws, takes a user's own files, and refuses what it cannot use."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xploss.__main__ import main
from xploss.demo import command, scene, train
from xploss.demo.losses import LOSSES

from .libraries import Library

pytest.importorskip("skimage", reason="scikit-image (extra demo) is not installed")
pytest.importorskip("matplotlib", reason="matplotlib (extra demo) is not installed")
pytest.importorskip("tqdm", reason="tqdm (extra demo) is not installed")
Image = pytest.importorskip("PIL.Image", reason="Pillow (extra demo) is not installed")


def save(path: Path, pixels: Any) -> Path:
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """Bright squares on a noisy colour ground, 40 pixels wide and 30 high."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, size=(30, 40, 3))
    pixels[squares() > 0] += 150
    return save(tmp_path / "photograph.png", pixels)


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    return save(tmp_path / "mask.png", squares())


def squares() -> np.ndarray:
    marks = np.zeros((30, 40), dtype=np.uint8)
    marks[5:15, 5:15] = marks[12:22, 25:35] = 1
    return marks


def test_learns_the_coins_and_draws_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "picture.png"
    assert main(["demo", "--loss", "dice", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "coins.png of scikit-image; mask: watershed" in text
    assert "on numpy" in text
    (row,) = (line for line in text.splitlines() if line.startswith("dice "))
    before, after = zip(*(pair.split() for pair in row_pairs(row)), strict=True)
    loss, iou, dice = range(3)
    assert float(after[loss]) < 0.1 < float(before[loss])
    assert float(after[iou]) > 0.9 > float(before[iou])
    assert float(after[dice]) > 0.95 > float(before[dice])
    picture = np.asarray(Image.open(out))
    assert picture.shape[1] == 1200
    assert np.unique(picture[..., :3].reshape(-1, 3), axis=0).shape[0] > 1000


def row_pairs(row: str) -> list[str]:
    """The "before after" pairs of a row of the table."""
    cells = row.replace("→", " ").split()[1:-1]
    return [" ".join(cells[start : start + 2]) for start in range(0, len(cells), 2)]


def test_the_mask_of_the_coins_shows_24_of_them() -> None:
    from scipy.ndimage import label

    coins = scene.coins()
    regions, _ = label(coins.mask)
    assert (np.bincount(regions.ravel())[1:] > 500).sum() == 24


def test_all_losses_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "STEPS", 10)
    marks = squares() > 0
    picture = scene.Scene(marks.astype(np.float32), marks, "squares")
    runs = command.train_all(LOSSES, picture, np.asarray)
    assert [run.name for run in runs] == list(LOSSES)
    assert all(run.after.loss < run.before.loss for run in runs)
    assert all(np.isfinite(run.logits).all() for run in runs)


def test_every_backend_learns_the_same(xp: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "STEPS", 10)
    marks = squares() > 0
    picture = scene.Scene(marks.astype(np.float32), marks, "squares")
    features = picture.features()

    def learn(asarray: Any) -> train.Run:
        return train.train("dice", LOSSES["dice"], picture, features, asarray, lambda: None)

    expected, found = learn(np.asarray), learn(xp.asarray)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.after, expected.after, rtol=1e-3)


def test_a_mask_with_a_palette_is_what_its_indices_say(photograph: Path, tmp_path: Path) -> None:
    marks = Image.fromarray(squares()).convert("P")
    # the ground is red, and what is marked black
    marks.putpalette([255, 0, 0, 0, 0, 0])
    marks.save(tmp_path / "palette.png")
    found = scene.load(photograph, tmp_path / "palette.png")
    np.testing.assert_array_equal(found.mask, squares() > 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F"])
def test_takes_images_of_every_kind(mode: str, photograph: Path, mask: Path) -> None:
    own = photograph.with_suffix(".tiff" if mode == "F" else ".png")
    grey = Image.open(photograph).convert("L")
    if mode == "I;16":
        Image.fromarray(np.asarray(grey).astype(np.uint16) * 256).save(own)
    else:
        grey.convert(mode).save(own)
    found = scene.load(own, mask)
    assert found.image.shape in ((30, 40), (30, 40, 3))
    assert found.image.min() >= 0
    assert found.image.max() <= 1
    bright = found.image.reshape(30, 40, -1).mean(axis=-1)
    assert bright[found.mask].mean() > 2 * bright[~found.mask].mean()


def test_takes_the_user_s_own_files(
    photograph: Path, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "picture.png"
    options = ["--image", photograph, "--mask", mask, "--out", out, "--loss", "iou", "--loss", "ce"]
    assert main(["demo", *map(str, options)]) == 0
    assert f"{photograph} with {mask}" in capsys.readouterr().out
    assert out.stat().st_size > 10_000


def test_large_files_are_thinned(
    photograph: Path, mask: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "MOST_PIXELS", 400)
    thinned = scene.load(photograph, mask)
    assert thinned.image.shape == (15, 20, 3)
    np.testing.assert_array_equal(thinned.mask, squares()[::2, ::2] > 0)


def refused(options: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence with which the demo refuses, without a picture and without a table."""
    out = tmp_path / "picture.png"
    assert main(["demo", "--out", str(out), *map(str, options)]) == 2
    printed, errors = capsys.readouterr()
    assert not printed
    assert not out.exists()
    (line,) = errors.splitlines()
    return line.removeprefix("xploss demo: ").replace(f"{tmp_path}/", "")


def test_refuses_files_that_do_not_fit(
    photograph: Path, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.png"
    text.write_text("not an image")
    other = save(tmp_path / "other.png", np.ones((30, 41)))
    left = save(tmp_path / "left.png", squares() * (np.arange(40) < 20))
    image = ["--image", photograph]
    for options, sentence in {
        ("--image", "none.png", "--mask", mask): "none.png is not a file",
        (*image, "--mask", tmp_path): f"{tmp_path} is not a file",
        (*image, "--mask", text): "text.png cannot be read as an image",
        (*image, "--mask", other): "other.png is 41 x 30 pixels, but photograph.png is 40 x 30",
        (*image, "--mask", left): "the right half of left.png needs both zero and non-zero pixels",
        ("--mask", mask): "--image and --mask belong together; one of them is missing",
        ("--out", "picture.jpg"): "--out is picture.jpg; expected the name of a .png file",
        ("--out", "no/picture.png"): "--out is no/picture.png; its folder does not exist",
    }.items():
        assert refused(list(options), tmp_path, capsys) == sentence
