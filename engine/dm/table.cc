#include "engine/dm/table.h"

#include <algorithm>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/io/words.h"

namespace engine::dm {
namespace {

constexpr std::string_view kBlanks = " \t\r";
// Sector arithmetic stays far from wrapping: 2^54 sectors are 8 EiB.
constexpr std::uint64_t kSectorsMax = 1ULL << 54;

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (true) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

bool is_table_line(std::string_view line) noexcept {
  const std::size_t first = line.find_first_not_of(kBlanks);
  return first != std::string_view::npos && line[first] != '#';
}

}   // namespace

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return words;
    text.remove_prefix(begin);
    const std::size_t end = text.find_first_of(kBlanks);
    words.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return words;
    text.remove_prefix(end);
  }
}

Result<std::unique_ptr<Table>> Table::parse(const io::TargetRegistry& registry,
                                            const io::TargetContext& context,
                                            std::string_view text) {
  std::unique_ptr<Table> table{new Table};
  const std::vector<std::string_view> lines = split_lines(text);
  const auto targets =
      static_cast<std::size_t>(std::count_if(lines.begin(), lines.end(), is_table_line));
  if (targets == 0) return fail(Errc::invalid, 0, "the table is empty");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!is_table_line(lines[i])) continue;
    if (auto added = table->add_line(registry, context, lines[i], targets); !added)
      return fail(added.error().code, i, added.error().what);
  }
  return table;
}

Result<void> Table::add_line(const io::TargetRegistry& registry, const io::TargetContext& context,
                             std::string_view line, std::size_t targets_in_table) {
  const std::vector<std::string_view> words = split_words(line);
  if (words.size() < 3) return fail(Errc::invalid, 0, "not <start> <sectors> <type> <arguments>");
  const std::optional<std::uint64_t> begin = io::parse_number(words[0]);
  const std::optional<std::uint64_t> sectors = io::parse_number(words[1]);
  if (!begin) return fail(Errc::invalid, 0, "the start sector is not a number");
  if (!sectors) return fail(Errc::invalid, 0, "the number of sectors is not a number");
  if (*sectors == 0) return fail(Errc::invalid, 0, "zero-length target");
  if (*begin != sectors_) return fail(Errc::invalid, 0, "Gap in table");
  if (*sectors > kSectorsMax - *begin) return fail(Errc::invalid, 0, "the target is too long");
  io::TargetType* const type = registry.find(words[2]);
  if (type == nullptr) return fail(Errc::invalid, 0, "unknown target type");
  if (type->singleton() && targets_in_table != 1)
    return fail(Errc::invalid, 0, "singleton target type must appear alone in table");
  const io::TargetArgs args{.begin = Sector{*begin},
                            .sectors = *sectors,
                            .words = std::span{words}.subspan(3),
                            .targets_in_table = targets_in_table};
  ENGINE_TRY_ASSIGN(std::unique_ptr<io::Target> target, type->create(context, args));
  ENGINE_CHECK(target->begin() == args.begin, "{}: a target at {} instead of {}", type->name(),
               target->begin(), args.begin);
  ENGINE_CHECK(target->sectors() == args.sectors, "{}: a target of {} sectors instead of {}",
               type->name(), target->sectors(), args.sectors);
  const io::TargetLimits limits = target->limits();
  const std::uint32_t aligned = std::max(limits.logical_block_sectors, 1U);
  if (*begin % aligned != 0 || *sectors % aligned != 0)
    return fail(Errc::invalid, 0, "not aligned to the logical block size of the device below");
  if (type->immutable()) immutable_type_ = type->name();
  rows_.push_back(Row{std::move(target), limits});
  sectors_ += *sectors;
  return {};
}

Table::~Table() {
  while (!rows_.empty())
    rows_.pop_back();
}

const Table::Row& Table::find_among_many(Sector sector) const noexcept {
  const auto after =
      std::upper_bound(rows_.begin(), rows_.end(), sector,
                       [](Sector at, const Row& row) { return at < row.target->begin(); });
  return *std::prev(after);
}

DeviceLimits Table::device_limits() const noexcept {
  DeviceLimits whole;
  whole.sectors = sectors_;
  whole.transfer_sectors_max = std::numeric_limits<std::uint32_t>::max();
  whole.discard_sectors_max = std::numeric_limits<std::uint32_t>::max();
  for (const Row& row : rows_) {
    const io::TargetLimits& limits = row.limits;
    whole.logical_block_sectors =
        std::max(whole.logical_block_sectors, limits.logical_block_sectors);
    whole.transfer_sectors_max = std::min(whole.transfer_sectors_max, limits.transfer_sectors_max);
    whole.discard_sectors_max = std::min(whole.discard_sectors_max, limits.discard_sectors_max);
    whole.discard_granularity_sectors =
        std::max(whole.discard_granularity_sectors, limits.discard_granularity_sectors);
  }
  return whole;
}

void Table::presuspend(io::SuspendKind kind) {
  for (const Row& row : rows_)
    row.target->presuspend(kind);
}

void Table::postsuspend() {
  for (const Row& row : rows_)
    row.target->postsuspend();
}

Result<void> Table::preresume() {
  for (Row& row : rows_) {
    ENGINE_TRY(row.target->preresume());
    row.limits = row.target->limits();
  }
  return {};
}

void Table::resume() {
  for (const Row& row : rows_)
    row.target->resume();
}

std::string Table::table_text() const {
  std::string text;
  for (const Row& row : rows_) {
    fmt::format_to(std::back_inserter(text), "{} {} {} {}\n", row.target->begin(),
                   row.target->sectors(), row.target->type_name(), row.target->table_line());
  }
  return text;
}

std::string Table::status_text(io::StatusCommit commit) const {
  std::string text;
  for (const Row& row : rows_) {
    fmt::format_to(std::back_inserter(text), "{} {} {} {}\n", row.target->begin(),
                   row.target->sectors(), row.target->type_name(), row.target->status(commit));
  }
  return text;
}

std::string describe_table_error(std::string_view text, const Error& error) {
  const std::vector<std::string_view> lines = split_lines(text);
  const std::string_view line = error.where < lines.size() ? lines[error.where] : "";
  const std::string_view what = *error.what != '\0' ? error.what : to_string(error.code);
  return fmt::format("table line {} (\"{}\"): {}", error.where + 1, line, what);
}

}   // namespace engine::dm
