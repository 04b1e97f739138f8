// The engine without NBD against the same program on raw io_uring: a thin volume on a pool on one
// file, the raw program on another file of the same kind, turn about; ratios are to the raw run of
// the same round.
#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "engine/dm/system.h"
#include "engine/thin/targets.h"
#include "real-io/uring_device.h"
#include "real-io/uring_executor.h"
#include "tests/bench/load.h"
#include "tests/bench/raw_uring.h"

namespace bench {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kBlock = 64 << 10;

struct Settings {
  std::string folder = ".";
  std::uint64_t megabytes = 512;   // of mapped blocks
  double seconds = 2.0;
  int rounds = 3;
  double spin_us = 0;
  std::string only;   // rows whose name holds it
};

class TwoFiles final : public engine::DeviceDirectory {
 public:
  TwoFiles(real_io::UringExecutor& executor, const std::string& metadata, const std::string& data)
      : metadata_{open(executor, metadata)}, data_{open(executor, data)} {}
  engine::Result<engine::BlockDevice*> find(std::string_view name) override {
    if (name == "metadata") return metadata_.get();
    if (name == "data") return data_.get();
    return engine::fail(engine::Errc::not_found);
  }

 private:
  static std::unique_ptr<real_io::UringDevice> open(real_io::UringExecutor& executor,
                                                    const std::string& path) {
    auto device = real_io::UringDevice::open(executor, path);
    if (!device) {
      fmt::print(stderr, "{}\n", device.error());
      std::exit(2);
    }
    return *std::move(device);
  }
  std::unique_ptr<real_io::UringDevice> metadata_;
  std::unique_ptr<real_io::UringDevice> data_;
};

void blank(const std::string& path, std::uint64_t size, bool written) {
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

// A fresh pool with thins 0 (mapped), and what the loads need.
class Bench {
 public:
  explicit Bench(const Settings& settings)
      : settings_{settings},
        raw_{settings.folder + "/bench-raw.img"},
        metadata_{settings.folder + "/bench-meta.img"},
        data_{settings.folder + "/bench-data.img"},
        executor_{{.reactors = 1,
                   .reactor = {.spin = std::chrono::nanoseconds{
                                   static_cast<std::int64_t>(settings.spin_us * 1000)}}}} {}
  ~Bench() {
    for (const std::string& path : {raw_, metadata_, data_})
      unlink(path.c_str());
  }

  void all() {
    const std::uint64_t mapped = settings_.megabytes * kMiB;
    const std::uint64_t pages = mapped / 4096;
    const std::uint64_t blocks = mapped / kBlock;
    const double s = settings_.seconds;
    fmt::print("{:<34}{:>10}{:>10}{:>7}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}\n", "engine / raw io_uring",
               "raw IOPS", "IOPS", "ratio", "raw p50", "p50", "raw p99", "p99", "raw CPU",
               "CPU us");
    for (const Load& load : {
             Load{"read 4K, mapped, depth 1", Op::read, 1, 4096, 4096, pages, false, s},
             Load{"read 4K, mapped, depth 32", Op::read, 32, 4096, 4096, pages, false, s},
             Load{"write 4K, mapped, depth 1", Op::write, 1, 4096, 4096, pages, false, s},
             Load{"write 4K, mapped, depth 32", Op::write, 32, 4096, 4096, pages, false, s},
         })
      compare(load, Prepare::mapped);
    for (const Load& load : {
             Load{"first write 4K, depth 32", Op::write, 32, 4096, kBlock, blocks, true, s},
             Load{"first write 64K, depth 32", Op::write, 32, kBlock, kBlock, blocks, true, s},
         })
      compare(load, Prepare::unmapped);
    for (const Load& load : {
             Load{"break sharing 4K, depth 32", Op::write, 32, 4096, kBlock, blocks, true, s},
             Load{"break sharing 64K, depth 32", Op::write, 32, kBlock, kBlock, blocks, true, s},
         })
      compare(load, Prepare::shared);
    compare(Load{"discard 64K, depth 32", Op::discard, 32, kBlock, kBlock, blocks, true, s},
            Prepare::mapped);
  }

 private:
  enum class Prepare : std::uint8_t { mapped, unmapped, shared };

  void compare(const Load& load, Prepare prepare) {
    if (std::string_view{load.name}.find(settings_.only) == std::string_view::npos) return;
    std::vector<std::pair<Measured, Measured>> rounds;
    const bool remake_each = load.once;
    if (!remake_each) {
      blank(raw_, settings_.megabytes * kMiB, true);
      make_pool(prepare);
    }
    for (int round = 0; round < settings_.rounds; ++round) {
      if (remake_each) {
        blank(raw_, settings_.megabytes * kMiB, true);
        make_pool(prepare);
      }
      const Measured raw = run_raw(raw_, load);
      Measured ours;
      executor_.run([&] {
        auto thin = system_->open("thin");
        must(thin, "open");
        EngineRun run{thin->device(), load};
        ours = run.run();
      });
      rounds.emplace_back(raw, ours);
      if (remake_each) drop_pool();
    }
    if (!remake_each) drop_pool();
    std::sort(rounds.begin(), rounds.end(), [](const auto& a, const auto& b) {
      return a.second.iops / a.first.iops < b.second.iops / b.first.iops;
    });
    const auto& [raw, ours] = rounds[rounds.size() / 2];
    fmt::print("{:<34}{:>10.0f}{:>10.0f}{:>7.2f}{:>8.1f}{:>8.1f}{:>8.0f}{:>8.0f}{:>8.2f}{:>8.2f}\n",
               load.name, raw.iops, ours.iops, ours.iops / raw.iops, raw.p50_us, ours.p50_us,
               raw.p99_us, ours.p99_us, raw.cpu_us, ours.cpu_us);
    std::fflush(stdout);
  }

  // The data file's blocks have been written before, as the raw file's have, so that neither pays
  // for the file system's allocation.
  void make_pool(Prepare prepare) {
    const std::uint64_t mapped = settings_.megabytes * kMiB;
    const std::uint64_t size =
        prepare == Prepare::shared ? 2 * mapped + 64 * kMiB : mapped + 64 * kMiB;
    blank(metadata_, 64 * kMiB, false);
    blank(data_, size, true);
    devices_ = std::make_unique<TwoFiles>(executor_, metadata_, data_);
    executor_.run([&] {
      system_ = std::make_unique<engine::dm::System>(engine::Env{executor_, *devices_});
      targets_ = std::make_unique<engine::thin::ThinTargets>();
      targets_->add_to(system_->registry());
      must(system_->create_with_table(
               "pool", fmt::format("0 {} thin-pool metadata data 128 0", size / 512)),
           "pool");
      must(system_->message("pool", engine::Sector{0}, "create_thin 0"), "create_thin");
      must(system_->create_with_table("thin", fmt::format("0 {} thin pool 0", mapped / 512)),
           "thin");
      if (prepare == Prepare::unmapped) return;
      {
        auto thin = system_->open("thin");
        must(thin, "open");
        EngineRun fill{thin->device(),
                       Load{"fill", Op::write, 16, kBlock, kBlock, mapped / kBlock, true, 1}};
        fill.run();
        must(engine::flush_and_wait(thin->device()), "flush");
      }
      if (prepare != Prepare::shared) return;
      must(system_->suspend("thin", engine::io::SuspendKind::flush), "suspend");
      must(system_->message("pool", engine::Sector{0}, "create_snap 1 0"), "create_snap");
      must(system_->resume("thin"), "resume");
    });
  }
  void drop_pool() {
    executor_.run([&] {
      must(system_->remove_all(), "remove_all");
      system_.reset();
      targets_.reset();
    });
    devices_.reset();
  }

  const Settings settings_;
  const std::string raw_;
  const std::string metadata_;
  const std::string data_;
  real_io::UringExecutor executor_;
  std::unique_ptr<TwoFiles> devices_;
  std::unique_ptr<engine::thin::ThinTargets> targets_;
  std::unique_ptr<engine::dm::System> system_;
};

}   // namespace
}   // namespace bench

int main(int argc, char** argv) {
  bench::Settings settings;
  CLI::App program{"the engine against raw io_uring"};
  program.add_option("--folder", settings.folder, "where the files are made");
  program.add_option("--megabytes", settings.megabytes, "mapped blocks");
  program.add_option("--seconds", settings.seconds, "a measurement");
  program.add_option("--rounds", settings.rounds, "of each, the median is shown");
  program.add_option("--spin-us", settings.spin_us, "the reactor looks for work before it sleeps");
  program.add_option("--only", settings.only, "rows whose name holds this");
  CLI11_PARSE(program, argc, argv);
  bench::Bench{settings}.all();
}
