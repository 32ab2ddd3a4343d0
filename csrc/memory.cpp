#include "memory.hpp"

#include <cstdint>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace mmseg_rloss {
namespace {

constexpr std::align_val_t kCacheLine{64};

// What the allocator does not keep from call to call comes anew from the system, which would
// clear and map it in pages of 4 KB. That takes longer than the filter itself.
[[maybe_unused]] constexpr size_t kHugePage = size_t(2) << 20;

}  // namespace

void* allocate(size_t size) {
  void* const memory = ::operator new(size, kCacheLine);
  advise_huge_pages(memory, size);
  return memory;
}

void advise_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] size_t size) {
#if defined(MADV_HUGEPAGE)
  const uintptr_t first = (reinterpret_cast<uintptr_t>(memory) + kHugePage - 1) & -kHugePage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + size) & -kHugePage;
  // A system that has none may refuse.
  if (first < end) (void)madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
}

void release(void* memory) { ::operator delete(memory, kCacheLine); }

}  // namespace mmseg_rloss
