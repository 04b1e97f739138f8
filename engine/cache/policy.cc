#include "engine/cache/policy.h"

#include "engine/base/check.h"
#include "engine/cache/policy_cleaner.h"
#include "engine/cache/policy_smq.h"

namespace engine::cache {

bool NoVictims::try_lock(OriginBlock victim) {
  ENGINE_CHECK(false, "the policy chose a victim, block {}, where none may be", victim);
  return false;
}

PolicyType* PolicyRegistry::find(std::string_view name) const noexcept {
  for (PolicyType* const type : types_) {
    if (type->name() == name) return type;
  }
  return nullptr;
}

BuiltinPolicies::BuiltinPolicies() {
  types_.push_back(std::make_unique<BuiltinPolicyType<SmqPolicy>>("smq"));
  types_.push_back(std::make_unique<BuiltinPolicyType<SmqPolicy>>("default"));
  types_.push_back(std::make_unique<BuiltinPolicyType<MqPolicy>>("mq"));
  types_.push_back(std::make_unique<BuiltinPolicyType<CleanerPolicy>>("cleaner"));
}

BuiltinPolicies::~BuiltinPolicies() = default;

void BuiltinPolicies::add_to(PolicyRegistry& registry) {
  for (const std::unique_ptr<PolicyType>& type : types_)
    registry.add(*type);
}

}   // namespace engine::cache
