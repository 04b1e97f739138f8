// The contract of engine/cache/policy.h, kept by every policy of the engine: random histories
// against a map of blocks to places and a set of dirty blocks.
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "engine/cache/policy.h"

namespace engine::cache {

namespace {

constexpr std::uint32_t kPolicyPlaces = 5;
constexpr std::uint64_t kPolicyOriginBlocks = 64;

enum class PolicyOp : std::uint8_t {
  map_read,
  map_write,
  map_fast,
  map_in_caller,
  set_dirty,
  clear_dirty,
  remove_mapping,
  force_mapping,
  remove_cblock,
  writeback_idle,
  writeback_busy,
  tick,
};

struct PolicyStep {
  PolicyOp op{};
  std::uint64_t block = 0;
  std::uint64_t other = 0;
  bool grant = true;   // what the locker answers
};

void showValue(const PolicyStep& step,
               std::ostream& out) {   // NOLINT(readability-identifier-naming)
  out << "{" << static_cast<int>(step.op) << ", " << step.block << ", " << step.other << ", "
      << step.grant << "}";
}

rc::Gen<std::vector<PolicyStep>> policy_steps() {
  const auto op = rc::gen::weightedElement<PolicyOp>({{8, PolicyOp::map_read},
                                                      {8, PolicyOp::map_write},
                                                      {8, PolicyOp::map_fast},
                                                      {4, PolicyOp::map_in_caller},
                                                      {6, PolicyOp::set_dirty},
                                                      {3, PolicyOp::clear_dirty},
                                                      {1, PolicyOp::remove_mapping},
                                                      {1, PolicyOp::force_mapping},
                                                      {1, PolicyOp::remove_cblock},
                                                      {3, PolicyOp::writeback_idle},
                                                      {2, PolicyOp::writeback_busy},
                                                      {4, PolicyOp::tick}});
  const auto block = rc::gen::noShrink(rc::gen::inRange<std::uint64_t>(0, 12));
  return rc::gen::container<std::vector<PolicyStep>>(rc::gen::construct<PolicyStep>(
      op, block, block, rc::gen::weightedElement<bool>({{3, true}, {1, false}})));
}

class Locker final : public CellLocker {
 public:
  explicit Locker(bool grants) : grants_{grants} {}
  bool try_lock(OriginBlock victim) override {
    RC_ASSERT(!granted);
    asked = true;
    if (grants_) granted = victim;
    return grants_;
  }
  bool asked = false;
  std::optional<OriginBlock> granted;

 private:
  bool grants_;
};

// What a policy must believe.
class PolicyModel {
 public:
  PolicyModel(Policy& policy, bool dirty_victims)
      : policy_{policy}, dirty_victims_{dirty_victims} {}

  void loaded(OriginBlock block, CacheBlock place) { places_[block] = place; }

  void apply(const PolicyStep& step) {
    const OriginBlock block{step.block};
    const OriginBlock other{step.other};
    switch (step.op) {
      case PolicyOp::map_read:
        return map({.block = block, .wait = Wait::allowed, .migrate = Migrate::allowed}, step);
      case PolicyOp::map_write:
        return map({.block = block,
                    .direction = Direction::write,
                    .wait = Wait::allowed,
                    .migrate = Migrate::allowed},
                   step);
      case PolicyOp::map_fast:
        return map({.block = block,
                    .direction = Direction::write,
                    .wait = Wait::allowed,
                    .migrate = Migrate::allowed,
                    .promotion = Promotion::fast},
                   step);
      case PolicyOp::map_in_caller:
        return map({.block = block, .direction = Direction::write, .promotion = Promotion::fast},
                   step);
      case PolicyOp::set_dirty:
        policy_.set_dirty(block);
        if (places_.contains(block)) dirty_.insert(block);
        return;
      case PolicyOp::clear_dirty:
        policy_.clear_dirty(block);
        dirty_.erase(block);
        return;
      case PolicyOp::remove_mapping:
        if (!places_.contains(block)) return;
        policy_.remove_mapping(block);
        places_.erase(block);
        dirty_.erase(block);
        return;
      case PolicyOp::force_mapping: {
        if (!places_.contains(block) || places_.contains(other)) return;
        policy_.force_mapping(block, other);
        places_[other] = places_.at(block);
        places_.erase(block);
        dirty_.erase(block);
        dirty_.insert(other);
        return;
      }
      case PolicyOp::remove_cblock: {
        const CacheBlock place{static_cast<std::uint32_t>(step.other)};
        const auto found = places_.find(block);
        const bool there = found != places_.end() && found->second == place;
        RC_ASSERT(policy_.remove_cblock(place, block).has_value() == there);
        if (!there) return;
        places_.erase(block);
        dirty_.erase(block);
        return;
      }
      case PolicyOp::writeback_idle:
        return writeback(WritebackUrgency::idle);
      case PolicyOp::writeback_busy:
        return writeback(WritebackUrgency::busy);
      case PolicyOp::tick:
        now_ += std::chrono::milliseconds{700 * step.block};
        policy_.tick(now_);
        return;
    }
  }

