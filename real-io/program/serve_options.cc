#include "real-io/program/serve_options.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <string_view>
#include <system_error>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <toml++/toml.h>

#include "engine/dm/device_name.h"
#include "real-io/program/numbers.h"
#include "real-io/program/pool_message.h"
#include "real-io/program/sizes.h"

namespace wavetankd {
namespace {

using Problem = tl::unexpected<std::string>;

constexpr std::uint64_t kBlockSizeMin = 64 << 10;
constexpr std::uint64_t kBlockSizeMax = 1 << 30;
constexpr std::uint64_t kCacheBlockSizeMin = 32 << 10;
constexpr std::uint32_t kThinIdMax = (1U << 24) - 1;
// NBD's clients count bytes in signed numbers.
constexpr std::uint64_t kVolumeBytesMax = std::numeric_limits<std::int64_t>::max();

// What is wrong with a name for a mapped device and its export.
std::optional<std::string> wrong_with_name(std::string_view name) {
  if (name == kPoolName) return fmt::format("the pool itself is called '{}'", name);
  if (const char* const why = engine::dm::wrong_with_device_name(name)) return why;
  return std::nullopt;
}

tl::expected<ThinSpec, std::string> parse_thin(std::string_view text) {
  const Problem wrong{fmt::format("--thin {}: want ID:SIZE or ID:SIZE:NAME", text)};
  const std::size_t first = text.find(':');
  if (first == std::string_view::npos) return wrong;
  const std::string_view id = text.substr(0, first);
  const std::string_view rest = text.substr(first + 1);
  const std::size_t second = rest.find(':');
  ThinSpec spec;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), spec.id);
  if (error != std::errc{} || end != id.data() + id.size()) return wrong;
  if (spec.id > kThinIdMax)
    return Problem{fmt::format("--thin {}: ids end at {}", text, kThinIdMax)};
  const auto size = parse_size(rest.substr(0, second));
  if (!size) return Problem{fmt::format("--thin {}: {}", text, size.error())};
  if (*size == 0 || *size % 512 != 0)
    return Problem{fmt::format("--thin {}: the size is not in whole sectors", text)};
  if (*size > kVolumeBytesMax)
    return Problem{fmt::format("--thin {}: the size is not below 8 EiB", text)};
  spec.size_bytes = *size;
  spec.name = second == std::string_view::npos ? fmt::format("thin{}", spec.id)
                                               : std::string{rest.substr(second + 1)};
  if (const auto why = wrong_with_name(spec.name))
    return Problem{fmt::format("--thin {}: {}", text, *why)};
  return spec;
}

// NAME:KEY=VALUE,KEY=VALUE...
tl::expected<CacheSpec, std::string> parse_cache(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return Problem{fmt::format("--cache {}: {}", text, why)};
  };
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return wrong("want NAME:metadata=F,fast=F,origin=F");
  CacheSpec spec;
  spec.name = text.substr(0, colon);
  if (const auto why = wrong_with_name(spec.name)) return wrong(*why);
  std::string_view rest = text.substr(colon + 1);
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(item.size() + 1, rest.size()));
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) return wrong(fmt::format("'{}' is no key=value", item));
    const std::string_view key = item.substr(0, equals);
    const std::string value{item.substr(equals + 1)};
    if (key == "metadata") {
      spec.metadata = value;
    } else if (key == "fast") {
      spec.fast = value;
    } else if (key == "origin") {
      spec.origin = value;
    } else if (key == "mode") {
      spec.mode = value;
    } else if (key == "policy") {
      spec.policy = value;
    } else if (key == "version") {
      if (value != "1" && value != "2") return wrong("the metadata's version is 1 or 2");
      spec.metadata2 = value == "2";
    } else if (key == "block-size") {
      const auto size = parse_size(value);
      if (!size) return wrong(size.error());
      spec.block_size_bytes = *size;
    } else {
      return wrong(fmt::format("unknown key '{}'", key));
    }
  }
  if (spec.metadata.empty() || spec.fast.empty() || spec.origin.empty())
    return wrong("metadata, fast and origin are needed");
  if (spec.block_size_bytes < kCacheBlockSizeMin || spec.block_size_bytes > kBlockSizeMax ||
      spec.block_size_bytes % kCacheBlockSizeMin != 0)
    return wrong("block-size is a multiple of 32 KiB up to 1 GiB");
  return spec;
}

