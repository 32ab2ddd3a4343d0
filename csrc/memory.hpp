// Memory for large arrays.
#pragma once

#include <cstddef>

namespace mmseg_rloss {

// Memory that starts at a cache line, without the cost of filling it. Throws std::bad_alloc.
void* allocate(size_t size);
void release(void* memory);

}  // namespace mmseg_rloss
