// A team of threads that lives as long as one call of the filter.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace mmseg_rloss {

// Threads are started with the team and joined with it: nothing outlives the call, so forks and
// concurrent callers need no care. Tasks are handed out one by one; what a task computes must not
// depend on the thread that runs it.
class Team {
 public:
  explicit Team(int num_threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // Run task(0), ..., task(num_tasks - 1), and return when all are done. The first exception of
  // a task is thrown again here; tasks not yet begun by then are left out.
  void for_each(int64_t num_tasks, const std::function<void(int64_t)>& task);

 private:
  void work();
  void run_tasks();

  std::mutex mutex_;
  std::condition_variable start_, finish_;
  std::atomic<uint64_t> round_{0};
  std::atomic<size_t> busy_{0};
  std::atomic<bool> stop_{false};
  const std::function<void(int64_t)>* task_ = nullptr;
  int64_t num_tasks_ = 0;
  std::atomic<int64_t> next_{0};
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

}  // namespace mmseg_rloss
