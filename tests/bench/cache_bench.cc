// A cache against raw io_uring on a file of the same kind (duel.h): hits on the fast device; blocks
// that enter, by copies or by being written whole; dirty blocks that go back beside other traffic.
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/cache/targets.h"
#include "engine/dm/system.h"
#include "tests/bench/duel.h"
#include "tests/bench/engine_run.h"
#include "tests/bench/raw_uring.h"
#include "tests/unit/cache/eager_policy.h"

namespace bench {
namespace {

constexpr const char* kCache = "cache";
// Sectors that may move at once. As much as a depth of 32 asks for; nothing, so that what is
// measured is hits alone.
constexpr const char* kMuch = "migration_threshold 65536";
constexpr const char* kNothing = "migration_threshold 0";
// Blocks that may at the default of 2048 sectors.
constexpr std::uint32_t kMovingByDefault = 2048 * 512 / kBlock;

class Bench {
 public:
  explicit Bench(const Settings& settings)
      : settings_{settings},
        raw_{settings.folder + "/bench-raw.img"},
        paths_{{"metadata", settings.folder + "/bench-meta.img"},
               {"fast", settings.folder + "/bench-fast.img"},
               {"origin", settings.folder + "/bench-origin.img"}},
        executor_{{.reactors = 1, .reactor = settings.reactor()}} {
    blank(raw_, 2 * volume(), true);
    blank(paths_["fast"], volume() + volume() / 2, true);
    blank(paths_["origin"], volume(), true);
  }
  ~Bench() {
    unlink(raw_.c_str());
    for (const auto& [name, path] : paths_)
      unlink(path.c_str());
  }

  void all() {
    print_heading("a cache / raw io_uring");
    hits();
    // A block enters with a commit, and one commit serves all that wait: hence the depth, and
    // hence the raw program makes something durable all the while.
    promotions("promote by reads / copy, sync", "eager",
               {"", Op::read, 128, 4096, kBlock, blocks(), 0, true}, Op::copy);
    promotions("promote by writes / write, sync", "smq",
               {"", Op::write, 128, kBlock, kBlock, blocks(), 0, true}, Op::write);
    writebacks("write back / copy", "read 4K, depth 4, beside that");
  }

 private:
  [[nodiscard]] std::uint64_t volume() const { return settings_.volume_bytes(); }
  [[nodiscard]] std::uint64_t blocks() const { return volume() / kBlock; }

  void hits() {
    const std::uint64_t pages = volume() / 4096;
    const double s = settings_.seconds;
    const std::vector<Load> loads = {
        {"read 4K, hit, depth 1", Op::read, 1, 4096, 4096, pages, 0, false, s},
        {"read 4K, hit, depth 32", Op::read, 32, 4096, 4096, pages, 0, false, s},
        {"write 4K, hit, depth 1", Op::write, 1, 4096, 4096, pages, 0, false, s},
        {"write 4K, hit, depth 32", Op::write, 32, 4096, 4096, pages, 0, false, s}};
    if (std::none_of(loads.begin(), loads.end(),
                     [&](const Load& load) { return settings_.wants(load.name); }))
      return;
    with_cache("smq", [&] {
      run(write_everything());
      must_be_cached(blocks());
      message(kNothing);
    });
    for (const Load& load : loads) {
      if (!settings_.wants(load.name)) continue;
      report(load.name, {0.95, 0},
             take_turns(
                 settings_, load, [&](const Load& part) { return run_raw(raw_, part); },
                 [&](const Load& part) { return slice(part); }));
    }
    drop();
  }

  // Every block enters by one request.
  void promotions(const char* name, const char* policy, const Load& load, Op raw_op) {
    if (!settings_.wants(name)) return;
    with_cache(policy, [&] { message(kMuch); });
    const auto raw = [&](Load part) {
      part.beside_syncs = true;
      return raw_op == Op::copy ? run_raw_copies(raw_, part, volume()) : run_raw(raw_, part);
    };
    report(name, {},
           take_turns(settings_, load, raw, [&](const Load& part) { return slice(part); }));
    const auto parts = static_cast<std::uint64_t>(settings_.parts);
    executor_.run([&] { must_be_cached(blocks() / parts * parts); });
    drop();
  }

