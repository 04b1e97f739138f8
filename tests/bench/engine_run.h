// A load on a block device of the engine, submitted from completions as the raw program does, and
// the files that its devices stand on.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "engine/env/buffer.h"
#include "engine/env/env.h"
#include "engine/fiber/completion.h"
#include "real-io/uring_device.h"
#include "tests/bench/load.h"

namespace bench {

// What tables name, by file.
class Files final : public engine::DeviceDirectory {
 public:
  Files(real_io::UringExecutor& executor, const std::map<std::string, std::string>& paths) {
    for (const auto& [name, path] : paths) {
      auto device = real_io::UringDevice::open(executor, path);
      if (!device) {
        fmt::print(stderr, "{}\n", device.error());
        std::exit(2);
      }
      devices_[name] = *std::move(device);
    }
  }
  engine::Result<engine::BlockDevice*> find(std::string_view name) override {
    const auto found = devices_.find(name);
    if (found == devices_.end()) return engine::fail(engine::Errc::not_found);
    return found->second.get();
  }

 private:
  std::map<std::string, std::unique_ptr<real_io::UringDevice>, std::less<>> devices_;
};

inline void blank(const std::string& path, std::uint64_t size, bool written) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(size)) != 0) {
    std::perror(path.c_str());
    std::exit(2);
  }
  if (written) {
    const std::vector<char> chunk(kMiB, 'w');
    for (std::uint64_t at = 0; at < size; at += kMiB)
      if (pwrite(fd, chunk.data(), chunk.size(), static_cast<off_t>(at)) < 0) std::exit(2);
    fsync(fd);
  }
  close(fd);
}

// The same program on a block device of the engine: submits from completions, as the raw one does.
class EngineRun {
 public:
  EngineRun(engine::BlockDevice& device, const Load& load) : device_{device}, load_{load} {}

  Measured run() {
    Meter meter{load_};
    meter_ = &meter;
    std::vector<Slot> slots(load_.depth);
    for (Slot& slot : slots) {
      slot.run = this;
      slot.buffer = engine::AlignedBuffer{load_.bytes};
      std::memset(slot.buffer.data(), 0x5a, load_.bytes);
      over_.expect_more();
    }
    for (Slot& slot : slots)
      issue(slot);
    over_.signal();
    over_.wait();
    return meter.result();
  }

 private:
  struct Slot {
    engine::Bio bio;
    engine::AlignedBuffer buffer;
    EngineRun* run = nullptr;
    double since = 0;
  };

  void issue(Slot& slot) {
    std::uint64_t offset = 0;
    if (!meter_->next(offset)) return over_.signal();
    engine::Bio& bio = slot.bio;
    bio = engine::Bio{};
    bio.op = load_.op == Op::read    ? engine::BioOp::read
             : load_.op == Op::write ? engine::BioOp::write
                                     : engine::BioOp::discard;
    bio.sector = engine::Sector{offset / 512};
    bio.sectors = load_.bytes / 512;
    if (load_.op != Op::discard) bio.data = slot.buffer.data();
    bio.owner = &slot;
    bio.end_io = [](engine::Bio& ended) {
      Slot& mine = *static_cast<Slot*>(ended.owner);
      if (ended.status != engine::Errc::ok) {
        fmt::print(stderr, "the engine: {}\n", to_string(ended.status));
        std::exit(1);
      }
      mine.run->meter_->ended(mine.since);
      mine.run->issue(mine);
    };
    slot.since = wall_seconds();
    device_.submit(bio);
  }

  engine::BlockDevice& device_;
  const Load load_;
  Meter* meter_ = nullptr;
  engine::Completion over_{"bench.over"};
};

template <typename T>
void must(const engine::Result<T>& result, const char* what) {
  if (result) return;
  fmt::print(stderr, "{}: {} {}\n", what, to_string(result.error().code), result.error().what);
  std::exit(1);
}

}   // namespace bench
