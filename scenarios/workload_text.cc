#include "scenarios/workload_text.h"

#include <array>
#include <charconv>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "scenarios/limits.h"
#include "scenarios/scenario.h"
#include "scenarios/toml.h"

namespace scenarios {
namespace {

constexpr Range kAnySectors{.most = std::uint64_t{1} << 40U};

std::optional<Verb> verb_from(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(kLastVerb); ++i) {
    const auto verb = static_cast<Verb>(i);
    if (to_string(verb) == word) return verb;
  }
  return std::nullopt;
}

std::string_view name_of(DiscardReads reads) {
  switch (reads) {
    case DiscardReads::zeroes:
      return "zeroes";
    case DiscardReads::old_data:
      return "old_data";
    case DiscardReads::garbage:
      return "garbage";
  }
  return "?";
}

// The enumerator of that name, of those from the first to `last`; null: none has it.
template <typename Enum>
std::optional<Enum> named(std::string_view word, Enum last) {
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    if (to_string(static_cast<Enum>(i)) == word) return static_cast<Enum>(i);
  }
  return std::nullopt;
}
constexpr CacheIo kLastIo = CacheIo::passthrough;
constexpr CachePolicy kLastPolicy = CachePolicy::direct;
constexpr Contradiction kLastContradiction = Contradiction::setting;

constexpr FamilyKind kLastFamily = FamilyKind::stack;
constexpr StackShape kLastShape = StackShape::pool_over_cache;

// Takes the next blank-separated word off `text`.
std::string_view next_word(std::string_view& text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) {
    text = {};
    return {};
  }
  text.remove_prefix(begin);
  const std::size_t end = text.find_first_of(" \t");
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(word.size());
  return word;
}

// What stands there, in one line.
std::string value_text(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return fmt::format("{:?}", *text);
  if (node.is_table()) return "a table";
  if (node.is_array()) return "an array";
  std::ostringstream out;
  node.visit([&](const auto& value) {
    if constexpr (toml::is_value<decltype(value)>) out << value;
  });
  return out.str();
}

// Reads the keys of one TOML table into fields and remembers the first thing wrong.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string where)
      : table_{table}, where_{std::move(where)} {}

  // To be called as the visitor of limits.h, too.
  template <typename Number>
  void operator()(std::string_view key, Number& field, const Range& range) {
    known_.push_back(key);
    const toml::node* const node = table_.get(key);
    if (node == nullptr) return;
    const std::optional<std::int64_t> value = node->value_exact<std::int64_t>();
    if (!value || *value < 0 || !range.holds(static_cast<std::uint64_t>(*value))) {
      wrong_value(*node, key, range.text());
      return;
    }
    field = static_cast<Number>(*value);
  }
  void flag(std::string_view key, bool& field) {
    known_.push_back(key);
    const toml::node* const node = table_.get(key);
    if (node == nullptr) return;
    const std::optional<bool> value = node->value_exact<bool>();
    if (!value) {
      wrong_value(*node, key, "true or false");
      return;
    }
    field = *value;
  }
  void text(std::string_view key, std::string& field) {
    known_.push_back(key);
    const toml::node* const node = table_.get(key);
    if (node == nullptr) return;
    const std::optional<std::string> value = node->value_exact<std::string>();
    if (!value) {
      wrong_value(*node, key, "a string");
      return;
    }
    field = *value;
  }
  // One of the names of an enumeration.
  template <typename Enum>
  void name(std::string_view key, Enum& field, Enum last) {
    std::string word{to_string(field)};
    text(key, word);
    if (const auto value = named(word, last)) {
      field = *value;
    } else if (const toml::node* const node = table_.get(key)) {
      std::string names;
      for (int i = 0; i <= static_cast<int>(last); ++i)
        fmt::format_to(std::back_inserter(names), "{}{}", i == 0 ? "" : ", ",
                       to_string(static_cast<Enum>(i)));
      wrong_value(*node, key, "one of " + names);
    }
  }
  // The sub-table or array `key`, handed to `read`; absent is fine.
  template <typename Node, typename Read>
  void nested(std::string_view key, Read&& read) {
    known_.push_back(key);
    const toml::node* const node = table_.get(key);
    if (node == nullptr) return;
    const Node* const typed = node->as<Node>();
    if (typed == nullptr) {
      wrong(*node, fmt::format("{} is of the wrong kind", key));
      return;
    }
    read(*typed);
  }
  void wrong_value(const toml::node& node, std::string_view key, const std::string& wants) {
    if (error_.empty())
      error_ = fmt::format("line {}: {}.{} = {}: wants {}", node.source().begin.line, where_, key,
                           value_text(node), wants);
  }
  void wrong(const toml::node& node, const std::string& what) {
    if (error_.empty())
      error_ = fmt::format("line {}: {}: {}", node.source().begin.line, where_, what);
  }
  // After all keys were asked for: the first error, unknown keys among them.
  [[nodiscard]] std::string finish() {
    for (const auto& [key, node] : table_) {
      bool found = false;
      for (const std::string_view known : known_)
        found |= known == key.str();
      if (!found) wrong(node, fmt::format("unknown key '{}'", key.str()));
    }
    return error_;
  }

 private:
  const toml::table& table_;
  std::string where_;
  std::string error_;
  std::vector<std::string_view> known_;
};

