// A mutex in memory that processes share. One who died with it in his hands does not keep it; what
// it guards has to be whole enough then.
#pragma once

#include <pthread.h>

namespace sim {

class ProcessMutex {
 public:
  // Before the processes are forked, once. It is never undone: the memory goes as a whole.
  void make() noexcept;
  void lock() noexcept;
  void unlock() noexcept { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_;
};

}   // namespace sim
