"""Faults of what a single array library does, and of the standard's own kernels."""

from __future__ import annotations

from conformance.mutants.mutant import Mutant

BACKEND, NUMPY, FLAT = "backend.py", "adapters/numpy.py", "adapters/_flat.py"
EAGER, GRAPH = "adapters/_torch_eager.py", "adapters/_torch_graph.py"
JAX = "adapters/jax.py"

MUTANTS: tuple[Mutant, ...] = (
    # the standard alone
    Mutant("softplus without its logarithm", BACKEND,
           "return self.maximum(z, 0.0) + self.xp.log1p(self.xp.exp(-self.xp.abs(z)))",
           "return self.maximum(z, 0.0)", "strict"),
    Mutant("sigmoid of one side", BACKEND,
           "return self.xp.where(z >= 0, 1 / (1 + e), e / (1 + e))", "return 1 / (1 + e)",
           "strict"),
    Mutant("shift of the softmax lost", BACKEND, "e = xp.exp(z - shift)", "e = xp.exp(z)",
           "strict"),
    Mutant("labels that are no class read as one", BACKEND,
           "self.xp.astype(labels == index[None, :, None], dtype, copy=False)",
           "self.xp.astype(labels % classes == index[None, :, None], dtype, copy=False)",
           "strict"),
    Mutant("histogram off by one", BACKEND, "xp.reshape(x[1:] - x[:-1], shape)",
           "xp.reshape(x[:-1] - x[:-1], shape)", "strict"),
    Mutant("histogram forgets earlier tiles", BACKEND,
           "return found if held is None else tuple(a + b for a, b in zip(held, found, "
           "strict=True))", "return found", "strict"),
    Mutant("slope of the softmax without its mean", BACKEND,
           "(slope - (mean if at_truth is None else mean + at_truth))",
           "(slope - (0 * mean if at_truth is None else at_truth))", "strict"),
    Mutant("wide ignore labels wrapped", BACKEND,
           "if not limits.min <= value <= limits.max:", "if False:"),
    # NumPy
    Mutant("softmax without a shift", NUMPY, "np.subtract(z, shift, out=room)",
           "np.subtract(z, 0 * shift, out=room)"),
    Mutant("sigmoid not turned over", NUMPY, "p = np.minimum(z, 0, out=room)",
           "p = np.multiply(z, 0, out=room)"),
    Mutant("negative bins", NUMPY, "np.clip(whole, 0, most, out=whole)",
           "np.clip(whole, 1, most, out=whole)"),
    Mutant("unsorted by sorting again", NUMPY, "np.put_along_axis(out, order, x, axis=-1)",
           "out = np.take_along_axis(x, order, axis=-1)"),
    Mutant("labels of other samples added up", FLAT, "bins = bins + sample * (classes + 1)",
           "bins = bins + sample * classes"),
    Mutant("labels that are no class counted", FLAT,
           "bins = safe if mask is None else xp.where(mask, labels, classes)", "bins = safe"),
    Mutant("labels of other samples looked up", FLAT, "flat += sample * (classes * pixels)",
           "pass"),
    Mutant("sums of other tiles forgotten", FLAT, "xp.add(held[1], total, out=held[1])",
           "held[1][...] = total"),
    # torch
    Mutant("labels that are no class read", GRAPH, "return truth.only_known(taken)",
           "return taken", "torch"),
    Mutant("upstream gradient lost", EAGER, "problem.gradient(state.slopes, cotangent)",
           "problem.gradient(state.slopes, None)", "torch"),
    Mutant("upstream gradient lost in second order", GRAPH,
           "return problem.gradient(slopes, cotangent)", "return problem.gradient(slopes, None)",
           "torch"),
    Mutant("a target that asks for a gradient taken", GRAPH, "if x.requires_grad:", "if False:",
           "torch"),
    Mutant("values added in float32", EAGER,
           "held = self.cast(truth.only_known(values), dtype).reshape(-1)",
           "held = truth.only_known(values).to(torch.float32).reshape(-1)", "torch"),
    Mutant("softmax without its total", EAGER, "return e.div_(total), shift, total.log_()",
           "return e, shift, total.log_()", "torch"),
    Mutant("samples in one bin", EAGER, "(index + samples[:, None, None] * classes)",
           "(index + 0 * samples[:, None, None])", "torch"),
    Mutant("left-out pixels counted in torch", EAGER,
           "counts = flat < size.shape[0] if past else None",
           "flat, counts = flat.clamp(max=size.shape[0] - 1), None", "torch"),
    Mutant("threads that keep a graph", EAGER,
           "with torch.inference_mode(inference), torch.no_grad():",
           "with torch.inference_mode(inference):", "torch"),
    # JAX
    Mutant("tangent counted twice", JAX, "jnp.sum(gradient * tangents[0].astype(value.dtype))",
           "2 * jnp.sum(gradient * tangents[0].astype(value.dtype))", "jax"),
    Mutant("rounding of tiles lost", JAX, "total.low + lost", "total.low", "jax"),
    Mutant("samples of blocks misplaced", JAX,
           "jax.lax.dynamic_update_slice_in_dim(zeros, part, block.sample, 0)",
           "jax.lax.dynamic_update_slice_in_dim(zeros, part, 0, 0)", "jax"),
    Mutant("tiles written to the first place", JAX,
           "jax.lax.dynamic_update_slice(out, tile, (block.sample, 0, block.pixel))",
           "jax.lax.dynamic_update_slice(out, tile, (block.sample, 0, 0))", "jax"),
    Mutant("a target that asks for a gradient taken in JAX", JAX,
           "if tangent is not None and not isinstance(tangent, SymbolicZero):", "if False:",
           "jax"),
)  # fmt: skip
