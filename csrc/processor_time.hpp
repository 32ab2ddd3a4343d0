// The clock of a thread's own work.
#pragma once

#include <cstdint>

namespace mmseg_rloss {

// The processor time of this thread so far, in nanoseconds. Windows counts it in ticks of 10 ms or
// more.
int64_t processor_time();

}  // namespace mmseg_rloss
