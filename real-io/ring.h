// One io_uring, used by one thread, and the operations that go through it.
//
// An Operation is told how to fill its submission entry, not handed one: when the submission queue
// is full it waits in a backlog and is filled in later, so starting one never enters the kernel and
// never fails. It belongs to the ring from start() until done() has been called for the last time.
#pragma once

#include <cstdint>

#include <liburing.h>

#include <boost/intrusive/slist.hpp>

#include "engine/base/units.h"

namespace real_io {

struct Operation : boost::intrusive::slist_base_hook<> {
  using Prepare = void (*)(Operation& self, io_uring_sqe& entry) noexcept;
  // `result` as the system call's, negative errno on failure; `flags` as in the completion entry:
  // IORING_CQE_F_MORE says that done() will be called again.
  using Done = void (*)(Operation& self, std::int32_t result, std::uint32_t flags);

  Operation() = default;
  Operation(Prepare prepare_entry, Done when_done) noexcept
      : prepare{prepare_entry}, done{when_done} {}
  Prepare prepare = nullptr;
  Done done = nullptr;
};

class Ring {
 public:
  struct Statistics {
    std::uint64_t enters = 0;
    std::uint64_t completions = 0;
  };
  static constexpr unsigned kEntries = 256;
  static constexpr unsigned kFiles = 64;

  // On the thread that will use it. Aborts the process when the kernel gives no ring; available()
  // says so beforehand.
  Ring();
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Whether this process may use io_uring: 0 or an errno.
  [[nodiscard]] static int available() noexcept;

  void start(Operation& operation) noexcept;
  // Hands what was started to the kernel; runs nothing.
  void submit() noexcept;
  // As submit(), and waits until something completed or `timeout` is over (negative: no timeout).
  void submit_and_wait(engine::Nanos timeout) noexcept;
  // Calls done() for what has completed. True when there was something.
  bool reap();

  // Something has completed and can be reaped.
  [[nodiscard]] bool ready() const noexcept { return io_uring_cq_ready(&ring_) != 0; }
  // Has the kernel deliver what it says it holds back, without waiting. True when something can be
  // reaped. Its word is not to be relied upon: it may say so for long and have nothing. So whoever
  // has nothing else to do waits, which delivers too, and does not ask again and again.
  bool pull() noexcept;
  [[nodiscard]] bool pending() const noexcept {
    return !backlog_.empty() || io_uring_sq_ready(&ring_) != 0;
  }

  // Registers `fd` for the life of the ring: its number for IOSQE_FIXED_FILE, or -1 when the table
  // is full.
  [[nodiscard]] int register_file(int fd) noexcept;
  void unregister_file(int slot) noexcept;

  [[nodiscard]] const Statistics& statistics() const noexcept { return statistics_; }

 private:
  friend struct RingTester;   // plays the kernel's part
  static constexpr unsigned kReapBatch = 64;
  void fill_from_backlog() noexcept;

  io_uring ring_{};
  boost::intrusive::slist<Operation, boost::intrusive::cache_last<true>,
                          boost::intrusive::constant_time_size<false>>
      backlog_;
  Statistics statistics_;
  std::uint64_t files_used_ = 0;   // a bit a slot
  bool files_registered_ = false;
};

}   // namespace real_io
