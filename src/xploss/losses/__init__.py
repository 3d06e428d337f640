"""The losses, one family per file; none of them names a framework."""
