#include "real-io/program/pool_message.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "engine/dm/table.h"
#include "engine/thin/parse.h"

namespace wavetankd {
namespace {

// As in engine/thin/pool_messages.cc.
struct Verb {
  std::string_view name;
  std::size_t arguments;   // numbers
  std::uint64_t max;       // of each
};

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
constexpr Verb kVerbs[] = {
    {"create_thin", 1, engine::thin::kThinIdMax}, {"create_snap", 2, engine::thin::kThinIdMax},
    {"delete", 1, engine::thin::kThinIdMax},      {"set_transaction_id", 2, kAny},
    {"reserve_metadata_snap", 0, kAny},           {"release_metadata_snap", 0, kAny},
};

}   // namespace

std::optional<std::string> wrong_with_message(std::string_view text) {
  const std::vector<std::string_view> words = engine::dm::split_words(text);
  if (words.empty()) return "an empty message";
  const auto* const verb =
      std::find_if(std::begin(kVerbs), std::end(kVerbs),
                   [&](const Verb& each) { return engine::thin::same_name(words[0], each.name); });
  if (verb == std::end(kVerbs)) return fmt::format("pools know no message '{}'", words[0]);
  if (words.size() - 1 != verb->arguments)
    return fmt::format("{} takes {} argument{}", verb->name, verb->arguments,
                       verb->arguments == 1 ? "" : "s");
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto number = engine::thin::parse_number(words[i]);
    if (!number || *number > verb->max)
      return fmt::format("'{}' is no number up to {}", words[i], verb->max);
  }
  return std::nullopt;
}

}   // namespace wavetankd
