"""The compiled kernels on the CPU (csrc/)."""