std::string read_operations(const toml::array& array, std::vector<Operation>& operations) {
  for (const toml::node& node : array) {
    const std::optional<std::string> text = node.value_exact<std::string>();
    if (!text) return fmt::format("line {}: an operation wants a string", node.source().begin.line);
    auto operation = operation_from_text(*text);
    if (!operation) return fmt::format("line {}: {}", node.source().begin.line, operation.error());
    operations.push_back(*operation);
  }
  return {};
}

std::string read_system(const toml::table& table, SystemSpec& system) {
  TableReader reader{table, "system"};
  reader.name("family", system.family, kLastFamily);
  numbers_of_system(system, reader);
  if (!table.contains("data_device_blocks")) system.data_device_blocks = system.data_blocks;
  reader.flag("skip_block_zeroing", system.skip_block_zeroing);
  reader.flag("ignore_discard", system.ignore_discard);
  reader.flag("no_discard_passdown", system.no_discard_passdown);
  reader.flag("error_if_no_space", system.error_if_no_space);
  reader.flag("spare_disk", system.spare_disk);
  reader.flag("linear_above", system.linear_above);
  std::string reads{name_of(system.discard_reads)};
  reader.text("discard_reads", reads);
  std::string error;
  reader.nested<toml::array>("thins", [&](const toml::array& array) {
    for (const toml::node& node : array) {
      const toml::table* const entry = node.as_table();
      if (entry == nullptr) {
        reader.wrong(node, "a thin wants a table {id, blocks}");
        return;
      }
      ThinSpec thin;
      TableReader inner{*entry, fmt::format("system.thins[{}]", system.thins.size())};
      numbers_of_thin(thin, inner);
      inner.flag("external", thin.external);
      if (error.empty()) error = inner.finish();
      system.thins.push_back(thin);
    }
  });
  if (error.empty()) error = reader.finish();
  if (!error.empty()) return error;
  for (const DiscardReads each :
       {DiscardReads::zeroes, DiscardReads::old_data, DiscardReads::garbage}) {
    if (name_of(each) != reads) continue;
    system.discard_reads = each;
    return {};
  }
  reader.wrong_value(*table.get("discard_reads"), "discard_reads",
                     "one of zeroes, old_data, garbage");
  return reader.finish();
}

std::string read_cache(const toml::table& table, CacheSpec& cache) {
  TableReader reader{table, "cache"};
  numbers_of_cache(cache, reader);
  if (!table.contains("blocks_max")) cache.blocks_max = cache.blocks;
  reader.name("io_mode", cache.io_mode, kLastIo);
  reader.name("policy", cache.policy, kLastPolicy);
  reader.flag("metadata2", cache.metadata2);
  reader.flag("drained", cache.drained);
  return reader.finish();
}

std::string read_stack(const toml::table& table, StackSpec& stack) {
  TableReader reader{table, "stack"};
  reader.name("shape", stack.shape, kLastShape);
  numbers_of_stack(stack, reader);
  reader.flag("linear_below", stack.linear_below);
  reader.flag("linear_between", stack.linear_between);
  reader.flag("linear_above", stack.linear_above);
  return reader.finish();
}

std::string read_faults(const toml::table& table, FaultSpec& faults) {
  TableReader reader{table, "faults"};
  numbers_of_faults(faults, reader);
  reader.name("slow_at", faults.slow_at, SlowAt::flushes);
  return reader.finish();
}

void add_thin_system(std::string& text, const SystemSpec& system) {
  const auto out = std::back_inserter(text);
  fmt::format_to(out,
                 "metadata_blocks = {}\nmetadata_growth_blocks = {}\ndata_blocks = {}\n"
                 "data_device_blocks = {}\nblock_sectors = {}\nlow_water_blocks = "
                 "{}\nskip_block_zeroing = {}\n"
                 "ignore_discard = {}\nno_discard_passdown = {}\nerror_if_no_space = {}\n"
                 "fan_out = {}\ncells = {}\ncommit_interval_ms = {}\nno_space_timeout_ms = {}\n"
                 "discard_reads = \"{}\"\nexternal_sectors = {}\nspare_disk = {}\n"
                 "linear_above = {}\nthins = [",
                 system.metadata_blocks, system.metadata_growth_blocks, system.data_blocks,
                 system.data_device_blocks, system.block_sectors, system.low_water_blocks,
                 system.skip_block_zeroing, system.ignore_discard, system.no_discard_passdown,
                 system.error_if_no_space, system.fan_out, system.cells, system.commit_interval_ms,
                 system.no_space_timeout_ms, name_of(system.discard_reads), system.external_sectors,
                 system.spare_disk, system.linear_above);
  for (std::size_t i = 0; i < system.thins.size(); ++i) {
    fmt::format_to(out, "{} {{ id = {}, blocks = {}{} }}", i == 0 ? "" : ",", system.thins[i].id,
                   system.thins[i].blocks, system.thins[i].external ? ", external = true" : "");
  }
  text += " ]\n";
}

