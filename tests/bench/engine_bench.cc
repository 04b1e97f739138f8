// The engine without NBD against the same program on raw io_uring: a thin volume on a pool on one
// file, the raw program on another file of the same kind. They take turns in short slices, first
// one, then the other, then the other way round, so that what else the machine does meets both
// alike; a row shows medians over the slices, and of the ratio and the added CPU over the pairs.
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
  double seconds = 0.25;           // of a slice
  int slices = 12;                 // of each kind, for loads that can be repeated
  int parts = 5;                   // of the volume, for loads that do each block once
  double spin_us = 0;
  std::string only;   // rows whose name holds it
};

enum class Prepare : std::uint8_t { mapped, unmapped, shared };

// What a row is judged by: the ratio to raw at least, the added CPU at most. 0: nothing.
struct Aim {
  double ratio = 0;
  double added_us = 0;
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
    const std::uint64_t pages = mapped() / 4096;
    const std::uint64_t blocks = mapped() / kBlock;
    const double s = settings_.seconds;
    fmt::print("{:<32}{:>9}{:>9}{:>7}{:>6}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>7}{:>6}\n",
               "engine / raw io_uring", "raw IOPS", "IOPS", "ratio", "aim", "raw p50", "p50",
               "raw p99", "p99", "raw CPU", "CPU us", "added", "aim");
    const Aim mapped_aim{0.97, 1.0};
    compare(
        Prepare::mapped,
        {{{"read 4K, mapped, depth 1", Op::read, 1, 4096, 4096, pages, 0, false, s}, mapped_aim},
         {{"read 4K, mapped, depth 32", Op::read, 32, 4096, 4096, pages, 0, false, s}, mapped_aim},
         {{"write 4K, mapped, depth 1", Op::write, 1, 4096, 4096, pages, 0, false, s}, mapped_aim},
         {{"write 4K, mapped, depth 32", Op::write, 32, 4096, 4096, pages, 0, false, s},
          mapped_aim},
         {{"read 4K, depth 8, beside syncs", Op::read, 8, 4096, 4096, pages, 0, false, s, true},
          {}}});
    compare(Prepare::unmapped,
            {{{"first write 4K, depth 32", Op::write, 32, 4096, kBlock, blocks, 0, true, s},
              {0.5, 0}}});
    compare(
        Prepare::unmapped,
        {{{"first write 64K, depth 32", Op::write, 32, kBlock, kBlock, blocks, 0, true, s}, {}}});
    compare(Prepare::shared,
            {{{"break sharing 4K / copy", Op::write, 32, 4096, kBlock, blocks, 0, true, s},
              {1.0, 0},
              Op::copy}});
    compare(Prepare::shared,
            {{{"break sharing 64K / write", Op::write, 32, kBlock, kBlock, blocks, 0, true, s},
              {0.6, 0}}});
    compare(Prepare::mapped,
            {{{"discard 64K, depth 32", Op::discard, 32, kBlock, kBlock, blocks, 0, true, s},
              {1.0, 0}}});
  }

 private:
  struct Row {
    Load load;
    Aim aim;
    Op raw_op = Op::discard;   // copy: the raw program copies blocks instead
  };
  using Pair = std::pair<Measured, Measured>;   // raw, ours

  [[nodiscard]] std::uint64_t mapped() const { return settings_.megabytes * kMiB; }

  // Rows on one pool, one after the other.
  void compare(Prepare prepare, std::vector<Row> rows) {
    std::erase_if(rows, [&](const Row& row) {
      return std::string_view{row.load.name}.find(settings_.only) == std::string_view::npos;
    });
    if (rows.empty()) return;
    blank(raw_, prepare == Prepare::shared ? 2 * mapped() : mapped(), true);
    make_pool(prepare);
    for (const Row& row : rows)
      report(row, measure(row));
    drop_pool();
  }

  std::vector<Pair> measure(const Row& row) {
    std::vector<Pair> pairs;
    const int count = row.load.once ? settings_.parts : settings_.slices;
    for (int i = 0; i < count; ++i) {
      Load load = row.load;
      if (load.once) {   // a part of the blocks each
        load.slots /= static_cast<std::uint64_t>(count);
        load.first = load.slots * static_cast<std::uint64_t>(i);
      }
      Pair pair;
      const bool raw_first = i % 2 == 0;
      if (raw_first) pair.first = raw_slice(load, row.raw_op);
      pair.second = our_slice(load);
      if (!raw_first) pair.first = raw_slice(load, row.raw_op);
      pairs.push_back(pair);
    }
    return pairs;
  }

  Measured raw_slice(Load load, Op raw_op) {
    if (raw_op != Op::copy) return run_raw(raw_, load);
    load.op = Op::copy;
    load.bytes = kBlock;
    return run_raw(raw_, load, mapped() + load.first * load.stride);
  }

  Measured our_slice(const Load& load) {
    Measured ours;
    executor_.run([&] {
      auto thin = system_->open("thin");
      must(thin, "open");
      bool running = true;
      engine::Completion ended{"bench.syncs"};
      if (load.beside_syncs) {
        ended.expect_more();
        executor_.spawn("syncs", [&] {
          for (; running; ++transaction_)
            must(system_->message(
                     "pool", engine::Sector{0},
                     fmt::format("set_transaction_id {} {}", transaction_, transaction_ + 1)),
                 "set_transaction_id");
          ended.signal();
        });
      }
      EngineRun run{thin->device(), load};
      ours = run.run();
      running = false;
      ended.signal();
      ended.wait();
    });
    return ours;
  }

  static void report(const Row& row, const std::vector<Pair>& pairs) {
    const auto median = [&](auto&& of) {
      std::vector<double> values;
      for (const Pair& pair : pairs)
        values.push_back(of(pair));
      std::sort(values.begin(), values.end());
      const std::size_t half = values.size() / 2;
      return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
    };
    const auto raw = [&](double Measured::* field) {
      return median([&](const Pair& pair) { return pair.first.*field; });
    };
    const auto ours = [&](double Measured::* field) {
      return median([&](const Pair& pair) { return pair.second.*field; });
    };
    const double ratio =
        median([](const Pair& pair) { return pair.second.iops / pair.first.iops; });
    const double added =
        median([](const Pair& pair) { return pair.second.cpu_us - pair.first.cpu_us; });
    const auto aim = [](double value) {
      return value == 0 ? std::string{} : fmt::format("{:.4g}", value);
    };
    fmt::print(
        "{:<32}{:>9.0f}{:>9.0f}{:>7.2f}{:>6}{:>8.1f}{:>8.1f}{:>8.0f}{:>8.0f}{:>8.2f}{:>8.2f}{:>7."
        "2f}"
        "{:>6}\n",
        row.load.name, raw(&Measured::iops), ours(&Measured::iops), ratio, aim(row.aim.ratio),
        raw(&Measured::p50_us), ours(&Measured::p50_us), raw(&Measured::p99_us),
        ours(&Measured::p99_us), raw(&Measured::cpu_us), ours(&Measured::cpu_us), added,
        aim(row.aim.added_us));
    std::fflush(stdout);
  }

  // The data file's blocks have been written before, as the raw file's have, so that neither pays
  // for the file system's allocation.
  void make_pool(Prepare prepare) {
    transaction_ = 0;
    const std::uint64_t size = (prepare == Prepare::shared ? 2 : 1) * mapped() + 64 * kMiB;
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
      must(system_->create_with_table("thin", fmt::format("0 {} thin pool 0", mapped() / 512)),
           "thin");
      if (prepare == Prepare::unmapped) return;
      {
        auto thin = system_->open("thin");
        must(thin, "open");
        EngineRun fill{thin->device(),
                       Load{"fill", Op::write, 16, kBlock, kBlock, mapped() / kBlock, 0, true, 1}};
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
  std::uint64_t transaction_ = 0;   // the pool's
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
  program.add_option("--seconds", settings.seconds, "a slice");
  program.add_option("--slices", settings.slices, "of loads that can be repeated");
  program.add_option("--parts", settings.parts, "of the volume, for loads that write a block once");
  program.add_option("--spin-us", settings.spin_us, "the reactor looks for work before it sleeps");
  program.add_option("--only", settings.only, "rows whose name holds this");
  CLI11_PARSE(program, argc, argv);
  bench::Bench{settings}.all();
}
