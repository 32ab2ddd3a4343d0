// The kernels for machines with AVX-512.
#include "../lattice/lattice.hpp"
#include "../mean_field/mean_field.hpp"
#include "../probabilities/probabilities.hpp"

#if defined(__x86_64__)
#undef MMSEG_RLOSS_PORTABLE  // it is the baseline's
#if defined(__clang__)
#pragma clang attribute push(                                                        \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi,bmi2"))), \
    apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi,bmi2")
#endif
#define MMSEG_RLOSS_ISA avx512
#define MMSEG_RLOSS_VECTOR_BYTES 64
#include "../lattice/build.hpp"
#include "../lattice/filter.hpp"
#include "../mean_field/kernels.hpp"
#include "../probabilities/kernels.hpp"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
