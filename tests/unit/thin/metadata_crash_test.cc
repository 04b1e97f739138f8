// Power cuts and failing transfers at every moment of a history: what is left is the last commit or
// the one under way, whole, with every count exact.
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/sparse.h"
#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {
namespace {

constexpr std::uint64_t kMetadataBlocks = 512;

// A fixed history that uses everything; `committed()` is called before and after each commit, and
// says whether to go on. Ends at the first error.
template <typename Commit>
Result<void> history(Metadata& metadata, Commit&& commit) {
  std::uint32_t state = 12345;
  const auto random = [&](std::uint32_t below) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
  };
  ENGINE_TRY(metadata.resize_data(400));
  ENGINE_TRY(metadata.create_thin(ThinId{1}));
  for (std::uint32_t round = 0; round < 5; ++round) {
    ENGINE_TRY_ASSIGN(OpenThin* const origin, metadata.open_device(ThinId{1}));
    struct Closer {
      Metadata& metadata;
      OpenThin& device;
      ~Closer() { metadata.close_device(device); }
    } const closer{metadata, *origin};
    for (std::uint32_t i = 0; i < 9; ++i)
      ENGINE_TRY(provision(metadata, *origin, random(60)));
    ENGINE_TRY(commit());
    ENGINE_TRY(metadata.create_snap(ThinId{10 + round}, ThinId{1}));
    const std::uint64_t begin = random(50);
    ENGINE_TRY(metadata.remove_range(*origin, VirtBlock{begin}, VirtBlock{begin + 9}));
    for (std::uint32_t i = 0; i < 3; ++i)
      ENGINE_TRY(provision(metadata, *origin, random(60)));
    if (round == 1) ENGINE_TRY(metadata.reserve_metadata_snapshot());
    if (round == 3) ENGINE_TRY(metadata.release_metadata_snapshot());
    if (round == 2) ENGINE_TRY(metadata.delete_device(ThinId{10}));
    ENGINE_TRY(commit());
  }
  return {};
}

// All that anybody can see, also of the metadata snapshot.
std::string contents(const sim::DiskImage& image) {
  ImageSource source{image};
  std::string text = checkers::image::dump_thin_xml(source).text;
  // But for needs_check.
  const std::string flag = "flags=\"1\"";
  if (const auto at = text.find(flag); at != std::string::npos) text[at + flag.size() - 2] = '0';
  if (view_as<SuperblockDisk>(ConstBytes{pdata::block_bytes(image, 0)}).held_root.value() != 0)
    text += checkers::image::dump_thin_xml(source, checkers::image::DumpWhich::held).text;
  return text;
}

sim::DiskImageRef fresh() {
  static const sim::DiskImageRef image =
      with_metadata({.blocks = kMetadataBlocks}, small_options(6), [](Metadata&) {});
  return image;
}

// The images that commits lead through, in order, reserve's own among them.
std::vector<std::string> committed_contents() {
  std::vector<std::string> all{contents(*fresh())};
  const auto note = [&](sim::SimDevice& device) {
    std::string now = contents(*device.durable_snapshot());
    if (now != all.back()) all.push_back(std::move(now));
  };
  class Noting final : public PreCommitHook {
   public:
    explicit Noting(std::function<void()> note) : note_{std::move(note)} {}
    Result<void> before_commit() override {
      note_();
      return {};
    }

   private:
    std::function<void()> note_;
  };
  in_tank({.image = fresh()}, [&](sim::SimDevice& device) {
    const auto metadata = must(Metadata::open(device, small_options(6)));
    Noting noting{[&] { note(device); }};
    metadata->set_pre_commit_hook(&noting);
    must(history(*metadata, [&] { return metadata->commit(); }));
    note(device);
    metadata->set_pre_commit_hook(nullptr);
    must(metadata->close());
  });
  return all;
}

bool works(const sim::DiskImageRef& image) {
  bool done = false;
  const auto after = with_metadata({.image = image}, small_options(6), [&](Metadata& metadata) {
    must(metadata.resize_data(400));
    must(metadata.create_thin(ThinId{99}));
    OpenThin* const device = must(metadata.open_device(ThinId{99}));
    for (std::uint64_t i = 0; i < 30; ++i)
      must(provision(metadata, *device, i));
    metadata.close_device(*device);
    done = true;
  });
  return done && faults_of(*after).empty();
}

TEST(MetadataCrash, APowerCutLeavesACommitWhole) {
  const std::vector<std::string> all = committed_contents();
  ASSERT_GT(all.size(), 10U);
  std::vector<int> seen(all.size());
  for (std::uint64_t seed = 0; seed < 400; seed += unit::sparse()) {
    std::size_t acknowledged = 0;
    const auto image = in_tank({.seed = seed, .image = fresh()}, [&](sim::SimDevice& device) {
      current_executor().spawn("cut", [&device, seed] {
        for (std::uint64_t i = 0; i < seed * 37 % 2600; ++i)
          yield_now();
        device.power_cut();
      });
      auto metadata = Metadata::open(device, small_options(6));
      if (!metadata) return;
      const Result<void> result = history(**metadata, [&]() -> Result<void> {
        ENGINE_TRY((*metadata)->commit());
        const std::string now = device.powered() ? contents(*device.durable_snapshot()) : "";
        const auto at = std::find(all.begin(), all.end(), now);
        if (at != all.end()) acknowledged = static_cast<std::size_t>(at - all.begin());
        return {};
      });
      if (!result) {
        EXPECT_EQ(code_of(result), Errc::power_lost);
      }
    });
    ASSERT_EQ(faults_of(*image), "") << "seed " << seed;
    const auto at = std::find(all.begin(), all.end(), contents(*image));
    ASSERT_NE(at, all.end()) << "seed " << seed << ": no commit looks like that";
    const auto index = static_cast<std::size_t>(at - all.begin());
    EXPECT_GE(index, acknowledged) << "seed " << seed;
    ++seen[index];
    if (seed % 10 == 0) {
      EXPECT_TRUE(works(image)) << "seed " << seed;
    }
  }
  // The cuts are spread over the whole history.
  EXPECT_GT(std::count_if(seen.begin(), seen.end(), [](int count) { return count > 0; }),
            unit::sparse() == 1 ? 9 : 3);
}

