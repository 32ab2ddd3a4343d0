#include "processor_time.hpp"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <time.h>
#endif

namespace mmseg_rloss {

int64_t processor_time() {
#if defined(_WIN32)
  FILETIME created, ended, kernel, user;
  GetThreadTimes(GetCurrentThread(), &created, &ended, &kernel, &user);
  const auto nanoseconds = [](const FILETIME& time) {  // from units of 100
    return 100 * ((int64_t(time.dwHighDateTime) << 32) + time.dwLowDateTime);
  };
  return nanoseconds(kernel) + nanoseconds(user);
#else
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return int64_t(time.tv_sec) * 1000000000 + time.tv_nsec;
#endif
}

}  // namespace mmseg_rloss