RawSpec parse_raw(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals != std::string_view::npos)
    return {std::string{text.substr(equals + 1)}, std::string{text.substr(0, equals)}};
  const std::size_t slash = text.rfind('/');
  return {std::string{text},
          std::string{slash == std::string_view::npos ? text : text.substr(slash + 1)}};
}

// --- TOML: the flags' names, lists where a flag may be repeated ---

struct TomlReader {
  const toml::table& table;
  std::string problem;

  void take(std::string_view key, std::string& value) {
    const toml::node* const node = table.get(key);
    if (node == nullptr || !value.empty()) return;
    if (const auto text = node->value_exact<std::string>())
      value = *text;
    else if (const auto number = node->value_exact<std::int64_t>())
      value = std::to_string(*number);
    else
      wrong(key, *node, "text");
  }
  void take(std::string_view key, std::vector<std::string>& values) {
    const toml::node* const node = table.get(key);
    if (node == nullptr || !values.empty()) return;
    if (const auto text = node->value_exact<std::string>()) {
      values.push_back(*text);
      return;
    }
    if (node->as_array() == nullptr) return wrong(key, *node, "a list of texts");
    for (const toml::node& item : *node->as_array()) {
      const auto text = item.value_exact<std::string>();
      if (!text) return wrong(key, item, "a list of texts");
      values.push_back(*text);
    }
  }
  template <typename Number>
  void take(std::string_view key, std::optional<Number>& value) {
    const toml::node* const node = table.get(key);
    if (node == nullptr || value) return;
    const auto number = node->value_exact<std::int64_t>();
    if (!number || *number < 0 || *number > INT32_MAX) return wrong(key, *node, "a whole number");
    value = static_cast<Number>(*number);
  }
  void wrong(std::string_view key, const toml::node& node, std::string_view wanted) {
    if (problem.empty())
      problem = fmt::format("line {}: '{}' must be {}", node.source().begin.line, key, wanted);
  }
};

tl::expected<void, std::string> read_config(ServeFlags& flags) {
  // The parser reads a directory as an empty file, waits at a FIFO, and calls what it cannot open a
  // wrong line of it.
  std::error_code error;
  const auto type = std::filesystem::status(flags.config, error).type();
  if (type == std::filesystem::file_type::directory)
    return Problem{fmt::format("{}: is a directory", flags.config)};
  const auto cannot_open = [&](const std::error_code& why) {
    return Problem{fmt::format("{}: cannot open: {}", flags.config, why.message())};
  };
  if (type == std::filesystem::file_type::none || type == std::filesystem::file_type::not_found)
    return cannot_open(error ? error : make_error_code(std::errc::no_such_file_or_directory));
  if (type != std::filesystem::file_type::regular)
    return Problem{fmt::format("{}: not a regular file", flags.config)};
  errno = 0;
  std::ifstream file{flags.config, std::ios::binary};
  if (!file) return cannot_open({errno, std::generic_category()});
  toml::table table;
  try {
    table = toml::parse(file, flags.config);
  } catch (const toml::parse_error& problem) {
    return Problem{fmt::format("{}: line {}: {}", flags.config, problem.source().begin.line,
                               problem.description())};
  }
  static const std::set<std::string_view> kKeys = {
      "metadata", "data",   "block-size", "low-water", "feature", "thin", "raw",
      "message",  "listen", "control",    "reactors",  "spin-us", "cache"};
  for (const auto& [key, node] : table)
    if (!kKeys.contains(key.str()))
      return Problem{fmt::format("{}: line {}: unknown key '{}'", flags.config,
                                 node.source().begin.line, key.str())};
  TomlReader reader{table, {}};
  reader.take("metadata", flags.metadata);
  reader.take("data", flags.data);
  reader.take("block-size", flags.block_size);
  reader.take("low-water", flags.low_water);
  reader.take("feature", flags.features);
  reader.take("thin", flags.thins);
  reader.take("cache", flags.caches);
  reader.take("raw", flags.raws);
  reader.take("message", flags.messages);
  reader.take("listen", flags.listen);
  reader.take("control", flags.control);
  reader.take("reactors", flags.reactors);
  reader.take("spin-us", flags.spin_us);
  if (!reader.problem.empty()) return Problem{fmt::format("{}: {}", flags.config, reader.problem)};
  return {};
}

