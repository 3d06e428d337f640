"""The command line: ``python -m xploss demo`` and ``python -m xploss backends``."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from . import __version__, backends
from .demo import DemoError
from .demo.losses import LOSSES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it went well, 2 if what the user gave cannot be used."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except DemoError as error:
        print(f"xploss demo: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> ArgumentParser:
    """The commands and their options."""
    top = ArgumentParser("python -m xploss", description="Segmentation losses for every array.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(required=True, metavar="command")

    about = "the array libraries found here, and what works on each"
    commands.add_parser("backends", help=about, description=about).set_defaults(run=show_backends)

    about = "train a pixel classifier on a photograph and draw what each loss learns"
    demo = commands.add_parser("demo", help=about, description=about)
    add = demo.add_argument
    only = f"only this loss, of {', '.join(LOSSES)}; may be repeated"
    add("--loss", action="append", metavar="NAME", help=only)
    add("--backend", default="numpy", metavar="NAME", help="numpy (default), torch, jax or cupy")
    add("--image", type=Path, metavar="FILE", help="a photograph of yours, with --mask")
    add("--mask", type=Path, metavar="FILE", help="what to find in it: every pixel that is not 0")
    add(
        "--out", type=Path, metavar="FILE", default=Path("xploss-demo.png"), help="the PNG to write"
    )
    demo.set_defaults(run=run_demo)
    return top


def show_backends(_: Namespace) -> None:
    """Print the table of backends."""
    for line in backends.table():
        print(line)


def run_demo(options: Namespace) -> None:
    """Run the demo, whose libraries are imported only now."""
    from .demo.command import run

    run(options)


if __name__ == "__main__":
    sys.exit(main())
