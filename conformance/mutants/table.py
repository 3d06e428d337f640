"""All faults, in the order of the report."""

from __future__ import annotations

from conformance.mutants import adapters, core, losses, lovasz
from conformance.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*losses.MUTANTS, *lovasz.MUTANTS, *core.MUTANTS, *adapters.MUTANTS)
