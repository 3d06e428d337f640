"""The README: its examples run, its commands are those that are checked, its names exist."""

import re
from pathlib import Path
from typing import Any

import pytest

import xploss

from .libraries import selected, why_absent

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def fences(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


EXAMPLES = [(re.findall(r"^import (\w+)", code)[0], code) for code in fences("python")]
RECIPES = [(re.findall(r"^import (\w+)", code)[0], code) for code in fences("python", TRAINING)]


def test_there_is_an_example_per_framework() -> None:
    assert [backend for backend, _ in EXAMPLES] == ["numpy", "torch", "jax", "cupy", "numpy"]
    assert [backend for backend, _ in RECIPES] == ["torch", "jax", "torch", "torch"]


@pytest.mark.parametrize(("backend", "code"), [*EXAMPLES, *RECIPES])
def test_example_runs(backend: str, code: str) -> None:
    if backend not in selected():
        pytest.skip(f"{backend} is not among XPLOSS_BACKENDS")
    if reason := why_absent(backend):
        pytest.skip(reason)
    names: dict[str, Any] = {}
    exec(code, names)
    value = names["value"]
    assert 0.0 < (value.item() if hasattr(value, "item") else value) < 4.0


def test_parts_have_the_gradient_of_the_whole(torch: Any) -> None:
    """As the first recipe promises."""
    names: dict[str, Any] = {}
    exec(RECIPES[0][1], names)
    model, found = names["model"], names["model"].weight.grad.clone()
    model.zero_grad()
    value = names["loss"](model(names["image"]), names["target"])
    value.backward()
    torch.testing.assert_close(names["value"], value.detach())
    torch.testing.assert_close(found, model.weight.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("backend", "code"), EXAMPLES)
def test_example_is_short(backend: str, code: str) -> None:
    assert len([line for line in code.splitlines() if line]) <= 13, backend


def test_two_commands_set_up_everything() -> None:
    demo, tests = (command.strip() for command in fences("sh"))
    assert demo.endswith("python -m xploss demo")
    assert tests.endswith("nox")
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith(tests)


def test_every_loss_is_in_the_table() -> None:
    losses = {name for name in xploss.__all__ if name.endswith("Loss")} - {"Loss"}
    rows = re.findall(r"^\| (`.*Loss`.*?) \|", README, flags=re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == losses


def test_links_lead_somewhere() -> None:
    local = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert local
    assert all((ROOT / link).is_file() for link in local)
    assert (ROOT / "docs" / "demo.png").stat().st_size < 400_000
