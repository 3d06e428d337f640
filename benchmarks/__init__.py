"""How fast and how small the losses are, beside their peers: ``python -m benchmarks run``."""
