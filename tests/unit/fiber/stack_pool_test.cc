#include "engine/fiber/stack_pool.h"

#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace {

using engine::Stack;
using engine::StackPool;

constexpr std::size_t kOdd = std::size_t{13} * 4096;   // a size nobody else has

// The lowest addresses of `count` stacks of a pool that ends before this returns.
std::set<std::byte*> stacks_of_a_pool(std::size_t size, std::size_t count) {
  StackPool pool{size};
  std::vector<Stack> taken;
  std::set<std::byte*> bottoms;
  for (std::size_t n = 0; n < count; ++n) {
    taken.push_back(pool.take());
    bottoms.insert(taken.back().bottom);
  }
  for (const Stack& stack : taken)
    pool.give_back(stack);
  return bottoms;
}

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

TEST(StackPool, APoolThatEndsLeavesItsStacksToTheNextOfTheThread) {
  const std::set<std::byte*> before = stacks_of_a_pool(kOdd, 3);
  EXPECT_EQ(before.size(), 3U);
  EXPECT_EQ(stacks_of_a_pool(kOdd, 3), before);
  std::set<std::byte*> elsewhere;
  std::thread{[&] { elsewhere = stacks_of_a_pool(kOdd, 3); }}.join();
  for (std::byte* const bottom : elsewhere)
    EXPECT_EQ(before.count(bottom), 0U);
}

TEST(StackPool, StacksOfAnotherSizeAreNotMistaken) {
  stacks_of_a_pool(kOdd, 2);
  StackPool pool{2 * kOdd};
  const Stack larger = pool.take();
  EXPECT_GE(larger.size, 2 * kOdd);
  *larger.bottom = std::byte{1};
  *(larger.top() - 1) = std::byte{1};
  pool.give_back(larger);
}

TEST(StackPool, MoreThanAreKeptAreUnmapped) {
  const std::set<std::byte*> many = stacks_of_a_pool(kOdd, 4200);
  EXPECT_EQ(many.size(), 4200U);
  EXPECT_EQ(stacks_of_a_pool(kOdd, 4200).size(), 4200U);   // each still another
}

TEST(StackPoolDeathTest, AKeptStackIsGuarded) {
  stacks_of_a_pool(kOdd, 1);
  StackPool pool{kOdd};
  const Stack stack = pool.take();
  EXPECT_DEATH(*(stack.bottom - 1) = std::byte{1}, "");
  pool.give_back(stack);
}

}   // namespace
