"""The benchmark of the GPU, in parts: `python -m benchmarks.gpu` runs it."""
