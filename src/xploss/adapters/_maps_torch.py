"""Whether torch is tracing a graph, where many small blocks would make it long."""

import torch


def is_compiling() -> bool:
    return bool(torch.compiler.is_compiling())
