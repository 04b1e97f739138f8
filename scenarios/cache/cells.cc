#include "scenarios/cache/cells.h"

#include <string_view>

#include "engine/base/result.h"
#include "engine/io/prison.h"

namespace scenarios::cache {
namespace {

// How the prison packs a key's kind into an event.
constexpr std::uint64_t kOriginBlocks =
    static_cast<std::uint64_t>(engine::io::CellKind::origin_blocks) << 32U;

// Of all policies, the lab's and the engine's.
constexpr std::string_view kPolicyLock = "cache.policy";

}   // namespace

void CacheCells::event(const engine::Event& event) noexcept {
  switch (event.op) {
    case engine::OpKind::cell_detain:
      if (event.a == kOriginBlocks && event.c == 1) ++held_[event.b];
      break;
    case engine::OpKind::cell_release: {
      const auto found = held_.find(event.b);
      if (event.a != kOriginBlocks || found == held_.end()) break;
      if (--found->second == 0) held_.erase(found);
      released_(engine::cache::OriginBlock{event.b});
      break;
    }
    case engine::OpKind::commit_end:
      if (event.b == static_cast<std::uint64_t>(engine::Errc::ok)) ++commits_;
      break;
    case engine::OpKind::spin_lock:
      if (event.object != nullptr && std::string_view{event.object->name} == kPolicyLock)
        ++policy_locks_;
      break;
    default:
      break;
  }
}

}   // namespace scenarios::cache