bool same_path(const std::string& one, const std::string& other) {
  std::error_code error;
  const auto resolved = [&](const std::string& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  };
  if (one.empty() || other.empty()) return false;
  return one == other || (resolved(one) == resolved(other) && !error);
}

tl::expected<void, std::string> check_names(const ServeOptions& options) {
  std::set<std::string_view> names;
  std::set<std::uint32_t> ids;
  for (const ThinSpec& thin : options.thins) {
    if (!ids.insert(thin.id).second) return Problem{fmt::format("--thin {}: given twice", thin.id)};
    if (!names.insert(thin.name).second)
      return Problem{fmt::format("--thin {}: two exports are called '{}'", thin.id, thin.name)};
  }
  for (const CacheSpec& cache : options.caches)
    if (!names.insert(cache.name).second)
      return Problem{fmt::format("--cache {}: two devices are called that", cache.name)};
  for (const RawSpec& raw : options.raws) {
    if (const char* const why = engine::dm::wrong_with_device_name(raw.name))
      return Problem{fmt::format("--raw {}={}: {}", raw.name, raw.path, why)};
    if (!names.insert(raw.name).second)
      return Problem{fmt::format("--raw {}: two exports are called that", raw.name)};
  }
  // A table finds mapped devices before plain ones: no mapped device may bear the name of a plain
  // one, which a table of ours means, or a later one of the user's.
  std::set<std::string> plain;
  if (!options.metadata.empty()) plain.insert("metadata");
  if (!options.data.empty() && options.data_cache() == nullptr) plain.insert("data");
  for (const CacheSpec& cache : options.caches)
    for (const std::string_view role : {"metadata", "fast", "origin"})
      plain.insert(fmt::format("{}.{}", cache.name, role));
  for (const RawSpec& raw : options.raws)
    plain.insert("raw:" + raw.name);
  for (const ThinSpec& thin : options.thins)
    if (plain.contains(thin.name))
      return Problem{fmt::format("--thin {}: a device below is called '{}'", thin.id, thin.name)};
  for (const CacheSpec& cache : options.caches)
    if (plain.contains(cache.name))
      return Problem{fmt::format("--cache {}: a device below is called that", cache.name)};
  return {};
}

tl::expected<void, std::string> check(ServeOptions& options) {
  if (options.metadata.empty() != options.data.empty())
    return Problem{"a pool needs both --metadata and --data"};
  if (options.metadata.empty() && options.raws.empty() && options.caches.empty())
    return Problem{"nothing to serve: give --metadata and --data, or --cache, or --raw"};
  if (options.metadata.empty() && (!options.thins.empty() || !options.messages.empty()))
    return Problem{"--thin and --message need a pool: give --metadata and --data"};
  if (options.listen.empty()) return Problem{"nowhere to serve: give --listen unix:PATH"};
  if (options.block_size_bytes < kBlockSizeMin || options.block_size_bytes > kBlockSizeMax ||
      options.block_size_bytes % kBlockSizeMin != 0)
    return Problem{
        fmt::format("--block-size {}: a multiple of 64 KiB up to 1 GiB", options.block_size_bytes)};
  if (options.reactors == 0 || options.reactors > kReactorsMax)
    return Problem{fmt::format("--reactors {}: 1 to {}", options.reactors, kReactorsMax)};
  if (same_path(options.listen, options.control))
    return Problem{fmt::format("--control {}: clients connect there (--listen)", options.control)};
  return check_names(options);
}

}   // namespace

const CacheSpec* ServeOptions::data_cache() const {
  const auto found = std::find_if(caches.begin(), caches.end(),
                                  [&](const CacheSpec& cache) { return cache.name == data; });
  return found == caches.end() ? nullptr : &*found;
}

bool ServeOptions::on_thin(const CacheSpec& cache) const {
  return std::any_of(thins.begin(), thins.end(),
                     [&](const ThinSpec& thin) { return thin.name == cache.origin; });
}

bool ServeOptions::under_cache(const ThinSpec& thin) const {
  return std::any_of(caches.begin(), caches.end(),
                     [&](const CacheSpec& cache) { return cache.origin == thin.name; });
}

