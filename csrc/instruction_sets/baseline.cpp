// The kernels for what every machine of the architecture has.
#include "../lattice/lattice.hpp"
#include "../probabilities/probabilities.hpp"

#define MMSEG_RLOSS_ISA baseline
#include "../lattice/build.hpp"
#include "../lattice/filter.hpp"
#include "../probabilities/kernels.hpp"
