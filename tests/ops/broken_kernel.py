"""A kernel for the GPU that Triton cannot compile."""

import triton
import triton.language as tl


@triton.jit
def broken_kernel(*arguments):
    tl.no_such_function()
