#include "engine/fiber/stack_pool.h"

#include <gtest/gtest.h>

namespace {

using engine::Stack;
using engine::StackPool;

TEST(StackPool, GivesWhatCameBackLastFirst) {
  StackPool pool;
  const Stack first = pool.take();
  const Stack second = pool.take();
  EXPECT_NE(first.bottom, second.bottom);
  EXPECT_GE(first.size, StackPool::kDefaultSize);
  pool.give_back(second);
  pool.give_back(first);
  EXPECT_EQ(pool.take().bottom, first.bottom);
  EXPECT_EQ(pool.take().bottom, second.bottom);
  pool.give_back(first);
  pool.give_back(second);
}

TEST(StackPoolDeathTest, AStackIsGuardedAtItsEnd) {
  StackPool pool{std::size_t{3} * 4096};
  const Stack stack = pool.take();
  *stack.bottom = std::byte{1};
  *(stack.top() - 1) = std::byte{1};
  EXPECT_DEATH(*(stack.bottom - 1) = std::byte{1}, "");
  pool.give_back(stack);
}

}   // namespace
