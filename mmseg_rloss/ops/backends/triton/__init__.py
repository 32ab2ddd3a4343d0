"""Triton kernels on the GPU."""
