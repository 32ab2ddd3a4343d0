// The probabilities as Python functions.
#pragma once

#include <pybind11/pybind11.h>

namespace mmseg_rloss {

void define_probabilities(pybind11::module_& module);

}  // namespace mmseg_rloss
