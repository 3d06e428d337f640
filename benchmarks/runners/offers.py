"""Building the contenders from what the peers offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..contender import Contender, Field, reason
from ..peers.entry import Entry, Offer


def gather(
    loss: str,
    packages: Mapping[str, Callable[[], Offer]],
    build: Callable[[str, Entry], Contender],
    only: str | None = None,
) -> Field:
    """The contenders for a loss; a package that is missing or fails is absent, with the reason."""
    found = Field()
    for name, package in packages.items():
        if only not in (None, name):
            continue
        try:
            offer = package()
            if loss in offer:
                found.contenders.append(build(name, offer[loss]()))
        except Exception as error:
            found.absent[name] = reason(error)
    return found
