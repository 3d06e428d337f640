"""What importing xploss imports, and which file may name a framework."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import xploss

PACKAGE = Path(xploss.__file__).parent
FRAMEWORKS = {"torch", "jax", "cupy", "dask", "scipy", "tensorflow", "ndonnx", "sparse"}


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def imported(path: Path) -> set[str]:
    """The absolute names of the modules that a file of the package imports anywhere."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    here = list(parts[:-1])  # the package that relative imports start from
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            names.update({module, *(f"{module}.{alias.name}" for alias in node.names)})
    return names


MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def test_importing_xploss_imports_no_framework() -> None:
    found = run("import sys, xploss; print(*sorted({m.partition('.')[0] for m in sys.modules}))")
    assert not FRAMEWORKS & set(found.split())


def test_calling_a_loss_on_numpy_imports_no_framework() -> None:
    found = run(
        "import sys, numpy as np, xploss\n"
        "loss = xploss.DiceLoss('multiclass') + xploss.CrossEntropyLoss('multiclass')\n"
        "loss.value_and_grad(np.zeros((1, 2, 3)), np.zeros((1, 3), dtype=int))\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    assert not FRAMEWORKS & set(found.split())


def test_run_time_dependencies_are_two() -> None:
    """Nothing that is not in the standard library but NumPy and array-api-compat."""
    found = run(
        "import sys; before = set(sys.modules)\n"
        "import xploss\n"
        "names = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(*sorted(n for n in names if n not in sys.stdlib_module_names and n[0] != '_'))"
    )
    assert set(found.split()) <= {"array_api_compat", "numpy", "xploss"}


LIBRARY = [name for name in MODULES if not name.startswith("xploss.demo")]


@pytest.mark.parametrize("name", LIBRARY)
def test_frameworks_are_named_in_their_own_files(name: str) -> None:
    """Each framework is imported in files of that name under adapters/, and nowhere else."""
    roots = {module.partition(".")[0] for module in imported(MODULES[name])}
    if name.startswith("xploss.adapters."):
        roots -= {word for word in FRAMEWORKS if word in name.rpartition(".")[2]}
    assert not FRAMEWORKS & roots


@pytest.mark.parametrize("name", MODULES)
def test_one_file_imports_array_api_compat(name: str) -> None:
    roots = {module.partition(".")[0] for module in imported(MODULES[name])}
    assert ("array_api_compat" in roots) == (name == "xploss._xp")


def test_losses_and_what_they_import_name_no_framework() -> None:
    reached, ahead = set(), [name for name in MODULES if name.startswith("xploss.losses")]
    while ahead:
        name = ahead.pop()
        if name in reached or name.startswith("xploss.adapters."):
            continue
        reached.add(name)
        found = imported(MODULES[name])
        assert not FRAMEWORKS & {module.partition(".")[0] for module in found}, name
        ahead.extend(module for module in found if module in MODULES)
    assert "xploss.engine" in reached


def test_the_public_names() -> None:
    assert sorted(xploss.__all__) == list(xploss.__all__)
    assert all(hasattr(xploss, name) for name in xploss.__all__)
    public = {name for name in vars(xploss) if not name.startswith("_")}
    modules = {name.removeprefix("xploss.") for name in MODULES}
    assert public - set(xploss.__all__) <= modules
    assert xploss.__version__ == run("import xploss; print(xploss.__version__)").strip()


def test_typed_marker_is_in_the_package() -> None:
    assert (PACKAGE / "py.typed").is_file()


TIMES = """
import time
start = time.perf_counter()
import numpy, array_api_compat
array_api_compat.array_namespace(numpy.empty(0))
middle = time.perf_counter()
import xploss
print(time.perf_counter() - middle, middle - start)
"""


def test_import_time_is_reported(record_property: Any) -> None:
    """The best of five, beside NumPy with array-api-compat; no limit, for machines differ."""
    times = [tuple(map(float, run(TIMES).split())) for _ in range(5)]
    own, others = (1e3 * min(column) for column in zip(*times, strict=True))
    record_property("import_ms", {"xploss": own, "numpy and array-api-compat": others})
    print(f"import xploss adds {own:.0f} ms to {others:.0f} ms")
    assert own > 0
