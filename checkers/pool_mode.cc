#include "checkers/pool_mode.h"

#include <array>
#include <charconv>
#include <optional>
#include <vector>

namespace checkers {
namespace {

// As the engine numbers its modes, which begin with `write`.
constexpr std::uint64_t kWrite = 0;
constexpr std::uint64_t kNoData = 1;
constexpr std::uint64_t kNoMetadata = 2;
constexpr std::uint64_t kReadOnly = 3;
constexpr std::uint64_t kFail = 4;
constexpr std::uint64_t kModes = 5;

constexpr std::array<std::string_view, kModes> kNames{"write", "out_of_data_space",
                                                      "out_of_metadata_space", "read_only", "fail"};

// kMayTurn[from][to]. Better only where space came back (or, from read-only, a table without the
// feature): never out of fail.
constexpr std::array<std::array<bool, kModes>, kModes> kMayTurn{{
    {true, true, true, true, true},
    {true, true, true, true, true},
    {true, true, true, true, true},
    {true, false, true, true, true},
    {false, false, false, false, true},
}};

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) break;
    line.remove_prefix(begin);
    const std::string_view word = line.substr(0, line.find(' '));
    words.push_back(word);
    line.remove_prefix(word.size());
  }
  return words;
}

struct Usage {
  std::uint64_t used = 0;
  std::uint64_t total = 0;
};

std::optional<Usage> usage_of(std::string_view text) {
  Usage usage;
  const char* const end = text.data() + text.size();
  const auto [slash, first] = std::from_chars(text.data(), end, usage.used);
  if (first != std::errc{} || slash == end || *slash != '/') return std::nullopt;
  const auto [after, second] = std::from_chars(slash + 1, end, usage.total);
  if (second != std::errc{} || after != end) return std::nullopt;
  return usage;
}

}   // namespace

void PoolModeJudge::changed(std::uint64_t from, std::uint64_t to, std::string_view reason,
                            engine::Nanos now, Findings& findings) {
  if (from >= kModes || to >= kModes) {
    findings.add("pool_mode", "unknown mode", "from {} to {} ({})", from, to, reason);
    return;
  }
  if (!kMayTurn[from][to]) {
    findings.add("pool_mode", "forbidden change of mode", "from {} to {} ({})", kNames[from],
                 kNames[to], reason);
  }
  // There is no other way out of that.
  has_grown_ |= from == kNoMetadata && to == kWrite;
  if (!metadata_may_fail() && (to == kReadOnly || to == kFail)) {
    findings.add("pool_mode", "degraded without a fault",
                 "from {} to {} ({}), though metadata I/O never failed", kNames[from], kNames[to],
                 reason);
  }
  failed_ |= to == kFail;
  if (out_for_long(now)) refused_until_ = now;
  out_of_space_ = to == kNoData;
  out_since_ = now;
}

void PoolModeJudge::refused(engine::Nanos begun, engine::Nanos now, Findings& findings) const {
  if (refuses() || out_for_long(now) || refused_until_ >= begun) return;
  if (options_.no_space_timeout == engine::Nanos{0} && was_suspending(begun)) return;
  findings.add("pool_mode", "refused before its time",
               "a write ended for want of space, though the table asks for it to wait");
}

// "<trans id> <used md>/<total md> <used data>/<total data> <held> <mode> ..."
void PoolModeJudge::at_rest(std::string_view status, Findings& findings) {
  const std::vector<std::string_view> words = words_of(status);
  // The line may begin with "<start> <length> thin-pool".
  std::size_t at = 0;
  while (at < words.size() && words[at].find('/') == std::string_view::npos)
    ++at;
  if (at + 3 >= words.size()) return;   // "Fail" or "Error"
  const std::optional<Usage> data = usage_of(words[at + 1]);
  if (!data) {
    findings.add("pool_mode", "status line", "no usage of data in '{}'", status);
    return;
  }
  const std::string_view mode = words[at + 3];
  if (data->used > data->total)
    findings.add("pool_mode", "status line", "more data blocks used than there are: '{}'", status);
  if (mode == "out_of_data_space" && data->used < data->total) {
    findings.add("pool_mode", "stuck out of data space",
                 "{} of {} data blocks are free, but the pool waits for space",
                 data->total - data->used, data->total);
  }
  const std::string_view asked = refuses() ? "error_if_no_space" : "queue_if_no_space";
  if (mode == "rw" && words.size() > at + 5 && words[at + 5] != asked) {
    findings.add("pool_mode", "no-space policy not restored", "'{}', though the table asks for {}",
                 status, asked);
  }
  if (!metadata_may_fail() && words.size() > at + 6 && words[at + 6] == "needs_check")
    findings.add("pool_mode", "needs_check without a fault", "'{}'", status);
}

}   // namespace checkers
