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

// One of the steps that an item goes through: tasks that may run side by side.
struct Step {
  int64_t num_tasks;
  std::function<void(int64_t item, int64_t task)> run;
};

// Threads are started with the team and joined with it: nothing outlives the call, so forks and
// concurrent callers need no care. What a task computes must not depend on the thread that runs it.
class Team {
 public:
  explicit Team(int num_threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // Take items 0, ..., num_items - 1 through all steps, as many side by side as there are threads.
  // Items do not wait for each other: a thread stays with one as long as it has tasks to give, then
  // begins another, then helps. The first exception of a task is thrown again here; tasks not yet
  // begun by then are left out, and the team is of no more use.
  void run(int64_t num_items, const std::vector<Step>& steps);

 private:
  static constexpr int64_t kNone = -1;

  // A place for an item that is under way.
  struct Item {
    int64_t number = kNone;
    size_t step = 0;
    int64_t next_task = 0, unfinished_tasks = 0;  // of the step
  };

  void work(bool until_done);
  Item* choose(int64_t preferred);
  void begin_step(Item& item, size_t step);
  void run_task(Item& item, std::unique_lock<std::mutex>& lock);
  void await_change(std::unique_lock<std::mutex>& lock);
  void announce_change();

  std::mutex mutex_;  // of all below
  std::condition_variable change_;
  std::atomic<uint64_t> changes_{0};  // of what there is to do; written under the mutex alone
  const std::vector<Step>* steps_ = nullptr;
  int64_t num_items_ = 0, next_item_ = 0;
  std::vector<Item> items_;  // one for each thread
  int64_t running_tasks_ = 0;
  std::exception_ptr error_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace mmseg_rloss
