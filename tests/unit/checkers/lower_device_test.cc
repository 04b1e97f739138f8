#include "checkers/lower_device.h"

#include <gtest/gtest.h>

namespace checkers {
namespace {

using engine::BioOp;
using engine::Sector;

class LowerDeviceTest : public testing::Test {
 protected:
  std::string submit(BioOp op, std::uint64_t sector, std::uint64_t sectors) {
    Findings findings;
    rules_.submitted(op, Sector{sector}, sectors, findings);
    return findings.empty() ? "" : findings.list().front().kind;
  }
  void end(BioOp op, std::uint64_t sector, std::uint64_t sectors) {
    rules_.completed(op, Sector{sector}, sectors);
  }
  LowerDevice rules_{"data"};
};

TEST_F(LowerDeviceTest, NothingIsWrittenUnderADiscard) {
  EXPECT_EQ(submit(BioOp::discard, 128, 128), "");
  EXPECT_EQ(submit(BioOp::write, 0, 128), "");
  EXPECT_EQ(submit(BioOp::write, 255, 1), "I/O under a discard under way");
  end(BioOp::write, 255, 1);
  end(BioOp::discard, 128, 128);
  EXPECT_EQ(submit(BioOp::write, 255, 1), "");
}

TEST_F(LowerDeviceTest, NothingIsDiscardedUnderARead) {
  EXPECT_EQ(submit(BioOp::read, 10, 4), "");
  EXPECT_EQ(submit(BioOp::discard, 0, 128), "discard over an I/O under way");
}

TEST_F(LowerDeviceTest, DiscardsMayOverlapDiscards) {
  EXPECT_EQ(submit(BioOp::discard, 0, 128), "");
  EXPECT_EQ(submit(BioOp::discard, 0, 256), "");
}

TEST_F(LowerDeviceTest, QuietMeansQuiet) {
  rules_.quiet("while suspended");
  EXPECT_EQ(submit(BioOp::flush, 0, 0), "");   // commits go on
  EXPECT_EQ(submit(BioOp::read, 0, 1), "submitted while quiet");
  end(BioOp::read, 0, 1);
  rules_.quiet(nullptr);
  EXPECT_EQ(submit(BioOp::read, 0, 1), "");
}

}   // namespace
}   // namespace checkers
