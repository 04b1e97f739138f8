// Of the tests of leaks.
#pragma once

#include <gtest/gtest.h>

#include "sim/library/takings.h"

namespace sim {

// Under a sanitizer operator new is not ours.
class Leaks : public testing::Test {
 protected:
  void SetUp() override {
    if (!programs_have_a_heap()) GTEST_SKIP() << "there is no heap for programs here";
  }
};

struct Table {
  int rows[6] = {};
};

}   // namespace sim