  void check() const {
    RC_ASSERT(policy_.residency() == places_.size());
    std::size_t mapped = 0;
    walk_mappings(policy_, kPolicyPlaces, [&](const Mapping& mapping) {
      ++mapped;
      const auto found = places_.find(mapping.origin);
      RC_ASSERT(found != places_.end());
      RC_ASSERT(found->second == mapping.at);
    });
    RC_ASSERT(mapped == places_.size());
    RC_ASSERT(!policy_.mapping_of(CacheBlock{kPolicyPlaces}));
  }

  // Hands out all that is dirty, each once. Sentinels hold back what was queued last: hence ticks.
  void drain() {
    for (int round = 0; round < 40 && !dirty_.empty(); ++round) {
      now_ += std::chrono::seconds{11};
      policy_.tick(now_);
      writeback(WritebackUrgency::idle);
    }
    RC_ASSERT(dirty_.empty());
    RC_ASSERT(!policy_.writeback_work(WritebackUrgency::idle));
  }

 private:
  void map(const MapRequest& request, const PolicyStep& step) {
    Locker locker{step.grant};
    const auto before = places_;
    const Decision decision = policy_.map(request, locker);
    const auto found = before.find(request.block);
    if (const auto* hit = std::get_if<Hit>(&decision)) {
      RC_ASSERT(found != before.end());
      RC_ASSERT(found->second == hit->at);
      return;
    }
    RC_ASSERT(found == before.end());
    if (std::holds_alternative<WouldBlock>(decision))
      RC_ASSERT(request.wait == Wait::never || request.migrate == Migrate::never);
    if (request.migrate == Migrate::never) {
      RC_ASSERT(!std::holds_alternative<New>(decision));
      RC_ASSERT(!locker.asked);
    }
    if (const auto* fresh = std::get_if<New>(&decision)) {
      for (const auto& [origin, place] : before)
        RC_ASSERT(place != fresh->at);
      places_[request.block] = fresh->at;
      RC_ASSERT(!locker.asked);
    }
    const auto* replace = std::get_if<Replace>(&decision);
    RC_ASSERT((replace != nullptr) == locker.granted.has_value());
    if (replace == nullptr) return;
    RC_ASSERT(*locker.granted == replace->victim);
    RC_ASSERT(before.contains(replace->victim));
    RC_ASSERT(before.at(replace->victim) == replace->at);
    if (!dirty_victims_) RC_ASSERT(!dirty_.contains(replace->victim));
    places_.erase(replace->victim);
    dirty_.erase(replace->victim);
    places_[request.block] = replace->at;
  }

  void writeback(WritebackUrgency urgency) {
    const std::optional<Mapping> work = policy_.writeback_work(urgency);
    if (!work) return;
    RC_ASSERT(dirty_.erase(work->origin) == 1);
    RC_ASSERT(places_.at(work->origin) == work->at);
  }

