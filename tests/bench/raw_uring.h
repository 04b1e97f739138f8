// The baseline: a load on one file through one io_uring, with nothing in between. The ring is set
// up as well as we know how: one issuer, completions taken when asked for, the file registered.
//
// A copy reads a slot and writes it to the next free place of the file from `copy_to` on, as a pool
// does that breaks sharing.
#pragma once

#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "engine/env/buffer.h"
#include "tests/bench/load.h"

namespace bench {

inline Measured run_raw(const std::string& path, const Load& load, std::uint64_t copy_to = 0) {
  const int fd = open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
  io_uring ring{};
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  if (fd < 0 || io_uring_queue_init_params(256, &ring, &params) != 0) {
    std::perror(path.c_str());
    std::exit(2);
  }
  io_uring_register_files(&ring, &fd, 1);
  io_uring_register_ring_fd(&ring);
  struct Slot {
    engine::AlignedBuffer buffer;
    double since = 0;
    bool copying = false;   // what was read is to be written
  };
  std::vector<Slot> slots(load.depth);
  Meter meter{load};
  std::uint32_t in_flight = 0;
  const auto issue = [&](Slot& slot) {
    std::uint64_t offset = 0;
    if (!meter.next(offset)) return;
    io_uring_sqe* const entry = io_uring_get_sqe(&ring);
    switch (load.op) {
      case Op::copy:
        slot.copying = true;
        [[fallthrough]];
      case Op::read:
        io_uring_prep_read(entry, 0, slot.buffer.data(), load.bytes, offset);
        break;
      case Op::write:
        io_uring_prep_write(entry, 0, slot.buffer.data(), load.bytes, offset);
        break;
      case Op::discard:
        io_uring_prep_fallocate(entry, 0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(offset), load.bytes);
        break;
    }
    entry->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(entry, &slot);
    slot.since = wall_seconds();
    ++in_flight;
  };
  const auto write_copy = [&](Slot& slot) {
    slot.copying = false;
    io_uring_sqe* const entry = io_uring_get_sqe(&ring);
    io_uring_prep_write(entry, 0, slot.buffer.data(), load.bytes, copy_to);
    copy_to += load.stride;
    entry->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(entry, &slot);
  };
  Slot syncing;
  syncing.buffer = engine::AlignedBuffer{4096};
  const auto sync = [&] {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring);
    io_uring_prep_write(entry, 0, syncing.buffer.data(), 4096, 0);
    entry->rw_flags = RWF_DSYNC;
    entry->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(entry, &syncing);
  };
  bool syncs = load.beside_syncs;
  if (syncs) sync();
  for (Slot& slot : slots) {
    slot.buffer = engine::AlignedBuffer{load.bytes};
    std::memset(slot.buffer.data(), 0x5a, load.bytes);
    issue(slot);
  }
  while (in_flight != 0 || syncs) {
    io_uring_submit_and_wait(&ring, 1);
    io_uring_cqe* entry = nullptr;
    unsigned head = 0;
    unsigned count = 0;
    io_uring_for_each_cqe(&ring, head, entry) {
      ++count;
      if (entry->res < 0) {
        std::fprintf(stderr, "%s: %s\n", path.c_str(),
                     std::generic_category().message(-entry->res).c_str());
        std::exit(1);
      }
      Slot& slot = *static_cast<Slot*>(io_uring_cqe_get_data(entry));
      if (&slot == &syncing) {
        syncs = in_flight != 0;
        if (syncs) sync();
        continue;
      }
      if (slot.copying) {
        write_copy(slot);
        continue;
      }
      meter.ended(slot.since);
      --in_flight;
      issue(slot);
    }
    io_uring_cq_advance(&ring, count);
  }
  const Measured measured = meter.result();
  io_uring_queue_exit(&ring);
  close(fd);
  return measured;
}

// Whole blocks copied instead of what the load asks for, to behind the volume of `volume_bytes`.
inline Measured run_raw_copies(const std::string& path, Load load, std::uint64_t volume_bytes) {
  load.op = Op::copy;
  load.bytes = static_cast<std::uint32_t>(load.stride);
  return run_raw(path, load, volume_bytes + load.first * load.stride);
}

}   // namespace bench
