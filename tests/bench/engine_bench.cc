// The engine without NBD against the same program on raw io_uring (duel.h): a thin volume on a pool
// on one file, the raw program on another file of the same kind.
#include <memory>
#include <string>
#include <vector>

#include "engine/dm/system.h"
#include "engine/thin/targets.h"
#include "tests/bench/duel.h"
#include "tests/bench/engine_run.h"
#include "tests/bench/raw_uring.h"

namespace bench {
namespace {

enum class Prepare : std::uint8_t { mapped, unmapped, shared };

// A fresh pool with thins 0 (mapped), and what the loads need.
class Bench {
 public:
  explicit Bench(const Settings& settings)
      : settings_{settings},
        raw_{settings.folder + "/bench-raw.img"},
        metadata_{settings.folder + "/bench-meta.img"},
        data_{settings.folder + "/bench-data.img"},
        executor_{{.reactors = 1, .reactor = settings.reactor()}} {}
  ~Bench() {
    for (const std::string& path : {raw_, metadata_, data_})
      unlink(path.c_str());
  }

  void all() {
    const std::uint64_t pages = mapped() / 4096;
    const std::uint64_t blocks = mapped() / kBlock;
    const double s = settings_.seconds;
    print_heading("engine / raw io_uring");
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

  [[nodiscard]] std::uint64_t mapped() const { return settings_.volume_bytes(); }

  // Rows on one pool, one after the other.
  void compare(Prepare prepare, std::vector<Row> rows) {
    std::erase_if(rows, [&](const Row& row) { return !settings_.wants(row.load.name); });
    if (rows.empty()) return;
    blank(raw_, prepare == Prepare::shared ? 2 * mapped() : mapped(), true);
    make_pool(prepare);
    for (const Row& row : rows)
      report(row.load.name, row.aim,
             take_turns(
                 settings_, row.load, [&](const Load& load) { return raw_slice(load, row.raw_op); },
                 [&](const Load& load) { return our_slice(load); }));
    drop_pool();
  }

  Measured raw_slice(const Load& load, Op raw_op) {
    return raw_op == Op::copy ? run_raw_copies(raw_, load, mapped()) : run_raw(raw_, load);
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

  // The data file's blocks have been written before, as the raw file's have, so that neither pays
  // for the file system's allocation.
  void make_pool(Prepare prepare) {
    transaction_ = 0;
    const std::uint64_t size = (prepare == Prepare::shared ? 2 : 1) * mapped() + 64 * kMiB;
    blank(metadata_, 64 * kMiB, false);
    blank(data_, size, true);
    devices_ = std::make_unique<Files>(
        executor_, std::map<std::string, std::string>{{"metadata", metadata_}, {"data", data_}});
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
  std::unique_ptr<Files> devices_;
  std::unique_ptr<engine::thin::ThinTargets> targets_;
  std::unique_ptr<engine::dm::System> system_;
};

}   // namespace
}   // namespace bench

int main(int argc, char** argv) {
  bench::Settings settings;
  CLI::App program{"the engine against raw io_uring"};
  settings.add_to(program);
  CLI11_PARSE(program, argc, argv);
  bench::Bench{settings}.all();
}
