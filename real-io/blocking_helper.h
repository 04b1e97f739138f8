// One thread for system calls that block and that io_uring does not have. Started at first use.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "real-io/reactor.h"

namespace real_io {

class BlockingHelper {
 public:
  BlockingHelper() = default;
  // Everything asked for must have been answered.
  ~BlockingHelper();
  BlockingHelper(const BlockingHelper&) = delete;
  BlockingHelper& operator=(const BlockingHelper&) = delete;

  // Calls `job` on the helper's thread, then `done` with its result on reactor `here`, in
  // completion context. Any thread; never blocks.
  void run(Reactor& here, std::function<std::int32_t()> job,
           std::function<void(std::int32_t)> done);

 private:
  struct Request;
  void thread_main();

  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<Request*> requests_;   // guarded by mutex_
  bool stopping_ = false;           // guarded by mutex_
  std::thread thread_;              // guarded by mutex_ until it runs
};

}   // namespace real_io
