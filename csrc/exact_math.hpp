// Included before every file: stops a build whose arithmetic is not that of IEEE 754, since the
// filter would be wrong. setup.py switches such flags off.
#pragma once

// MSVC's macros are those of /fp:fast and /fp:contract.
#if defined(_M_FP_FAST) || defined(_M_FP_CONTRACT) || defined(__FAST_MATH__) ||                 \
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(__ASSOCIATIVE_MATH__) || \
    defined(__RECIPROCAL_MATH__)
#error "mmseg_rloss needs exact arithmetic: compile without -ffast-math, -Ofast, /fp:fast and such"
#endif