// One transfer fails. An abort brings back what is on the disk, and everything works again.
TEST(MetadataCrash, AFailedTransferLosesOnlyTheOpenTransaction) {
  const std::vector<std::string> all = committed_contents();
  int failures = 0;
  for (std::uint64_t nth = 1; nth < 400; nth += unit::sparse()) {
    bool failed = false;
    const sim::FaultPlan faults{{{.nth = nth}}};
    const auto image =
        in_tank({.seed = nth, .image = fresh(), .faults = faults}, [&](sim::SimDevice& device) {
          MetadataOptions options = small_options(6);
          options.cache_blocks = nth % 2 == 0 ? 0 : 10;
          auto opened = Metadata::open(device, options);
          if (!opened) {
            failed = true;
            EXPECT_EQ(code_of(opened), Errc::io_error);
            return;
          }
          Metadata& metadata = **opened;
          const Result<void> result = history(metadata, [&] { return metadata.commit(); });
          if (result) {
            must(metadata.close());
            return;
          }
          failed = true;
          EXPECT_EQ(code_of(result), Errc::io_error) << "transfer " << nth;
          must(metadata.abort());
          must(metadata.set_needs_check());
          must(metadata.close());
        });
    if (!failed) break;
    ++failures;
    ASSERT_EQ(faults_of(*image), "") << "transfer " << nth;
    EXPECT_NE(std::find(all.begin(), all.end(), contents(*image)), all.end()) << "transfer " << nth;
  }
  EXPECT_GT(failures, 30 / static_cast<int>(unit::sparse()));
}

// A commit reaches the disk, its last flush fails, and whoever did it is gone; the next one reads
// it, changes something, and the power goes. What it wrote over must not be what the cut brings
// back.
TEST(MetadataCrash, ACommitThatIsOnlyInTheDisksCacheIsNotBuiltUpon) {
  int lost = 0;
  for (std::uint64_t seed = 0; seed < 400; seed += unit::sparse()) {
    const auto image = in_tank({.seed = seed, .image = fresh()}, [&](sim::SimDevice& device) {
      const auto change = [&](Metadata& metadata, std::uint64_t first) -> Result<void> {
        ENGINE_TRY_ASSIGN(OpenThin* const thin, metadata.open_device(ThinId{1}));
        Result<void> done;
        for (std::uint64_t i = 0; done && i < 20; ++i) {
          const auto block = provision(metadata, *thin, (first + 7 * i) % 60);
          if (!block) done = Failure{block.error()};
        }
        metadata.close_device(*thin);
        return done;
      };
      auto metadata = must(Metadata::open(device, small_options(6)));
      must(metadata->resize_data(400));
      must(metadata->create_thin(ThinId{1}));
      must(change(*metadata, 0));
      must(metadata->commit());
      must(change(*metadata, 3));
      device.faults().rules.push_back(
          {.ops = sim::kWrites, .sectors = kMetaBlockSectors, .nth = 1});
      EXPECT_EQ(code_of(metadata->commit()), Errc::io_error);
      metadata->fail_now();
      metadata = must(Metadata::open(device, small_options(6)));
      current_executor().spawn("cut", [&device, seed] {
        for (std::uint64_t i = 0; i < seed % 120; ++i)
          yield_now();
        device.power_cut();
      });
      Result<void> done = change(*metadata, 5);
      for (int i = 0; done && i < 3; ++i) {
        done = metadata->commit();
        if (done) done = change(*metadata, static_cast<std::uint64_t>(i));
      }
      if (!done) {
        EXPECT_EQ(code_of(done), Errc::power_lost);
        ++lost;
      }
      metadata->fail_now();
    });
    ASSERT_EQ(faults_of(*image), "") << "seed " << seed;
  }
  EXPECT_GT(lost, 0);
}

// A transfer fails, and so do the abort's own reads: fail mode, and the disk holds a commit.
TEST(MetadataCrash, AFailedAbortLeavesACommitOnTheDisk) {
  const std::vector<std::string> all = committed_contents();
  for (std::uint64_t nth = 20; nth < 200; nth += 7 * unit::sparse()) {
    const sim::FaultPlan faults{{{.nth = nth, .count_max = 1}}};
    const auto image =
        in_tank({.seed = nth, .image = fresh(), .faults = faults}, [&](sim::SimDevice& device) {
          auto metadata = must(Metadata::open(device, small_options(6)));
          const Result<void> result = history(*metadata, [&] { return metadata->commit(); });
          if (!result) {
            device.faults().rules.push_back({.ops = sim::kReads, .nth = 0, .one_in = 1});
            EXPECT_EQ(code_of(metadata->abort()), Errc::io_error);
            EXPECT_TRUE(metadata->failed());
          }
          (void)metadata->close();
        });
    ASSERT_EQ(faults_of(*image), "") << "transfer " << nth;
    EXPECT_NE(std::find(all.begin(), all.end(), contents(*image)), all.end()) << "transfer " << nth;
  }
}

}   // namespace
}   // namespace engine::thin
