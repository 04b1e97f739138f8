#include "scenarios/workload.h"

#include <fmt/format.h>

namespace scenarios {

std::string_view to_string(Verb verb) noexcept {
  switch (verb) {
    case Verb::write:
      return "write";
    case Verb::write_zeroes:
      return "write_zeroes";
    case Verb::read:
      return "read";
    case Verb::discard:
      return "discard";
    case Verb::flush:
      return "flush";
    case Verb::create_thin:
      return "create_thin";
    case Verb::create_snap:
      return "create_snap";
    case Verb::delete_thin:
      return "delete_thin";
    case Verb::activate:
      return "activate";
    case Verb::deactivate:
      return "deactivate";
    case Verb::set_transaction:
      return "set_transaction";
    case Verb::reserve_snap:
      return "reserve_snap";
    case Verb::release_snap:
      return "release_snap";
    case Verb::bounce_thin:
      return "bounce_thin";
    case Verb::bounce_pool:
      return "bounce_pool";
    case Verb::reload_pool:
      return "reload_pool";
    case Verb::load_thin:
      return "load_thin";
    case Verb::clear_thin:
      return "clear_thin";
    case Verb::load_pool:
      return "load_pool";
    case Verb::clear_pool:
      return "clear_pool";
    case Verb::grow_data:
      return "grow_data";
    case Verb::grow_metadata:
      return "grow_metadata";
    case Verb::status:
      return "status";
    case Verb::sleep:
      return "sleep";
    case Verb::meet:
      return "meet";
    case Verb::contradict:
      return "contradict";
    case Verb::bounce_cache:
      return "bounce_cache";
    case Verb::load_cache:
      return "load_cache";
    case Verb::clear_cache:
      return "clear_cache";
    case Verb::reload_cache:
      return "reload_cache";
    case Verb::remake_cache:
      return "remake_cache";
    case Verb::resize_cache:
      return "resize_cache";
    case Verb::invalidate:
      return "invalidate";
    case Verb::threshold:
      return "threshold";
    case Verb::rival:
      return "rival";
    case Verb::bounce_stack:
      return "bounce_stack";
    case Verb::bounce_linear:
      return "bounce_linear";
    case Verb::remake_stack:
      return "remake_stack";
  }
  return "?";
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
    case Verb::bounce_cache:
    case Verb::bounce_stack:
      if (operation.noflush) text += " noflush";
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
