// The probabilities as Python functions on numpy arrays.
#include "bindings.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <string>

#include "../memory.hpp"
#include "probabilities.hpp"

namespace py = pybind11;

namespace mmseg_rloss {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// What numpy, which has no bfloat16, takes logits of type L for.
template <class L>
using Storage = std::conditional_t<sizeof(L) == 2, int16_t, L>;

template <class L>
using Logits = Array<Storage<L>>;
template <class L>
using Maps = Array<ComputeType<L>>;

template <class L>
ScaledProbabilities<L> describe(const Logits<L>& logits, const Maps<L>& region, double scale_factor,
                                int num_threads) {
  ScaledProbabilities<L> maps{};
  maps.logits = reinterpret_cast<const L*>(logits.data());
  maps.region = region.data();
  maps.num_images = logits.shape(0);
  maps.num_channels = logits.shape(1);
  maps.height = logits.shape(2);
  maps.width = logits.shape(3);
  maps.scaled_height = region.shape(1);
  maps.scaled_width = region.shape(2);
  maps.scale_factor = scale_factor;
  maps.num_threads = num_threads;
  return maps;
}

// Write the probabilities into `result` (N, C, h, w); the caller has checked the arguments.
template <class L>
void forward(const Logits<L>& logits, const Maps<L>& region, double scale_factor, Maps<L>& result,
             int num_threads, const std::string& instruction_set) {
  const auto maps = describe<L>(logits, region, scale_factor, num_threads);
  ComputeType<L>* const to = result.mutable_data();
  advise_huge_pages(to, result.nbytes());
  py::gil_scoped_release release;
#if defined(__x86_64__)
  if (instruction_set == "avx512") return avx512::forward(maps, to);
  if (instruction_set == "avx2") return avx2::forward(maps, to);
#endif
  baseline::forward(maps, to);
}

// Write the logits' gradient into `result` (N, K, H, W); the caller has checked the arguments.
template <class L>
void backward(const Maps<L>& grad, const Logits<L>& logits, const Maps<L>& region,
              double scale_factor, Logits<L>& result, int num_threads,
              const std::string& instruction_set) {
  const auto maps = describe<L>(logits, region, scale_factor, num_threads);
  const ComputeType<L>* const from = grad.data();
  L* const to = reinterpret_cast<L*>(result.mutable_data());
  advise_huge_pages(to, result.nbytes());
  py::gil_scoped_release release;
#if defined(__x86_64__)
  if (instruction_set == "avx512") return avx512::backward(maps, from, to);
  if (instruction_set == "avx2") return avx2::backward(maps, from, to);
#endif
  baseline::backward(maps, from, to);
}

template <class L>
void define(py::module_& module, const std::string& type) {
  module.def(("probabilities_forward_" + type).c_str(), &forward<L>, py::arg("logits").noconvert(),
             py::arg("region").noconvert(), py::arg("scale_factor"), py::arg("result").noconvert(),
             py::arg("num_threads"), py::arg("instruction_set"));
  module.def(("probabilities_backward_" + type).c_str(), &backward<L>, py::arg("grad").noconvert(),
             py::arg("logits").noconvert(), py::arg("region").noconvert(), py::arg("scale_factor"),
             py::arg("result").noconvert(), py::arg("num_threads"), py::arg("instruction_set"));
}

}  // namespace

void define_probabilities(py::module_& module) {
  define<Float16>(module, "float16");
  define<BFloat16>(module, "bfloat16");
  define<float>(module, "float32");
  define<double>(module, "float64");
}

}  // namespace mmseg_rloss
