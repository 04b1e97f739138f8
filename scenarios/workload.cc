#include "scenarios/workload.h"

#include <array>
#include <cstddef>
#include <string_view>

#include <fmt/format.h>

namespace scenarios {
namespace {

// As they are declared.
constexpr std::array<std::string_view, static_cast<std::size_t>(kLastVerb) + 1> kVerbs{
    "write",           "write_zeroes", "read",          "discard",       "flush",
    "create_thin",     "create_snap",  "delete_thin",   "activate",      "deactivate",
    "set_transaction", "reserve_snap", "release_snap",  "bounce_thin",   "bounce_pool",
    "reload_pool",     "remake_pool",  "load_thin",     "clear_thin",    "load_pool",
    "clear_pool",      "contradict",   "grow_data",     "grow_metadata", "status",
    "sleep",           "meet",         "bounce_cache",  "load_cache",    "clear_cache",
    "reload_cache",    "remake_cache", "resize_cache",  "invalidate",    "threshold",
    "rival",           "bounce_stack", "bounce_linear", "remake_stack"};
static_assert(!kVerbs.back().empty(), "a verb has no name");

}   // namespace

std::string_view to_string(Verb verb) noexcept {
  return kVerbs[static_cast<std::size_t>(verb)];
}

std::string_view to_string(FamilyKind family) noexcept {
  switch (family) {
    case FamilyKind::thin:
      return "thin";
    case FamilyKind::cache:
      return "cache";
    case FamilyKind::stack:
      return "stack";
  }
  return "?";
}

std::string_view to_string(StackShape shape) noexcept {
  switch (shape) {
    case StackShape::cache_over_thin:
      return "cache_over_thin";
    case StackShape::pool_over_cache:
      return "pool_over_cache";
  }
  return "?";
}

std::string_view to_string(CacheIo mode) noexcept {
  switch (mode) {
    case CacheIo::writeback:
      return "writeback";
    case CacheIo::writethrough:
      return "writethrough";
    case CacheIo::passthrough:
      return "passthrough";
  }
  return "?";
}

std::string_view to_string(CachePolicy policy) noexcept {
  switch (policy) {
    case CachePolicy::smq:
      return "smq";
    case CachePolicy::mq:
      return "mq";
    case CachePolicy::cleaner:
      return "cleaner";
    case CachePolicy::adversary:
      return "adversary";
    case CachePolicy::direct:
      return "direct";
  }
  return "?";
}

std::string_view to_string(Contradiction what) noexcept {
  switch (what) {
    case Contradiction::block_size:
      return "block_size";
    case Contradiction::discards:
      return "discards";
    case Contradiction::data_device:
      return "data_device";
    case Contradiction::setting:
      return "setting";
  }
  return "?";
}

std::string_view to_string(SlowAt what) noexcept {
  switch (what) {
    case SlowAt::all:
      return "all";
    case SlowAt::reads:
      return "reads";
    case SlowAt::writes:
      return "writes";
    case SlowAt::discards:
      return "discards";
    case SlowAt::flushes:
      return "flushes";
  }
  return "?";
}

std::string to_string(const Operation& operation) {
  std::string text{to_string(operation.verb)};
  const auto out = std::back_inserter(text);
  switch (operation.verb) {
    case Verb::write:
    case Verb::write_zeroes:
    case Verb::read:
    case Verb::discard:
      fmt::format_to(out, " thin={} sector={} sectors={}", operation.thin, operation.sector,
                     operation.sectors);
      if (operation.fua) text += " fua";
      break;
    case Verb::create_snap:
      fmt::format_to(out, " thin={} origin={}{}", operation.thin, operation.origin,
                     operation.noflush ? " noflush" : "");
      break;
    case Verb::flush:
    case Verb::create_thin:
    case Verb::delete_thin:
    case Verb::activate:
    case Verb::deactivate:
    case Verb::load_thin:
    case Verb::clear_thin:
      fmt::format_to(out, " thin={}", operation.thin);
      break;
    case Verb::bounce_thin:
    case Verb::bounce_linear:
      fmt::format_to(out, " thin={}{}", operation.thin, operation.noflush ? " noflush" : "");
      break;
    case Verb::bounce_pool:
    case Verb::reload_pool:
    case Verb::bounce_cache:
    case Verb::bounce_stack:
      if (operation.noflush) text += " noflush";
      break;
    case Verb::contradict:
      fmt::format_to(out, " {}", to_string(operation.contradiction));
      break;
    case Verb::sleep:
      fmt::format_to(out, " ms={}", operation.sectors);
      break;
    case Verb::load_cache:
    case Verb::reload_cache:
      fmt::format_to(out, " {} {}{}", to_string(operation.io_mode), to_string(operation.policy),
                     operation.noflush ? " noflush" : "");
      break;
    case Verb::resize_cache:
    case Verb::threshold:
      fmt::format_to(out, " sectors={}", operation.sectors);
      break;
    case Verb::invalidate:
      fmt::format_to(out, " sector={} sectors={}", operation.sector, operation.sectors);
      break;
    case Verb::set_transaction:
    case Verb::reserve_snap:
    case Verb::release_snap:
    case Verb::remake_pool:
    case Verb::load_pool:
    case Verb::clear_pool:
    case Verb::grow_data:
    case Verb::grow_metadata:
    case Verb::status:
    case Verb::meet:
    case Verb::clear_cache:
    case Verb::remake_cache:
    case Verb::rival:
    case Verb::remake_stack:
      break;
  }
  return text;
}

}   // namespace scenarios
