"""The results as pictures: ratios, memory and scaling at a glance."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from .contender import OURS
from .goals import MEMORY
from .regimes import Regime
from .workloads import LARGE, LOSSES, TITLES

_COLORS = dict(zip(LARGE, ("#4477aa", "#ee6677", "#228833", "#aa3377"), strict=True))
_PEERS = {
    OURS: "#4477aa",
    "torch": "#000000",
    "smp": "#ccbb44",
    "MONAI": "#228833",
    "kornia": "#ee6677",
    "Keras": "#aa3377",
}
_TICKS = {1 / 16: "1/16", 1 / 8: "1/8", 1 / 4: "1/4", 1 / 2: "1/2", 1: "1", 2: "2", 4: "4", 8: "8"}
_KINDS = dict(zip(LARGE, ("binary", "19 classes", "4 classes, 3-D", "150 classes"), strict=True))
Row = dict[str, Any]


def draw(results: dict[str, Any], folder: Path, suffix: str = "svg") -> list[Path]:
    """Write the pictures for which there are results."""
    pyplot = _pyplot()
    rows = [r for r in results["rows"] if r.get("dtype") == "float32" and r.get("pass") == "both"]
    found = []
    for runner in dict.fromkeys(r["runner"] for r in rows):
        own = [r for r in rows if r["runner"] == runner]
        name = runner.replace(" ", "-")
        times = [r for r in own if r["suite"] == "time" and "ratio" in r and r["shape"] in LARGE]
        peaks = [r for r in own if r["suite"] == "memory" and "bytes" in r]
        curves = [r for r in own if r["suite"] == "scaling" and "series" in r]
        for kind, some, picture in (
            ("ratios", times, _ratios),
            ("memory", peaks, _peaks),
            ("scaling", curves, _curves),
        ):
            if some:
                figure = picture(pyplot, some, runner)
                found.append(folder / f"{kind}-{name}.{suffix}")
                metadata = {"Date": None} if suffix == "svg" else {}
                figure.savefig(found[-1], metadata=metadata, bbox_inches="tight")
                pyplot.close(figure)
    return found


def _pyplot() -> Any:
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    style = {"svg.hashsalt": "xploss", "axes.spines.top": False, "axes.spines.right": False}
    matplotlib.rcParams.update({**style, "font.size": 9, "axes.axisbelow": True})
    return importlib.import_module("matplotlib.pyplot")


def _ticker() -> Any:
    return importlib.import_module("matplotlib.ticker")


def _ratios(pyplot: Any, rows: list[Row], runner: str) -> Any:
    """Our time over the fastest peer: a panel per regime, a dot per loss and shape."""
    regimes = sorted({Regime(r["allocator"], r["load"]) for r in rows})
    figure, axes = pyplot.subplots(
        1, len(regimes), figsize=(3.3 * len(regimes) + 1.2, 3.6), sharey=True, squeeze=False
    )
    names = [name for name in LOSSES if any(r["loss"] == name for r in rows)]
    for axis, regime in zip(axes[0], regimes, strict=True):
        axis.axvspan(1, 1e3, color="#f4e6e6", zorder=0)
        axis.axvline(1, color="0.3", linewidth=1)
        for row in rows:
            if Regime(row["allocator"], row["load"]) == regime:
                _dot(axis, row, names)
        axis.set_xscale("log")
        ratios = [r["ratio"] for r in rows]
        axis.set_xlim(min(0.1, *ratios) / 1.3, max(2.0, *ratios) * 1.3)
        axis.set_yticks(range(len(names)), [TITLES[name] for name in names])
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.grid(axis="x", which="both", color="0.9", linewidth=0.6)
        axis.set_title(str(regime), fontsize=9)
        axis.xaxis.set_major_locator(_ticker().FixedLocator(list(_TICKS)))
        axis.xaxis.set_minor_locator(_ticker().NullLocator())
        axis.xaxis.set_major_formatter(lambda value, _: _TICKS[value])
        axis.set_xlabel("← faster      slower →")
    handles = [
        pyplot.Line2D([], [], color=_COLORS[s], marker="o", linestyle="", label=f"{s}: {_KINDS[s]}")
        for s in LARGE
    ]
    figure.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, frameon=False
    )
    figure.suptitle(
        f"{runner}, forward + backward: our time over the fastest peer's; median and quartiles",
        fontsize=10,
    )
    figure.tight_layout()
    return figure


def _dot(axis: Any, row: Row, names: list[str]) -> None:
    spread = row["ratios"][row["fastest"]]
    place = names.index(row["loss"]) + (LARGE.index(row["shape"]) - 1.5) * 0.18
    color = _COLORS[row["shape"]]
    axis.plot([spread["low"], spread["high"]], [place, place], color=color, linewidth=1.5)
    axis.plot([row["ratio"]], [place], "o", color=color, markersize=5)


def _peaks(pyplot: Any, rows: list[Row], runner: str) -> Any:
    """Peaks over the logits: a panel per shape, ours as bars and the peers as marks."""
    shapes = [s for s in LARGE if any(r["shape"] == s for r in rows)]
    names = [name for name in LOSSES if any(r["loss"] == name for r in rows)]
    peers = sorted({r["name"] for r in rows} - {OURS})
    figure, axes = pyplot.subplots(
        1, len(shapes), figsize=(2.9 * len(shapes) + 1.2, 3.4), sharey=True, squeeze=False
    )
    for axis, shape in zip(axes[0], shapes, strict=True):
        for row in rows:
            if row["shape"] != shape:
                continue
            times, place = row["bytes"] / row["logits_bytes"], names.index(row["loss"])
            if row["name"] == OURS:
                axis.barh(place, times, color="#4477aa", height=0.55)
            else:
                mark = "sD^vPX*"[peers.index(row["name"]) % 7]
                axis.plot([times], [place], mark, color="0.35", markersize=5)
        axis.axvline(MEMORY, color="#cc3311", linewidth=1)
        axis.set_yticks(range(len(names)), [TITLES[name] for name in names])
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_title(f"{shape}: {_KINDS[shape]}", fontsize=9)
        axis.grid(axis="x", color="0.9", linewidth=0.6)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color="#4477aa", label=OURS)]
    handles += [
        pyplot.Line2D([], [], color="0.35", marker="sD^vPX*"[i % 7], linestyle="", label=name)
        for i, name in enumerate(peers)
    ]
    handles.append(pyplot.Line2D([], [], color="#cc3311", label=f"goal {MEMORY:g}"))
    figure.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=8, frameon=False
    )
    figure.suptitle(
        f"{runner}, forward + backward: peak memory beyond the inputs, over the logits", fontsize=10
    )
    figure.tight_layout()
    return figure


def _curves(pyplot: Any, rows: list[Row], runner: str) -> Any:
    """Time against size: a row of panels per loss."""
    names = list(dict.fromkeys(r["loss"] for r in rows))
    figure, axes = pyplot.subplots(
        2, len(names), figsize=(2.7 * len(names) + 1, 5.2), sharey="row", squeeze=False
    )
    for row in rows:
        axis = axes[("pixels", "classes").index(row["axis"])][names.index(row["loss"])]
        for name, seconds in row["series"].items():
            pairs = [(n, s) for n, s in zip(row["sizes"], seconds, strict=True) if s is not None]
            color = _PEERS.get(name, "0.5")
            own = {"color": color, "linewidth": 2.5 if name == OURS else 1}
            label = f"{name} ({row['exponents'][name]})"
            axis.loglog(*zip(*pairs, strict=True), marker=".", label=label, **own)
        axis.legend(fontsize=7, frameon=False)
        axis.set_xlabel(row["axis"])
        axis.set_title(TITLES[row["loss"]], fontsize=9)
        axis.grid(color="0.92", linewidth=0.6)
    for line in axes:
        line[0].set_ylabel("seconds")
    figure.suptitle(
        f"{runner}, forward + backward: time against size (fitted exponent)", fontsize=10
    )
    figure.tight_layout()
    return figure
