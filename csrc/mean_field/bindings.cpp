// Mean-field inference as a Python function on numpy arrays; the caller has checked all arguments.
#include "bindings.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <string>
#include <tuple>

#include "mean_field.hpp"

namespace py = pybind11;

namespace mmseg_rloss {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// Refine `log_probabilities` (N, K, P) into `result`. A kernel is a lattice of N images or one, its
// norms (likewise, P) and its weight.
template <class T>
void infer(const Array<T>& log_probabilities,
           const std::vector<std::tuple<const Lattice<T>*, Array<T>, double>>& kernels,
           int64_t iterations, Array<T>& result, int num_threads,
           const std::string& instruction_set) {
  MeanField<T> problem{};
  problem.log_probabilities = log_probabilities.data();
  problem.result = result.mutable_data();
  problem.num_images = log_probabilities.shape(0);
  problem.num_channels = log_probabilities.shape(1);
  problem.num_pixels = log_probabilities.shape(2);
  for (const auto& [lattice, norms, weight] : kernels)
    problem.kernels.push_back({lattice, norms.data(), T(weight)});
  problem.iterations = iterations;
  problem.num_threads = num_threads;
  advise_huge_pages(problem.result, result.nbytes());
  py::gil_scoped_release release;
#if defined(__x86_64__)
  if (instruction_set == "avx512") return avx512::infer(problem);
  if (instruction_set == "avx2") return avx2::infer(problem);
#endif
  baseline::infer(problem);
}

template <class T>
void define(py::module_& module) {
  module.def("mean_field", &infer<T>, py::arg("log_probabilities").noconvert(), py::arg("kernels"),
             py::arg("iterations"), py::arg("result").noconvert(), py::arg("num_threads"),
             py::arg("instruction_set"));
}

}  // namespace

void define_mean_field(py::module_& module) {
  define<float>(module);
  define<double>(module);
}

}  // namespace mmseg_rloss
