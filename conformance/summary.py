"""The matrix of backends and losses that the README shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from conformance import markdown

if TYPE_CHECKING:
    from conformance.report import Report

BEGIN, END = "<!-- conformance:begin -->", "<!-- conformance:end -->"

PLACES = {
    "numpy-cpu": "NumPy",
    "strict-cpu": "array-api-strict",
    "torch-cpu": "PyTorch, CPU",
    "torch-tiles": "PyTorch, CPU, tiles",
    "torch-cuda": "PyTorch, CUDA",
    "jax-cpu": "JAX, CPU",
    "jax-gpu": "JAX, GPU",
    "cupy-cuda": "CuPy, CUDA",
}
"""Where the library is meant to run, by the names of the reports."""


def table(reports: Iterable[Report]) -> str:
    """A row for each backend and device, whether it was run or not; a column for each loss."""
    found = {report.name: report for report in reports}
    losses = markdown.ROWS_OF_MATRIX
    heads = ["", *(loss.removesuffix("Loss") for loss in losses), "worst error", "date"]
    rows = [
        _row(title, found[name]) if name in found else [title, *["not run"] * (len(losses) + 2)]
        for name, title in PLACES.items()
    ]
    return markdown.table(heads, rows)


def _row(title: str, report: Report) -> list[str]:
    cells = [
        markdown.cell([count for count in report.counts if count.loss == loss])
        for loss in markdown.ROWS_OF_MATRIX
    ]
    worst = f"{max((count.ulp for count in report.counts), default=0.0):.1f} ulp"
    link = f"[{title}](conformance/reports/{report.name}.md)"
    return [link, *cells, worst, max(report.dates.values(), default="")]


def placed(text: str, reports: Iterable[Report]) -> str:
    """A text with the matrix between its markers; without markers, a ValueError."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"no place for the matrix; expected one line {BEGIN} and one line {END}")
    head, tail = text.split(BEGIN, maxsplit=1)[0], text.split(END)[1]
    return f"{head}{BEGIN}\n{table(reports)}\n{END}{tail}"
