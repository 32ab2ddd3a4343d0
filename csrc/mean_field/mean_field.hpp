// Mean-field inference in the dense CRF: the interface of its kernels.
#pragma once

#include "../lattice/lattice.hpp"

namespace mmseg_rloss {

// One of the kernels between pixels: weight D^-1/2 A D^-1/2, with the affinities A of a lattice.
template <class T>
struct WeightedKernel {
  const Lattice<T>* lattice;  // of every image, or of one that stands for all
  const T* norms;             // (images of the lattice, P): D^-1/2
  T weight;
};

template <class T>
struct MeanField {
  const T* log_probabilities;  // (N, K, P)
  T* result;                   // (N, K, P): the marginals after all iterations
  int64_t num_images;
  int64_t num_channels;
  int64_t num_pixels;
  std::vector<WeightedKernel<T>> kernels;
  int64_t iterations;
  int num_threads;
};

#define MMSEG_RLOSS_DECLARE(isa)        \
  namespace isa {                       \
  void infer(const MeanField<float>&);  \
  void infer(const MeanField<double>&); \
  }
MMSEG_RLOSS_DECLARE(baseline)
#if defined(__x86_64__)
MMSEG_RLOSS_DECLARE(avx2)
MMSEG_RLOSS_DECLARE(avx512)
#endif
#undef MMSEG_RLOSS_DECLARE

}  // namespace mmseg_rloss