  // The whole cache is made dirty, and emptied by the policy `cleaner` at the default threshold,
  // while somebody reads; the raw program copies as much beside the same reads.
  void writebacks(const char* name, const char* beside) {
    if (!settings_.wants(name) && !settings_.wants(beside)) return;
    with_cache("smq", [] {});
    std::vector<Pair> drains(static_cast<std::size_t>(settings_.parts));
    std::vector<Pair> reads(drains.size());
    for (std::size_t i = 0; i < drains.size(); ++i) {
      std::atomic<bool> over{false};
      Load read{"", Op::read, 4, 4096, 4096, volume() / 4096};
      read.seconds = 600;   // as long as it takes
      read.over = &over;
      std::thread reader{[&] { reads[i].first = run_raw(raw_, read); }};
      drains[i].first = run_raw_copies(
          raw_, {"", Op::copy, kMovingByDefault, kBlock, kBlock, blocks(), 0, true}, volume());
      over = true;
      reader.join();
      over = false;
      executor_.run([&] {
        use_policy("smq");
        run(write_everything());
        use_policy("cleaner");
        engine::Completion ended{"bench.reads"};
        ended.expect_more();
        executor_.spawn("reads", [&] {
          reads[i].second = run(read);
          ended.signal();
        });
        const double began = wall_seconds();
        const double cpu_began = cpu_seconds();
        const auto dirty = static_cast<double>(await_clean());
        drains[i].second = {.iops = dirty / (wall_seconds() - began),
                            .cpu_us = (cpu_seconds() - cpu_began) * 1e6 / dirty};
        over = true;
        ended.signal();
        ended.wait();
      });
    }
    report(name, {}, drains);
    report(beside, {}, reads);
    drop();
  }

  // --- In a fiber.

  [[nodiscard]] Load write_everything() const {
    return {"", Op::write, 16, kBlock, kBlock, blocks(), 0, true};
  }
  Measured run(const Load& load) {
    auto cache = system_->open(kCache);
    must(cache, "open");
    return EngineRun{cache->device(), load}.run();
  }
  void message(const char* text) { must(system_->message(kCache, engine::Sector{0}, text), text); }
  [[nodiscard]] std::string table(const char* policy) const {
    return fmt::format("0 {} cache metadata fast origin {} 2 metadata2 writeback {} 0",
                       volume() / 512, kBlock / 512, policy);
  }
  void use_policy(const char* policy) {
    must(system_->load(kCache, table(policy)), policy);
    must(system_->resume(kCache), policy);
  }
  // A word of the status line, counted from its first.
  std::string status_word(std::size_t index) {
    const auto status = system_->status(kCache, engine::io::StatusCommit::no);
    must(status, "status");
    return std::string{engine::dm::split_words(*status).at(index)};
  }
  void must_be_cached(std::uint64_t count) {
    constexpr std::size_t kUsed = 6;
    const std::string used = status_word(kUsed);
    if (used.substr(0, used.find('/')) == std::to_string(count)) return;
    fmt::print(stderr, "{} blocks are cached, and not {}\n", used, count);
    std::exit(1);
  }
  // The number of blocks that were dirty.
  std::uint64_t await_clean() {
    constexpr std::size_t kDirty = 13;
    const std::uint64_t begin = std::stoull(status_word(kDirty));
    std::uint64_t seen = 0;
    for (;;) {
      const auto event = system_->wait_event(kCache, seen);
      must(event, "wait_event");
      seen = *event;
      if (status_word(kDirty) == "0") return begin;
    }
  }

  // --- Around one.

  Measured slice(const Load& load) {
    Measured measured;
    executor_.run([&] { measured = run(load); });
    return measured;
  }
  // A fresh cache on the same files.
  template <typename Prepare>
  void with_cache(const char* policy, Prepare&& prepare) {
    blank(paths_["metadata"], 16 * kMiB, false);
    devices_ = std::make_unique<Files>(executor_, paths_);
    executor_.run([&] {
      system_ = std::make_unique<engine::dm::System>(engine::Env{executor_, *devices_});
      targets_ = std::make_unique<engine::cache::CacheTargets>();
      targets_->policies().add(eager_);
      targets_->add_to(system_->registry());
      must(system_->create_with_table(kCache, table(policy)), "cache");
      prepare();
    });
  }
  void drop() {
    executor_.run([&] {
      must(system_->remove_all(), "remove_all");
      system_.reset();
      targets_.reset();
    });
    devices_.reset();
  }

  const Settings settings_;
  const std::string raw_;
  std::map<std::string, std::string> paths_;
  real_io::UringExecutor executor_;
  engine::cache::EagerPolicyType eager_;
  std::unique_ptr<Files> devices_;
  std::unique_ptr<engine::cache::CacheTargets> targets_;
  std::unique_ptr<engine::dm::System> system_;
};

}   // namespace
}   // namespace bench

int main(int argc, char** argv) {
  bench::Settings settings;
  CLI::App program{"a cache against raw io_uring"};
  settings.add_to(program);
  CLI11_PARSE(program, argc, argv);
  bench::Bench{settings}.all();
}
