"""Which rows the tests answer, as their marks say."""

from __future__ import annotations

from importlib import import_module

TESTS = ("conformance.test_traps", "conformance.test_trap_numbers")


def rows() -> dict[str, list[str]]:
    """The tests that answer each row."""
    found: dict[str, list[str]] = {}
    for module in map(import_module, TESTS):
        for name, test in vars(module).items():
            for mark in getattr(test, "pytestmark", []):
                for row in mark.args if mark.name == "row" else ():
                    found.setdefault(row, []).append(name)
    return found
