#include "real-io/ring.h"

#include <array>
#include <cerrno>
#include <system_error>

#include "engine/base/check.h"

namespace real_io {
namespace {

static_assert(Ring::kFiles <= 64, "files_used_ has a bit a slot");

// Best first: completions delivered only when we ask (no interrupts of the thread, and batches),
// then whatever older kernels know.
int set_up(io_uring& ring, unsigned entries) noexcept {
  constexpr std::array<unsigned, 3> kFlags = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
          IORING_SETUP_SUBMIT_ALL,
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL, 0};
  int error = -EINVAL;
  for (const unsigned flags : kFlags) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = entries * 8;
    error = io_uring_queue_init_params(entries, &ring, &params);
    if (error != -EINVAL) return error;
  }
  return error;
}

}   // namespace

Ring::Ring() {
  const int error = set_up(ring_, kEntries);
  ENGINE_CHECK(error == 0, "cannot set up io_uring: {}", std::generic_category().message(-error));
  io_uring_register_ring_fd(&ring_);   // only spares a look-up per system call
  files_registered_ = io_uring_register_files_sparse(&ring_, kFiles) == 0;
}

Ring::~Ring() {
  io_uring_queue_exit(&ring_);
}

int Ring::available() noexcept {
  io_uring ring{};
  const int error = set_up(ring, 4);
  if (error != 0) return -error;
  io_uring_queue_exit(&ring);
  return 0;
}

void Ring::start(Operation& operation) noexcept {
  if (backlog_.empty()) [[likely]] {
    if (io_uring_sqe* const entry = io_uring_get_sqe(&ring_)) [[likely]] {
      operation.prepare(operation, *entry);
      io_uring_sqe_set_data(entry, &operation);
      return;
    }
  }
  backlog_.push_back(operation);
}

void Ring::fill_from_backlog() noexcept {
  while (!backlog_.empty()) {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) return;
    Operation& operation = backlog_.front();
    backlog_.pop_front();
    operation.prepare(operation, *entry);
    io_uring_sqe_set_data(entry, &operation);
  }
}

// A failed submission (EAGAIN, EBUSY: the kernel is short of memory or its completion queue is
// full) leaves the entries in the queue: the next round hands them over again, after a reap.
void Ring::submit() noexcept {
  for (;;) {
    if (io_uring_sq_ready(&ring_) == 0) return;
    ++statistics_.enters;
    const int result = io_uring_submit_and_get_events(&ring_);
    if (backlog_.empty() || result <= 0) return;
    fill_from_backlog();
  }
}

void Ring::submit_and_wait(engine::Nanos timeout) noexcept {
  if (!backlog_.empty()) {
    submit();   // more than one queue's worth: there is something to reap soon
    if (!backlog_.empty() || ready()) return;
  }
  ++statistics_.enters;
  if (timeout < engine::Nanos{0}) {
    io_uring_submit_and_wait(&ring_, 1);
    return;
  }
  constexpr std::int64_t kSecond = 1'000'000'000;
  __kernel_timespec limit{timeout.count() / kSecond, timeout.count() % kSecond};
  io_uring_cqe* entry = nullptr;
  io_uring_submit_and_wait_timeout(&ring_, &entry, 1, &limit, nullptr);
}

// The kernel marks that it has work for us after it has handed it over. Were it run in between, the
// mark stays for nothing.
bool Ring::pull() noexcept {
  constexpr unsigned kHeldBack = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
  if (!ready() && (IO_URING_READ_ONCE(*ring_.sq.kflags) & kHeldBack) != 0) {
    ++statistics_.enters;
    io_uring_get_events(&ring_);
  }
  return ready();
}

bool Ring::reap() {
  // Once round what is there now: completions may start operations whose completions come at once.
  unsigned left = io_uring_cq_ready(&ring_);
  const bool some = left != 0;
  std::array<io_uring_cqe*, kReapBatch> entries{};
  while (left != 0) {
    const unsigned count =
        io_uring_peek_batch_cqe(&ring_, entries.data(), left < kReapBatch ? left : kReapBatch);
    for (unsigned i = 0; i < count; ++i) {
      const io_uring_cqe entry = *entries[i];
      auto* const operation = static_cast<Operation*>(io_uring_cqe_get_data(&entry));
      if (operation != nullptr) operation->done(*operation, entry.res, entry.flags);
    }
    io_uring_cq_advance(&ring_, count);
    statistics_.completions += count;
    if (count == 0) break;
    left -= count;
  }
  return some;
}

int Ring::register_file(int fd) noexcept {
  if (!files_registered_ || files_used_ == ~std::uint64_t{0}) return -1;
  const int slot = __builtin_ctzll(~files_used_);
  if (io_uring_register_files_update(&ring_, static_cast<unsigned>(slot), &fd, 1) != 1) return -1;
  files_used_ |= std::uint64_t{1} << slot;
  return slot;
}

void Ring::unregister_file(int slot) noexcept {
  constexpr int kNone = -1;
  io_uring_register_files_update(&ring_, static_cast<unsigned>(slot), &kNone, 1);
  files_used_ &= ~(std::uint64_t{1} << slot);
}

}   // namespace real_io