  Policy& policy_;
  bool dirty_victims_;
  std::map<OriginBlock, CacheBlock> places_;
  std::set<OriginBlock> dirty_;
  Nanos now_{0};
};

std::unique_ptr<Policy> make(std::string_view name) {
  BuiltinPolicies builtin;
  PolicyRegistry registry;
  builtin.add_to(registry);
  PolicyType* const type = registry.find(name);
  if (type == nullptr) return nullptr;
  return *type->create(
      {.cache_blocks = kPolicyPlaces, .origin_blocks = kPolicyOriginBlocks, .block_sectors = 64});
}

void keeps_the_contract(std::string_view name) {
  const std::vector<PolicyStep> history = *policy_steps();
  // Cleaner maps nothing by itself.
  const std::set<std::uint64_t> loaded = *rc::gen::resize(
      4, rc::gen::container<std::set<std::uint64_t>>(rc::gen::inRange<std::uint64_t>(0, 12)));
  const std::unique_ptr<Policy> policy = make(name);
  PolicyModel model{*policy, false};
  std::uint32_t place = 0;
  for (const std::uint64_t block : loaded) {
    if (place == kPolicyPlaces) break;
    RC_ASSERT(policy->load_mapping({OriginBlock{block}, CacheBlock{place}}, std::nullopt));
    model.loaded(OriginBlock{block}, CacheBlock{place});
    ++place;
  }
  for (const PolicyStep& step : history) {
    model.apply(step);
    model.check();
  }
  model.drain();
}

}   // namespace

RC_GTEST_PROP(PolicyContractProperty, SmqKeepsIt, ()) {
  keeps_the_contract("smq");
}
RC_GTEST_PROP(PolicyContractProperty, CleanerKeepsIt, ()) {
  keeps_the_contract("cleaner");
}

TEST(PolicyRegistry, KnowsTheNamesOfTables) {
  EXPECT_EQ(make("smq")->name(), "smq");
  EXPECT_EQ(make("default")->name(), "smq");
  EXPECT_EQ(make("mq")->name(), "mq");
  EXPECT_EQ(make("cleaner")->name(), "cleaner");
  EXPECT_EQ(make("lru"), nullptr);
}

TEST(PolicyRegistry, RefusesACacheOfTooManyBlocks) {
  BuiltinPolicies builtin;
  PolicyRegistry registry;
  builtin.add_to(registry);
  const auto made = registry.find("smq")->create(
      {.cache_blocks = (1U << 28) + 1, .origin_blocks = 1ULL << 40, .block_sectors = 64});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::invalid);
}

TEST(PolicyConfig, MqTakesItsOldSettingsAndShowsThemAsZero) {
  const auto mq = make("mq");
  EXPECT_TRUE(mq->set_config("sequential_threshold", 1024));
  EXPECT_FALSE(mq->set_config("migration_threshold", 1));
  const std::vector<PolicySetting> shown = mq->config();
  ASSERT_EQ(shown.size(), 5U);
  EXPECT_EQ(shown.front(), (PolicySetting{"random_threshold", 0}));
  EXPECT_EQ(shown.back(), (PolicySetting{"write_promote_adjustment", 0}));
}

TEST(PolicyConfig, SmqAndCleanerHaveNone) {
  for (const char* name : {"smq", "cleaner"}) {
    EXPECT_FALSE(make(name)->set_config("sequential_threshold", 1));
    EXPECT_TRUE(make(name)->config().empty());
  }
}

TEST(PolicyLoad, RefusesWhatIsOutOfRangeOrTakenAndChangesNothing) {
  for (const char* name : {"smq", "cleaner"}) {
    const auto policy = make(name);
    ASSERT_TRUE(policy->load_mapping({OriginBlock{7}, CacheBlock{1}}, std::nullopt));
    EXPECT_EQ(policy->load_mapping({OriginBlock{8}, CacheBlock{kPolicyPlaces}}, std::nullopt)
                  .error()
                  .code,
              Errc::invalid);
    EXPECT_EQ(policy->load_mapping({OriginBlock{7}, CacheBlock{2}}, std::nullopt).error().code,
              Errc::exists);
    EXPECT_EQ(policy->load_mapping({OriginBlock{8}, CacheBlock{1}}, std::nullopt).error().code,
              Errc::exists);
    EXPECT_EQ(policy->residency(), 1U);
    EXPECT_EQ(policy->mapping_of(CacheBlock{1}), OriginBlock{7});
    EXPECT_EQ(policy->mapping_of(CacheBlock{2}), std::nullopt);
  }
}

TEST(CleanerPolicy, WritesBackInTheOrderOfDirtying) {
  const auto cleaner = make("cleaner");
  for (std::uint32_t i = 0; i < 4; ++i)
    ASSERT_TRUE(cleaner->load_mapping({OriginBlock{i}, CacheBlock{i}}, std::nullopt));
  for (const std::uint64_t block : {2, 0, 3, 0})
    cleaner->set_dirty(OriginBlock{block});
  for (const std::uint32_t block : {2, 0, 3}) {
    EXPECT_EQ(cleaner->writeback_work(WritebackUrgency::busy),
              (Mapping{OriginBlock{block}, CacheBlock{block}}));
  }
  EXPECT_EQ(cleaner->writeback_work(WritebackUrgency::idle), std::nullopt);
}

TEST(CleanerPolicy, NeverPromotes) {
  const auto cleaner = make("cleaner");
  NoVictims victims;
  const MapRequest request{.block = OriginBlock{1},
                           .direction = Direction::write,
                           .wait = Wait::allowed,
                           .migrate = Migrate::allowed,
                           .promotion = Promotion::fast};
  EXPECT_EQ(cleaner->map(request, victims), Decision{Miss{}});
}

}   // namespace engine::cache
