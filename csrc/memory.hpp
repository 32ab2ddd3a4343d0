// Memory for large arrays.
#pragma once

#include <cstddef>

namespace mmseg_rloss {

// Memory that starts at a cache line, without the cost of filling it. Throws std::bad_alloc.
void* allocate(size_t size);
void release(void* memory);

// Ask the system for large pages where memory that has not been touched yet holds some.
void advise_huge_pages(void* memory, size_t size);

}  // namespace mmseg_rloss
