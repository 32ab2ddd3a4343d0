// The compiled kernels as Python functions on numpy arrays; the callers have checked all arguments.
#include "probabilities/bindings.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "lattice/lattice.hpp"
#include "mean_field/bindings.hpp"

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

// Calls f of an instruction set's namespace.
#if defined(__x86_64__)
#define MMSEG_RLOSS_DISPATCH(instruction_set, f, ...)   \
  (instruction_set == "avx512" ? avx512::f(__VA_ARGS__) \
   : instruction_set == "avx2" ? avx2::f(__VA_ARGS__)   \
                               : baseline::f(__VA_ARGS__))
#else
#define MMSEG_RLOSS_DISPATCH(instruction_set, f, ...) baseline::f(__VA_ARGS__)
#endif

// Build the lattice of `planes` (N, C, P) over `bandwidth` and, if it has a bandwidth, the position
// in an image of so many pixels' `width`. None where the features are too large for their type.
template <class T>
std::unique_ptr<Lattice<T>> build_lattice(const Array<T>& planes, double bandwidth,
                                          std::optional<double> position_bandwidth, int64_t width,
                                          int num_threads, const std::string& instruction_set) {
  const bool with_position = position_bandwidth.has_value();
  const Features<T> features{planes.data(),
                             planes.shape(0),
                             planes.shape(1),
                             planes.shape(2),
                             T(bandwidth),
                             with_position,
                             T(position_bandwidth.value_or(1)),
                             width};
  auto lattice = std::make_unique<Lattice<T>>();
  bool resolved = false;
  try {
    py::gil_scoped_release release;
    resolved = MMSEG_RLOSS_DISPATCH(instruction_set, build, features, num_threads, *lattice);
  } catch (const std::domain_error& error) {
    throw py::value_error(std::string(with_position ? "image" : "features") + " " + error.what());
  }
  return resolved ? std::move(lattice) : nullptr;
}

Blur blur_of(const std::string& name) {
  return name == "both" ? Blur::kBoth : name == "ascending" ? Blur::kAscending : Blur::kDescending;
}

template <class T>
void run(const Lattice<T>& lattice, const Filter<T>& filter, const std::string& instruction_set) {
  try {
    py::gil_scoped_release release;
    MMSEG_RLOSS_DISPATCH(instruction_set, filter, lattice, filter);
  } catch (const std::invalid_argument& error) {
    throw py::value_error(std::string("values ") + error.what());
  }
}

// Filter `values` (N, K, P) into `result`.
template <class T>
void filter(const Lattice<T>& lattice, const Array<T>& values, Array<T>& result,
            const std::string& blur, int num_threads, const std::string& instruction_set) {
  advise_huge_pages(result.mutable_data(), result.nbytes());
  run(lattice,
      Filter<T>{values.data(), result.mutable_data(), values.shape(1), blur_of(blur), num_threads,
                nullptr, nullptr, nullptr},
      instruction_set);
}

// The same in both orders, with the sums `association` and `volume` (N, K) over the `region` (N,
// P).
template <class T>
void associate(const Lattice<T>& lattice, const Array<T>& values, const Array<T>& region,
               Array<T>& result, Array<double>& association, Array<double>& volume, int num_threads,
               const std::string& instruction_set) {
  advise_huge_pages(result.mutable_data(), result.nbytes());
  run(lattice,
      Filter<T>{values.data(), result.mutable_data(), values.shape(1), Blur::kBoth, num_threads,
                region.data(), association.mutable_data(), volume.mutable_data()},
      instruction_set);
}

constexpr const char* kStageNames[kNumStages] = {"embedding", "neighbours", "splat", "blur",
                                                 "slice"};

// The processor seconds of each stage so far, summed over the threads.
template <class T>
py::dict stage_seconds(const Lattice<T>& lattice) {
  py::dict stages;
  for (int s = 0; s < kNumStages; ++s)
    stages[kStageNames[s]] = 1e-9 * double(lattice.stage_nanoseconds[s]);
  return stages;
}

template <class T>
void define(py::module_& module, const char* name) {
  py::class_<Lattice<T>>(module, name)
      .def("filter", &filter<T>, py::arg("values").noconvert(), py::arg("result").noconvert(),
           py::arg("blur"), py::arg("num_threads"), py::arg("instruction_set"))
      .def("associate", &associate<T>, py::arg("values").noconvert(), py::arg("region").noconvert(),
           py::arg("result").noconvert(), py::arg("association").noconvert(),
           py::arg("volume").noconvert(), py::arg("num_threads"), py::arg("instruction_set"))
      .def_property_readonly("num_images",
                             [](const Lattice<T>& lattice) { return lattice.images.size(); })
      .def_property_readonly("has_links", &Lattice<T>::has_links)
      .def("stage_seconds", &stage_seconds<T>);
  module.def("build_lattice", &build_lattice<T>, py::arg("planes").noconvert(),
             py::arg("bandwidth"), py::arg("position_bandwidth"), py::arg("width"),
             py::arg("num_threads"), py::arg("instruction_set"));
}

}  // namespace
}  // namespace mmseg_rloss

PYBIND11_MODULE(_native, module) {
  module.doc() = "The kernels of mmseg_rloss in C++.";
  module.def("instruction_sets", &mmseg_rloss::instruction_sets);
  mmseg_rloss::define<float>(module, "Lattice32");
  mmseg_rloss::define<double>(module, "Lattice64");
  mmseg_rloss::define_mean_field(module);
  mmseg_rloss::define_probabilities(module);
}
