// Mean-field inference as a Python function.
#pragma once

#include <pybind11/pybind11.h>

namespace mmseg_rloss {

void define_mean_field(pybind11::module_& module);

}  // namespace mmseg_rloss