void add_cache(std::string& text, const CacheSpec& cache) {
  fmt::format_to(std::back_inserter(text),
                 "\n[cache]\nblocks = {}\nblocks_max = {}\norigin_blocks = {}\ntail_sectors = {}\n"
                 "io_mode = \"{}\"\npolicy = \"{}\"\nmetadata2 = {}\nthreshold = {}\n"
                 "drained = {}\n",
                 cache.blocks, cache.blocks_max, cache.origin_blocks, cache.tail_sectors,
                 to_string(cache.io_mode), to_string(cache.policy), cache.metadata2,
                 cache.threshold, cache.drained);
}

void add_stack(std::string& text, const StackSpec& stack) {
  fmt::format_to(std::back_inserter(text),
                 "\n[stack]\nshape = \"{}\"\ncache_block_sectors = {}\nlinear_below = {}\n"
                 "linear_between = {}\nlinear_above = {}\n",
                 to_string(stack.shape), stack.cache_block_sectors, stack.linear_below,
                 stack.linear_between, stack.linear_above);
}

void add_cache_system(std::string& text, const SystemSpec& system) {
  const auto out = std::back_inserter(text);
  fmt::format_to(out,
                 "family = \"{}\"\nmetadata_blocks = {}\nblock_sectors = {}\n"
                 "no_discard_passdown = {}\nfan_out = {}\ncells = {}\ncommit_interval_ms = {}\n"
                 "discard_reads = \"{}\"\n",
                 to_string(system.family), system.metadata_blocks, system.block_sectors,
                 system.no_discard_passdown, system.fan_out, system.cells,
                 system.commit_interval_ms, name_of(system.discard_reads));
  add_cache(text, system.cache);
}

void add_faults(std::string& text, const FaultSpec& faults) {
  // Of disks that are not slow there is nothing to say.
  const bool says_where = faults.may_be_slow() || faults.slow_at != SlowAt::all;
  fmt::format_to(std::back_inserter(text),
                 "\n[faults]\npower_cuts = {}\nmetadata_read_errors = {}\n"
                 "metadata_write_errors = {}\ndata_read_errors = {}\ndata_write_errors = {}\n"
                 "data_no_space = {}\nmetadata_latency_ms = {}\ndata_latency_ms = {}\n"
                 "{}stalls = {}\nstall_ms = {}\n",
                 faults.power_cuts, faults.metadata_read_errors, faults.metadata_write_errors,
                 faults.data_read_errors, faults.data_write_errors, faults.data_no_space,
                 faults.metadata_latency_ms, faults.data_latency_ms,
                 says_where ? fmt::format("slow_at = \"{}\"\n", to_string(faults.slow_at)) : "",
                 faults.stalls, faults.stall_ms);
}

std::string read_actor(const toml::table& table, Actor& actor) {
  TableReader reader{table, "actor"};
  reader.text("name", actor.name);
  std::string error;
  reader.nested<toml::array>("operations", [&](const toml::array& operations) {
    error = read_operations(operations, actor.operations);
  });
  return error.empty() ? reader.finish() : error;
}

}   // namespace

