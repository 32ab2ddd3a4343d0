// The filter as a Python function on numpy arrays.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "lattice/lattice.hpp"
#include "probabilities/bindings.hpp"

namespace py = pybind11;

namespace mmseg_rloss {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

InstructionSet widest() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    return InstructionSet::kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
    return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBaseline;
}

constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};

// The instruction sets of this machine, the widest last.
std::vector<std::string> instruction_sets() { return {kNames, kNames + int(widest()) + 1}; }

template <class T>
bool run(const Filter<T>& filter, const std::string& instruction_set) {
#if defined(__x86_64__)
  if (instruction_set == "avx512") return avx512::run(filter);
  if (instruction_set == "avx2") return avx2::run(filter);
#endif
  return baseline::run(filter);
}

constexpr const char* kStageNames[kNumStages] = {"embedding", "neighbours", "splat", "blur",
                                                 "slice"};

// Filter `values` (N, K, P) into `result`; the caller has checked the arguments. Returns the
// processor seconds of each stage, summed over the threads, or None where the features are too
// large for their type.
template <class T>
py::object filter(const Array<T>& planes, double divisor, double position_divisor, int64_t width,
                  const Array<T>& values, Array<T>& result, const std::string& blur,
                  int num_threads, const std::string& instruction_set) {
  std::atomic<int64_t> nanoseconds[kNumStages] = {};
  Filter<T> filter{};
  filter.features = {planes.data(), planes.shape(1),     T(divisor),
                     width > 0,     T(position_divisor), width};
  filter.values = values.data();
  filter.result = result.mutable_data();
  filter.num_images = values.shape(0);
  filter.num_channels = values.shape(1);
  filter.num_pixels = values.shape(2);
  filter.blur = blur == "both"        ? Blur::kBoth
                : blur == "ascending" ? Blur::kAscending
                                      : Blur::kDescending;
  filter.num_threads = num_threads;
  filter.stage_nanoseconds = nanoseconds;
  bool resolved = false;
  try {
    py::gil_scoped_release release;
    resolved = run(filter, instruction_set);
  } catch (const std::domain_error& error) {
    throw py::value_error(std::string(width > 0 ? "image" : "features") + " " + error.what());
  } catch (const std::invalid_argument& error) {
    throw py::value_error(std::string("values ") + error.what());
  }
  if (!resolved) return py::none();
  py::dict stages;
  for (int s = 0; s < kNumStages; ++s) stages[kStageNames[s]] = 1e-9 * double(nanoseconds[s]);
  return stages;
}

template <class T>
void define(py::module_& module) {
  module.def("filter", &filter<T>, py::arg("planes").noconvert(), py::arg("divisor"),
             py::arg("position_divisor"), py::arg("width"), py::arg("values").noconvert(),
             py::arg("result").noconvert(), py::arg("blur"), py::arg("num_threads"),
             py::arg("instruction_set"));
}

}  // namespace
}  // namespace mmseg_rloss

PYBIND11_MODULE(_native, module) {
  module.doc() = "The kernels in C++.";
  module.attr("MAX_DIM") = mmseg_rloss::kMaxDim;
  module.def("instruction_sets", &mmseg_rloss::instruction_sets);
  mmseg_rloss::define<float>(module);
  mmseg_rloss::define<double>(module);
  mmseg_rloss::define_probabilities(module);
}
