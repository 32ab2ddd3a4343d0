// The kernels for what every machine of the architecture has.
#include "../lattice/lattice.hpp"
#include "../mean_field/mean_field.hpp"
#include "../probabilities/probabilities.hpp"

#define MMSEG_RLOSS_ISA baseline
#define MMSEG_RLOSS_VECTOR_BYTES 16
#include "../lattice/build.hpp"
#include "../lattice/filter.hpp"
#include "../mean_field/kernels.hpp"
#include "../probabilities/kernels.hpp"
