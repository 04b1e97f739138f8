// The simulated disk: when things take effect, and who sees it. And images by themselves.
#include "sim/sim_device.h"

#include <array>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/spin_lock.h"
#include "tests/unit/sim/sim_device_requests.h"

namespace sim {
namespace {

TEST(SimDevice, OverlappingWritesInFlightTakeEffectInEitherOrder) {
  std::set<int> seen;
  for_seeds(100, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    engine::Completion ended{"ended", 2};
    Request a{BioOp::write, 0, 8, 1};
    Request b{BioOp::write, 0, 8, 2};
    for (Request* const request : {&a, &b}) {
      request->bio.owner = &ended;
      request->bio.end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
      device.submit(request->bio);
    }
    ended.wait();
    seen.insert(byte_now(device, 0));
  });
  EXPECT_EQ(seen, (std::set<int>{1, 2}));
}

TEST(SimDevice, EndsOutOfOrder) {
  std::set<std::vector<int>> orders;
  for_seeds(200, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    struct Tagged : Request {
      Tagged(int tag_value, engine::SpinLock& guard, std::vector<int>& list,
             engine::Completion& completion)
          : Request{BioOp::write, static_cast<std::uint64_t>(tag_value) * 8, 8},
            tag{tag_value},
            lock{guard},
            order{list},
            ended{completion} {}
      int tag;
      engine::SpinLock& lock;
      std::vector<int>& order;   // guarded by lock
      engine::Completion& ended;
    };
    engine::SpinLock lock{"order"};
    std::vector<int> order;
    engine::Completion ended{"ended", 3};
    std::array<Tagged, 3> requests{Tagged{0, lock, order, ended}, Tagged{1, lock, order, ended},
                                   Tagged{2, lock, order, ended}};
    for (Tagged& request : requests) {
      request.bio.owner = &request;
      request.bio.end_io = [](Bio& bio) {
        auto& self = *static_cast<Tagged*>(bio.owner);
        {
          const engine::SpinGuard guard{self.lock};
          self.order.push_back(self.tag);
        }
        self.ended.signal();
      };
      device.submit(request.bio);
    }
    ended.wait();
    orders.insert(order);
  });
  EXPECT_EQ(orders.size(), 6U);
}

TEST(SimDevice, AReadInFlightSeesAWriteInFlightOrNot) {
  std::set<int> seen;
  for_seeds(100, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    engine::Completion ended{"ended", 2};
    Request write{BioOp::write, 0, 8, 7};
    Request read{BioOp::read, 0, 8};
    for (Request* const request : {&write, &read}) {
      request->bio.owner = &ended;
      request->bio.end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
      device.submit(request->bio);
    }
    ended.wait();
    seen.insert(static_cast<int>(read.buffer.data()[0]));
  });
  EXPECT_EQ(seen, (std::set<int>{0, 7}));
}

TEST(SimDevice, ObserversSeeEachIoSubmittedDoneAndEnded) {
  struct Observer final : DeviceObserver {
    void submitted(const SimDevice&, const IoRecord& io) override { log.push_back({'s', io}); }
    void took_effect(const SimDevice&, const IoRecord& io) override { log.push_back({'e', io}); }
    void completed(const SimDevice&, const IoRecord& io) override { log.push_back({'c', io}); }
    std::vector<std::pair<char, IoRecord>> log;
  };
  for_seeds(20, [&](Execution& execution) {
    Observer observer;
    SimDevice device{execution, "disk", {.sectors = 64}};
    device.add_observer(observer);
    EXPECT_EQ(do_io(device, BioOp::write, 8, 4, 1), Errc::ok);
    ASSERT_EQ(observer.log.size(), 3U);
    EXPECT_EQ(observer.log[0].first, 's');
    EXPECT_EQ(observer.log[1].first, 'e');
    EXPECT_EQ(observer.log[2].first, 'c');
    EXPECT_EQ(observer.log[2].second.sector, Sector{8});
    EXPECT_EQ(observer.log[2].second.sectors, 4U);
    EXPECT_TRUE(observer.log[2].second.overlaps(Sector{11}, 1));
    EXPECT_FALSE(observer.log[2].second.overlaps(Sector{12}, 1));
  });
}

TEST(SimDevice, AnObserverMayEndTheExecution) {
  struct Observer final : DeviceObserver {
    explicit Observer(Execution& owner) : execution{owner} {}
    void took_effect(const SimDevice&, const IoRecord&) override {
      execution.report({.kind = FindingKind::checker, .message = "no", .place = "rule"});
    }
    Execution& execution;
  };
  Execution execution;
  const Outcome& outcome = execution.run([&] {
    Observer observer{execution};
    SimDevice device{execution, "disk", {.sectors = 64}};
    device.add_observer(observer);
    do_io(device, BioOp::write, 8, 4, 1);
    ADD_FAILURE() << "went on";
  });
  ASSERT_TRUE(outcome.finding);
  EXPECT_EQ(outcome.finding->signature(), "checker rule");
}

TEST(DiskImage, ShrinkingLosesTheTail) {
  DiskImage image{64};
  std::array<std::byte, 64 * kSectorSize> bytes;
  bytes.fill(std::byte{3});
  image.write(Sector{0}, bytes);
  image.resize(10);
  image.resize(64);
  EXPECT_EQ(first_byte(image, 9), 3);
  EXPECT_EQ(first_byte(image, 10), 0);
  EXPECT_EQ(first_byte(image, 63), 0);
}

TEST(DiskImage, EqualContentsHaveEqualDigests) {
  std::array<std::byte, kSectorSize> bytes;
  bytes.fill(std::byte{3});
  DiskImage a{64};
  a.write(Sector{1}, bytes);
  a.write(Sector{40}, bytes);
  DiskImage b{64};
  b.write(Sector{40}, bytes);
  b.write(Sector{1}, bytes);
  bytes.fill(std::byte{0});
  b.write(Sector{20}, bytes);
  EXPECT_EQ(a.digest(), b.digest());
  bytes.fill(std::byte{1});
  b.write(Sector{20}, bytes);
  EXPECT_NE(a.digest(), b.digest());
}

}   // namespace
}   // namespace sim
