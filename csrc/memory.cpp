#include "memory.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace mmseg_rloss {
namespace {

constexpr size_t kLine = 64;  // of the caches
constexpr std::align_val_t kCacheLine{kLine};

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

void copy_past_caches(const void* from, size_t size, void* to) {
#if defined(__SSE2__)
  auto* const source = static_cast<const std::byte*>(from);
  auto* const target = static_cast<std::byte*>(to);
  const size_t head = std::min(size, -reinterpret_cast<uintptr_t>(to) % kLine);
  const size_t tail = head + (size - head) / kLine * kLine;
  std::memcpy(target, source, head);
  for (size_t i = head; i < tail; i += sizeof(__m128i))
    _mm_stream_si128(reinterpret_cast<__m128i*>(target + i),
                     _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i)));
  std::memcpy(target + tail, source + tail, size - tail);
#else
  std::memcpy(to, from, size);
#endif
}

void finish_copies() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

void release(void* memory) { ::operator delete(memory, kCacheLine); }

}  // namespace mmseg_rloss
