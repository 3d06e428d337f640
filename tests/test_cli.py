"""The command line: its commands, and one clear sentence for what it cannot do."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from xploss import backends
from xploss.__main__ import main
from xploss.backends import Library
from xploss.demo import command

from .libraries import selected, why_absent

LIBRARIES = {one.name: one for one in backends.LIBRARIES}


def rows(text: str) -> dict[str, list[str]]:
    """The cells after the device, by backend and device."""
    cells = [line.split() for line in text.splitlines() if line and not line.startswith(" ")]
    return {f"{name} {device}": rest for name, _, device, *rest in cells if rest}


def numpy_with(**changes: Any) -> Library:
    fields = {"name": "fake", "root": "numpy", "namespace": "numpy", "install": "pip install fake"}
    return Library(**{**fields, "devices": lambda _: {"cpu": None}, **changes})


def test_help_names_the_commands() -> None:
    text = subprocess.run(
        [sys.executable, "-m", "xploss", "--help"], check=True, capture_output=True, text=True
    ).stdout
    assert "python -m xploss" in text
    assert "demo" in text
    assert "backends" in text


@pytest.mark.parametrize("arguments", [[], ["train"], ["demo", "--colour"]])
def test_bad_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: python -m xploss" in capsys.readouterr().err


def test_backends_tries_each_installed_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = [name for name in selected() if name in LIBRARIES and not why_absent(name)]
    monkeypatch.setattr(backends, "LIBRARIES", [LIBRARIES[name] for name in here])
    assert main(["backends"]) == 0
    text = capsys.readouterr().out
    table = rows(text)
    assert "What went wrong" not in text
    assert {key.split()[0] for key in table} == {"backend", *here}
    for key, cells in table.items():
        autodiff = ["yes", "yes"] if key.startswith(("torch", "jax")) else ["-", "-"]
        assert key == "backend device" or cells == ["yes", "yes", *autodiff]


def test_backends_tells_how_to_install_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = numpy_with(namespace="surely_not_installed")
    monkeypatch.setattr(backends, "LIBRARIES", [absent])
    assert list(backends.table())[-2:] == ["Not installed:", "  fake: pip install fake"]


def broken(*_: Any) -> Any:
    raise RuntimeError("no driver\nmany more lines")


def wrong(xp: ModuleType, pred: Any, _: Any) -> Any:
    return xp.zeros_like(pred)


@pytest.mark.parametrize(
    ("changes", "cells", "problem"),
    [
        ({"devices": broken}, ["NO"] * 4, "  fake, none, value: RuntimeError: no driver"),
        (
            {"jit": broken},
            ["yes", "yes", "-", "NO"],
            "  fake, cpu, jit: RuntimeError: no driver",
        ),
        (
            {"grad": wrong},
            ["yes", "yes", "NO", "-"],
            "  fake, cpu, autodiff: gave [0.0, 0.0], expected [-0.1875, 0.0625]",
        ),
    ],
)
def test_backends_tells_what_went_wrong(
    changes: dict[str, Callable[..., Any]],
    cells: list[str],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backends, "LIBRARIES", [numpy_with(**changes)])
    text = "\n".join(backends.table())
    assert cells in rows(text).values()
    assert problem in text.splitlines()
    assert "many more lines" not in text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--loss", "dise"], "no loss is named 'dise'; the names are dice, iou, tversky"),
        (["--backend", "tensorflow"], "no backend is named 'tensorflow'; the names are numpy"),
    ],
)
def test_demo_names_the_choices(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(options, capsys).startswith(sentence)


def test_demo_tells_how_to_install_a_backend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = numpy_with(name="torch", namespace="surely_not_installed")
    monkeypatch.setattr(command, "LIBRARIES", [absent])
    sentence = refusal(["--backend", "torch"], capsys)
    assert sentence == "torch is not installed; pip install fake"


def test_demo_tells_of_a_backend_without_its_device(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "LIBRARIES", [numpy_with(name="cupy")])
    monkeypatch.setattr(Library, "load", lambda _: SimpleNamespace(asarray=broken))
    sentence = refusal(["--backend", "cupy"], capsys)
    assert sentence == "cupy cannot make an array here: RuntimeError: no driver"


def test_demo_tells_how_to_install_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "skimage" else "found")
    sentence = refusal(["--out", str(Path("never.png"))], capsys)
    needs = "pip install scikit-image matplotlib tqdm"
    assert sentence == f"scikit-image not found; the demo needs: {needs}"


def refusal(options: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence with which the demo refuses."""
    assert main(["demo", *options]) == 2
    out, err = capsys.readouterr()
    assert not out
    (line,) = err.splitlines()
    start = "xploss demo: "
    assert line.startswith(start)
    return line.removeprefix(start)
