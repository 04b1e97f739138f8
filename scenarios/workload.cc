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
    case Verb::grow_data:
      return "grow_data";
    case Verb::grow_metadata:
      return "grow_metadata";
    case Verb::status:
      return "status";
    case Verb::sleep:
      return "sleep";
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
      fmt::format_to(out, " thin={}", operation.thin);
      break;
    case Verb::bounce_thin:
      fmt::format_to(out, " thin={}{}", operation.thin, operation.noflush ? " noflush" : "");
      break;
    case Verb::bounce_pool:
    case Verb::reload_pool:
      if (operation.noflush) text += " noflush";
      break;
    case Verb::sleep:
      fmt::format_to(out, " ms={}", operation.sectors);
      break;
    case Verb::set_transaction:
    case Verb::reserve_snap:
    case Verb::release_snap:
    case Verb::grow_data:
    case Verb::grow_metadata:
    case Verb::status:
      break;
  }
  return text;
}

}   // namespace scenarios