tl::expected<Operation, std::string> operation_from_text(std::string_view text) {
  const std::string whole{text};
  const std::string_view word = next_word(text);
  const std::optional<Verb> verb = verb_from(word);
  if (!verb) return tl::unexpected(fmt::format("'{}' is no operation", word));
  Operation operation{.verb = *verb};
  for (std::string_view part = next_word(text); !part.empty(); part = next_word(text)) {
    if (part == "fua") {
      operation.fua = true;
      continue;
    }
    if (part == "noflush") {
      operation.noflush = true;
      continue;
    }
    if (const auto mode = named(part, kLastIo)) {
      operation.io_mode = *mode;
      continue;
    }
    if (const auto policy = named(part, kLastPolicy)) {
      operation.policy = *policy;
      continue;
    }
    if (const auto contradiction = named(part, kLastContradiction)) {
      operation.contradiction = *contradiction;
      continue;
    }
    const std::size_t equals = part.find('=');
    const std::string_view key = part.substr(0, equals);
    const std::string_view digits =
        equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1);
    std::uint64_t value = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || code != std::errc{} || end != digits.data() + digits.size())
      return tl::unexpected(fmt::format("'{}' in '{}' is not key=number", part, whole));
    const Range range = key == "thin" || key == "origin" ? limits::kThins
                        : key == "ms"                    ? limits::kSleepMs
                                                         : kAnySectors;
    if (!range.holds(value))
      return tl::unexpected(fmt::format("'{}' in '{}': wants {}", part, whole, range.text()));
    if (key == "thin") {
      operation.thin = static_cast<std::uint32_t>(value);
    } else if (key == "origin") {
      operation.origin = static_cast<std::uint32_t>(value);
    } else if (key == "sector") {
      operation.sector = value;
    } else if (key == "sectors" || key == "ms") {
      operation.sectors = value;
    } else {
      return tl::unexpected(fmt::format("unknown key '{}' in '{}'", key, whole));
    }
  }
  return operation;
}

std::string to_toml(const Workload& workload) {
  const SystemSpec& system = workload.system;
  std::string text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "scenario = \"{}\"\n\n[system]\n", workload.scenario);
  switch (system.family) {
    case FamilyKind::thin:
      add_thin_system(text, system);
      break;
    case FamilyKind::cache:
      add_cache_system(text, system);
      break;
    case FamilyKind::stack:
      text += "family = \"stack\"\n";
      add_thin_system(text, system);
      add_cache(text, system.cache);
      add_stack(text, system.stack);
      break;
  }
  add_faults(text, workload.faults);
  const auto list = [&](const std::vector<Operation>& operations) {
    for (const Operation& operation : operations)
      fmt::format_to(out, "  \"{}\",\n", to_string(operation));
  };
  if (!workload.setup.empty()) {
    fmt::format_to(out, "\n[setup]\noperations = [\n");
    list(workload.setup);
    text += "]\n";
  }
  for (const Actor& actor : workload.actors) {
    fmt::format_to(out, "\n[[actor]]\nname = \"{}\"\noperations = [\n", actor.name);
    list(actor.operations);
    text += "]\n";
  }
  return text;
}

tl::expected<Workload, std::string> from_toml(std::string_view text) {
  // toml++ reports by exception when built with them; they end here.
  toml::table root;
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return tl::unexpected(
        fmt::format("line {}: {}", error.source().begin.line, error.description()));
  } catch (const std::runtime_error& error) {   // its assertions, see toml.h
    return tl::unexpected(fmt::format("no TOML: {}", error.what()));
  }
  Workload workload;
  TableReader reader{root, "workload"};
  reader.text("scenario", workload.scenario);
  std::string error;
  reader.nested<toml::table>(
      "system", [&](const toml::table& table) { error = read_system(table, workload.system); });
  reader.nested<toml::table>("cache", [&](const toml::table& table) {
    if (error.empty()) error = read_cache(table, workload.system.cache);
  });
  reader.nested<toml::table>("stack", [&](const toml::table& table) {
    if (error.empty()) error = read_stack(table, workload.system.stack);
  });
  reader.nested<toml::table>("faults", [&](const toml::table& table) {
    if (error.empty()) error = read_faults(table, workload.faults);
  });
  reader.nested<toml::table>("setup", [&](const toml::table& table) {
    Actor setup;
    if (error.empty()) error = read_actor(table, setup);
    workload.setup = std::move(setup.operations);
  });
  reader.nested<toml::array>("actor", [&](const toml::array& actors) {
    for (const toml::node& node : actors) {
      if (!error.empty()) return;
      const toml::table* const table = node.as_table();
      if (table == nullptr) {
        reader.wrong(node, "an actor wants a table");
        return;
      }
      Actor actor;
      error = read_actor(*table, actor);
      workload.actors.push_back(std::move(actor));
    }
  });
  if (!workload.scenario.empty() && find_scenario(workload.scenario) == nullptr)
    reader.wrong_value(*root.get("scenario"), "scenario",
                       "one that `wavetank list scenarios` names");
  if (error.empty()) error = reader.finish();
  if (error.empty() && !root.contains("system")) error = "no [system]: what is it to run on?";
  if (!error.empty()) return tl::unexpected(error);
  if (const auto wrong = unusable(workload)) {
    // What is not written there has its value by default.
    const auto node = root.at_path(wrong->key);
    const std::string line =
        node ? fmt::format("line {}: ", node.node()->source().begin.line) : std::string{};
    return tl::unexpected(
        fmt::format("{}{} = {}: wants {}", line, wrong->key, wrong->value, wrong->wants));
  }
  return workload;
}

}   // namespace scenarios