void add_serve_flags(CLI::App& command, ServeFlags& flags) {
  command.add_option("--config", flags.config, "TOML file with the other flags' names as keys")
      ->type_name("FILE");
  command.add_option("--metadata", flags.metadata, "the pool's metadata: file or block device")
      ->type_name("FILE");
  command.add_option("--data", flags.data, "the pool's data: file or block device")
      ->type_name("FILE");
  command.add_option("--block-size", flags.block_size, "of a new pool (64KiB)")->type_name("SIZE");
  command.add_option("--low-water", flags.low_water, "free data blocks that raise an event (0)")
      ->transform(whole_number(0, INT64_MAX))
      ->type_name("BLOCKS");
  command.add_option("--feature", flags.features,
                     "of the pool's table line, e.g. skip_block_zeroing (none)");
  command
      .add_option("--thin", flags.thins,
                  "a thin volume to export; created when missing (NAME: thinID)")
      ->type_name("ID:SIZE[:NAME]");
  command
      .add_option(
          "--cache", flags.caches,
          "a cached volume to export: metadata=F,fast=F,origin=F; also block-size=SIZE (64KiB), "
          "mode=writeback|writethrough|passthrough (writeback), policy=NAME (smq), "
          "version=1|2 (2)")
      ->type_name("NAME:KEY=VALUE,...");
  command
      .add_option("--raw", flags.raws,
                  "a file or block device to export as it is (NAME: the file's)")
      ->type_name("[NAME=]FILE");
  command.add_option("--message", flags.messages,
                     "to the pool at the start, e.g. 'create_snap 1 0'");
  command.add_option("--listen", flags.listen, "where NBD clients connect; must be given")
      ->type_name("unix:PATH");
  command.add_option("--control", flags.control, "socket that takes control verbs (none)")
      ->type_name("PATH");
  command.add_option("--reactors", flags.reactors, "threads (1)")
      ->transform(whole_number(1, kReactorsMax))
      ->type_name("N");
  command
      .add_option("--spin-us", flags.spin_us,
                  "look for work so long before sleeping (while clients are busy: 120)")
      ->transform(whole_number(0, INT32_MAX))
      ->type_name("US");
}

tl::expected<ServeOptions, std::string> read_serve_options(const ServeFlags& given) {
  ServeFlags flags = given;
  if (!flags.config.empty())
    if (auto read = read_config(flags); !read) return Problem{read.error()};
  ServeOptions options;
  options.metadata = flags.metadata;
  options.data = flags.data;
  options.low_water_blocks = flags.low_water.value_or(0);
  options.features = flags.features;
  options.messages = flags.messages;
  for (const std::string& text : options.messages)
    if (const auto why = wrong_with_message(text))
      return Problem{fmt::format("--message '{}': {}", text, *why)};
  options.reactors = flags.reactors.value_or(1);
  options.spin_us = flags.spin_us;
  if (!flags.block_size.empty()) {
    const auto size = parse_size(flags.block_size);
    if (!size) return Problem{"--block-size: " + size.error()};
    options.block_size_bytes = *size;
  }
  for (const std::string& text : flags.thins) {
    auto thin = parse_thin(text);
    if (!thin) return Problem{thin.error()};
    options.thins.push_back(*std::move(thin));
  }
  for (const std::string& text : flags.caches) {
    auto cache = parse_cache(text);
    if (!cache) return Problem{cache.error()};
    options.caches.push_back(*std::move(cache));
  }
  std::transform(flags.raws.begin(), flags.raws.end(), std::back_inserter(options.raws),
                 [](const std::string& text) { return parse_raw(text); });
  for (const auto& [name, text, to] : {std::tuple{"--listen", &flags.listen, &options.listen},
                                       std::tuple{"--control", &flags.control, &options.control}}) {
    constexpr std::string_view kUnix = "unix:";
    if (text->starts_with(kUnix)) {
      *to = text->substr(kUnix.size());
    } else if (std::string_view{name} == "--control") {
      *to = *text;
    } else if (!text->empty()) {
      return Problem{fmt::format("{} {}: want unix:PATH", name, *text)};
    }
  }
  if (auto good = check(options); !good) return Problem{good.error()};
  return options;
}

}   // namespace wavetankd
