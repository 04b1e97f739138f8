#include "real-io/program/volumes.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "engine/cache/superblock_format.h"
#include "engine/env/buffer.h"
#include "engine/pdata/superblock.h"
#include "engine/thin/parse.h"
#include "engine/thin/pool.h"
#include "engine/thin/superblock_format.h"
#include "real-io/program/words.h"

namespace wavetankd {

using engine::Errc;
using engine::io::SuspendKind;
using Trouble = tl::unexpected<std::string>;

namespace {

constexpr std::size_t kMetadataBlockBytes = 4096;

// Table and status texts have a line per target; a control answer has one line.
std::string on_one_line(std::string text) {
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ';');
  return text;
}

std::string_view take_word(std::string_view& text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  const std::size_t end = std::min(text.find_first_of(" \t", begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return word;
}

template <typename T>
Volumes::Outcome outcome(std::string_view what, const engine::Result<T>& result) {
  if (!result) return Trouble{in_words(what, result.error())};
  if constexpr (std::is_same_v<T, std::string>) return on_one_line(*result);
  return std::string{};
}

// A failure to parse names a line of the table; one to resume names whatever the target counts.
std::string table_trouble(std::string_view table, const engine::Error& error) {
  const auto lines = static_cast<std::uint64_t>(std::count(table.begin(), table.end(), '\n')) + 1;
  if (error.where < lines) return engine::dm::describe_table_error(table, error);
  return fmt::format("{} ({}): {}", error.what, error.where, to_string(error.code));
}

// Block 0 of a metadata device; empty where it cannot be had.
engine::AlignedBuffer first_block(engine::BlockDevice& device) {
  if (device.limits().sectors < kMetadataBlockBytes / engine::kSectorSize) return {};
  engine::AlignedBuffer buffer{kMetadataBlockBytes};
  engine::Bio bio;
  bio.op = engine::BioOp::read;
  bio.sectors = kMetadataBlockBytes / engine::kSectorSize;
  bio.data = buffer.data();
  if (!submit_and_wait(device, bio)) return {};
  return buffer;
}

// The numbers that the engine does not say when it refuses the metadata on `device`: another magic,
// or the block size that it was made with, where that is another one than `asked_bytes`. As the end
// of a line; may be empty.
template <typename SuperblockDisk>
std::string other_superblock(engine::BlockDevice& device, std::uint64_t magic,
                             std::uint64_t asked_bytes) {
  const auto block = first_block(device);
  if (engine::pdata::blank(block.bytes())) return {};
  const auto& disk = engine::view_as<SuperblockDisk>(block.bytes());
  const std::uint64_t recorded = disk.data_block_sectors.value() * engine::kSectorSize;
  if (disk.magic.value() != magic)
    return fmt::format("; the magic found is {}, not {}", disk.magic.value(), magic);
  if (recorded == asked_bytes) return {};
  return fmt::format("; its metadata is for blocks of {} bytes, not {}", recorded, asked_bytes);
}

// A pool's metadata as a start finds it; `to_grow`, sound, and for fewer data blocks than there
// are.
enum class Found : std::uint8_t { blank, sound, to_grow, needs_check };

Found look_at(engine::BlockDevice& metadata, std::uint64_t data_blocks) {
  const auto block = first_block(metadata);
  if (engine::pdata::blank(block.bytes())) return Found::blank;
  const auto& disk = engine::view_as<engine::thin::SuperblockDisk>(block.bytes());
  if ((disk.flags.value() & engine::thin::kFlagNeedsCheck) != 0) return Found::needs_check;
  return disk.data_map.root.nr_blocks.value() < data_blocks ? Found::to_grow : Found::sound;
}

// Has a pool come to a mode that nobody asked for, and that it was not in when it was `found`?
bool has_degraded(engine::thin::PoolMode mode, Found found, const ServeOptions& options) {
  const auto& features = options.features;
  const bool fixed = std::any_of(features.begin(), features.end(), [](const std::string& word) {
    return engine::thin::same_name(word, "read_only");
  });
  switch (mode) {
    case engine::thin::PoolMode::write:
    case engine::thin::PoolMode::out_of_data_space:
      return false;
    case engine::thin::PoolMode::out_of_metadata_space:
      return found == Found::blank || found == Found::to_grow;
    case engine::thin::PoolMode::read_only:
      return !fixed && found != Found::needs_check;
    case engine::thin::PoolMode::fail:
      return true;
  }
  return true;
}

}   // namespace

// Keeps the mapped device open while it is offered, or a client is connected to it.
struct Volumes::MappedExport : real_io::nbd::Export {
  engine::io::DeviceRef ref;
};

Volumes::Volumes(real_io::UringExecutor& executor, engine::DeviceDirectory& named, Devices& devices,
                 real_io::nbd::Server& server, Purpose purpose)
    : executor_{executor},
      named_{named},
      devices_{devices},
      server_{server},
      purpose_{purpose},
      system_{std::in_place, engine::Env{executor, named}} {
  targets_.add_to(system_->registry());
  cache_targets_.add_to(system_->registry());
}

Volumes::~Volumes() = default;

void Volumes::publish() {
  server_.set_exports(exports_);
}

void Volumes::add_raw(const RawSpec& raw, real_io::UringDevice& device) {
  exports_.push_back(std::make_shared<real_io::nbd::Export>(
      real_io::nbd::Export{.name = raw.name, .description = raw.path, .device = &device}));
  publish();
}

tl::expected<std::uint64_t, std::string> Volumes::sectors_of(std::string_view device) {
  if (const auto info = system_->info(device)) return info->sectors;
  const auto plain = named_.find(device);
  if (!plain) return Trouble{in_words(device, plain.error())};
  return (*plain)->limits().sectors;
}

Volumes::Outcome Volumes::open_cache(const ServeOptions& options, const CacheSpec& spec) {
  const std::string origin =
      options.on_thin(spec) ? spec.origin : fmt::format("{}.origin", spec.name);
  const auto sectors = sectors_of(origin);
  if (!sectors) return Trouble{sectors.error()};
  const std::string table =
      fmt::format("0 {} cache {}.metadata {}.fast {} {} {}{} {} 0", *sectors, spec.name, spec.name,
                  origin, spec.block_size_bytes / engine::kSectorSize,
                  spec.metadata2 ? "2 metadata2 " : "1 ", spec.mode, spec.policy);
  if (const auto made = system_->create_with_table(spec.name, table); !made) {
    const auto metadata = named_.find(fmt::format("{}.metadata", spec.name));
    return Trouble{fmt::format(
        "cache {} on {}, {} and {}: {}{}", spec.name, spec.metadata, spec.fast, spec.origin,
        table_trouble(table, made.error()),
        metadata ? other_superblock<engine::cache::SuperblockDisk>(
                       **metadata, engine::cache::kSuperblockMagic, spec.block_size_bytes)
                 : "")};
  }
  if (options.data_cache() == &spec) return std::string{};
  return export_device(spec.name, spec.name);
}

Volumes::Outcome Volumes::open_pool(const ServeOptions& options, std::string_view data) {
  const auto metadata = named_.find("metadata");
  if (!metadata) return Trouble{in_words("metadata", metadata.error())};
  const auto sectors = sectors_of(data);
  if (!sectors) return Trouble{sectors.error()};
  const std::uint64_t blocks = *sectors * engine::kSectorSize / options.block_size_bytes;
  const Found found = look_at(**metadata, blocks);
  const auto stays_sound = [&]() -> Outcome {
    if (!has_degraded(targets_.pools().find(kPool)->mode(), found, options)) return std::string{};
    short_of_metadata_ = true;
    return Trouble{
        fmt::format("{}: metadata of {} blocks of {} bytes is too small for {}{}", options.metadata,
                    (*metadata)->limits().sectors / engine::kMetaBlockSectors, kMetadataBlockBytes,
                    options.data, found == Found::blank ? "" : ", or damaged")};
  };
  if (auto opened = open_pool_device(options, data, blocks); !opened) return opened;
  if (auto sound = stays_sound(); !sound) return sound;
  if (auto sent = send_messages(options); !sent) return sent;
  for (const ThinSpec& thin : options.thins) {
    if (auto active = activate(thin); !active) return active;
    if (options.under_cache(thin)) continue;
    if (auto offered = export_device(thin.name, thin.name); !offered) return offered;
  }
  return stays_sound();
}

Volumes::Outcome Volumes::open_pool_device(const ServeOptions& options, std::string_view data,
                                           std::uint64_t blocks) {
  const std::uint64_t block_sectors = options.block_size_bytes / engine::kSectorSize;
  if (blocks == 0)
    return Trouble{fmt::format("{}: too small for one block of {} bytes", options.data,
                               options.block_size_bytes)};
  block_bytes_ = static_cast<std::uint32_t>(options.block_size_bytes);
  std::string features;
  for (const std::string& feature : options.features)
    features += " " + feature;
  const std::string table =
      fmt::format("0 {} thin-pool metadata {} {} {} {}{}", blocks * block_sectors, data,
                  block_sectors, options.low_water_blocks, options.features.size(), features);
  if (const auto made = system_->create_with_table(kPool, table); !made) {
    const auto metadata = named_.find("metadata");
    return Trouble{fmt::format(
        "pool on {} and {}: {}{}", options.metadata, options.data,
        table_trouble(table, made.error()),
        metadata ? other_superblock<engine::thin::SuperblockDisk>(
                       **metadata, engine::thin::kSuperblockMagic, options.block_size_bytes)
                 : "")};
  }
  if (purpose_ == Purpose::serve) watch_events();
  return std::string{};
}

bool Volumes::short_of_metadata() {
  const engine::thin::Pool* const pool = targets_.pools().find(kPool);
  return short_of_metadata_ ||
         (pool != nullptr && pool->mode() == engine::thin::PoolMode::out_of_metadata_space);
}

Volumes::Outcome Volumes::change_failed(std::string_view what, const engine::Error& error) {
  short_of_metadata_ =
      error.code == Errc::no_metadata_space ||
      targets_.pools().find(kPool)->mode() == engine::thin::PoolMode::out_of_metadata_space;
  return Trouble{in_words(what, error)};
}

Volumes::Outcome Volumes::send_messages(const ServeOptions& options) {
  for (const std::string& message : options.messages) {
    const auto sent = system_->message(kPool, engine::Sector{0}, message);
    if (sent) continue;
    if (sent.error().code != Errc::exists) return change_failed(message, sent.error());
    if (purpose_ == Purpose::serve) spdlog::info("{}: there already", message);
  }
  return std::string{};
}

// A pool that is read-only, or needs a check, serves what it has; only a thin that it does not have
// takes a message.
Volumes::Outcome Volumes::activate(const ThinSpec& thin) {
  const std::string line =
      fmt::format("0 {} thin {} {}", thin.size_bytes / engine::kSectorSize, kPool, thin.id);
  auto active = system_->create_with_table(thin.name, line);
  if (!active && active.error().code == Errc::not_found) {
    const std::string make = fmt::format("create_thin {}", thin.id);
    if (const auto made = system_->message(kPool, engine::Sector{0}, make); !made)
      return change_failed(fmt::format("thin {}: not in the pool; {}", thin.id, make),
                           made.error());
    active = system_->create_with_table(thin.name, line);
  }
  if (!active)
    return Trouble{fmt::format("thin {}: {}", thin.id, table_trouble(line, active.error()))};
  return std::string{};
}

void Volumes::watch_events() {
  watcher_over_.emplace("wavetankd.watcher");
  executor_.spawn("wavetankd.watcher", [this] {
    std::uint64_t seen = 0;
    for (;;) {
      const auto event = system_->wait_event(kPool, seen);
      if (!event) break;
      seen = *event;
      const auto status = system_->status(kPool, engine::io::StatusCommit::no);
      spdlog::info("pool: event {}: {}", seen, status ? on_one_line(*status) : "gone");
    }
    watcher_over_->signal();
  });
}

Volumes::Outcome Volumes::export_device(std::string_view device, const std::string& as) {
  if (const char* const why = engine::dm::wrong_with_device_name(as))
    return Trouble{fmt::format("export {} {}: {}", device, as, why)};
  const engine::MutexLock lock{mutex_};
  const auto same = [&](const auto& exported) { return exported->name == as; };
  if (std::any_of(exports_.begin(), exports_.end(), same))
    return Trouble{fmt::format("an export is called '{}' already", as)};
  auto ref = system_->open(device);
  if (!ref) return Trouble{in_words(device, ref.error())};
  auto exported = std::make_shared<MappedExport>();
  exported->name = as;
  exported->description = std::string{device};
  exported->device = &ref->device();
  exported->block_bytes_preferred = block_bytes_;
  exported->zeroes_leave_holes = true;   // whatever it stands on, now or later
  exported->ref = *std::move(ref);
  exports_.push_back(std::move(exported));
  publish();
  return std::string{};
}

Volumes::Outcome Volumes::unexport(std::string_view name) {
  const engine::MutexLock lock{mutex_};
  const auto count =
      std::erase_if(exports_, [&](const auto& exported) { return exported->name == name; });
  if (count == 0) return Trouble{fmt::format("no export is called '{}'", name)};
  publish();
  return std::string{};
}

std::string Volumes::list() {
  std::string text;
  for (const engine::dm::DeviceInfo& info : system_->list())
    text += fmt::format("{}{} {} sectors, open {}{}", text.empty() ? "" : "; ", info.name,
                        info.sectors, info.open_count, info.suspended ? ", suspended" : "");
  return text;
}

// Tables alone open plain devices, but for those that are exported as they are; and what an
// inactive table names cannot be asked for.
Volumes::Outcome Volumes::release(std::string_view device) {
  if (device.starts_with("raw:")) return Trouble{fmt::format("{}: it is exported", device)};
  const engine::MutexLock lock{mutex_};
  if (!changing_.empty())
    return Trouble{fmt::format("{}: a table of {} is just being changed: try again", device,
                               changing_.front())};
  for (const engine::dm::DeviceInfo& info : system_->list()) {
    if (info.has_inactive_table)
      return Trouble{
          fmt::format("{}: {} has an inactive table: resume or clear it first", device, info.name)};
    std::string table = system_->table(info.name).value_or("");
    std::replace(table.begin(), table.end(), '\n', ' ');
    const auto words = engine::dm::split_words(table);
    if (std::find(words.begin(), words.end(), device) != words.end())
      return Trouble{fmt::format("{}: in use by {}", device, info.name)};
  }
  if (!devices_.release(device)) return Trouble{fmt::format("{}: no such device", device)};
  return std::string{};
}

std::string Volumes::why_refused(std::string_view table, const engine::Error& error) {
  for (std::uint64_t line = 0; line < error.where && table.find('\n') != table.npos; ++line)
    table.remove_prefix(table.find('\n') + 1);
  std::string reasons;
  for (const std::string_view word : engine::dm::split_words(table.substr(0, table.find('\n'))))
    if (const auto reason = devices_.take_reason(word)) reasons += "; " + *reason;
  return reasons;
}

template <typename Verb>
Volumes::Outcome Volumes::changing_tables(std::string_view device, Verb&& verb) {
  const std::string name{device};
  {
    const engine::MutexLock lock{mutex_};
    changing_.push_back(name);
  }
  Outcome done = verb();
  const engine::MutexLock lock{mutex_};
  changing_.erase(std::find(changing_.begin(), changing_.end(), name));
  return done;
}

Volumes::Outcome Volumes::load(std::string_view name, std::string_view table) {
  std::string text{table};
  std::replace(text.begin(), text.end(), ';', '\n');
  return changing_tables(name, [&]() -> Outcome {
    const auto loaded = system_->load(name, text);
    if (loaded) return std::string{};
    return Trouble{fmt::format("{}: {}{}", name, table_trouble(text, loaded.error()),
                               why_refused(text, loaded.error()))};
  });
}

Volumes::Outcome Volumes::pool_message(std::string_view text) {
  return outcome(text, system_->message(kPool, engine::Sector{0}, text));
}

Volumes::Outcome Volumes::control(std::string_view line) {
  std::string_view rest = line;
  const std::string_view word = take_word(rest);
  if (word.empty()) return Trouble{"an empty line"};
  static constexpr std::array<std::string_view, 15> kVerbs = {
      "create", "load",   "clear", "suspend", "resume", "message",  "status", "table",
      "rename", "remove", "list",  "info",    "export", "unexport", "release"};
  if (std::find(kVerbs.begin(), kVerbs.end(), word) == kVerbs.end()) return pool_message(line);
  return verb(word, rest);
}

Volumes::Outcome Volumes::verb(std::string_view verb, std::string_view rest) {
  const std::string_view name = verb == "list" ? "" : take_word(rest);
  if (name.empty() && verb != "list") return Trouble{fmt::format("{}: which device?", verb)};
  const std::string what = fmt::format("{}{}{}", verb, name.empty() ? "" : " ", name);
  static constexpr std::array<std::string_view, 9> kTakeNothingMore = {
      "create", "clear", "status", "table", "remove", "list", "info", "unexport", "release"};
  const auto* const end = kTakeNothingMore.end();
  if (!rest.empty() && std::find(kTakeNothingMore.begin(), end, verb) != end)
    return Trouble{fmt::format("{}: '{}'? nothing can follow", what, rest)};
  if (verb == "list") return list();
  if (verb == "create") {
    if (devices_.has(name)) return Trouble{fmt::format("{}: a plain device is called that", what)};
    return outcome(what, system_->create(name));
  }
  if (verb == "load") return load(name, rest);
  if (verb == "clear")
    return changing_tables(name, [&] { return outcome(what, system_->clear(name)); });
  if (verb == "suspend" || verb == "resume") {
    if (!rest.empty() && rest != "noflush")
      return Trouble{fmt::format("{}: '{}'? only noflush can follow", what, rest)};
    const SuspendKind kind = rest.empty() ? SuspendKind::flush : SuspendKind::noflush;
    if (verb == "suspend") return outcome(what, system_->suspend(name, kind));
    return changing_tables(name, [&] { return outcome(what, system_->resume(name, kind)); });
  }
  if (verb == "message") {
    const std::string_view sector = take_word(rest);
    if (sector.empty() || sector.find_first_not_of("0123456789") != sector.npos ||
        sector.size() > 18)
      return Trouble{fmt::format("{}: '{}' is no sector", what, sector)};
    const engine::Sector at{std::stoull(std::string{sector})};
    return outcome(what, system_->message(name, at, rest));
  }
  if (verb == "status") return outcome(what, system_->status(name));
  if (verb == "table") return outcome(what, system_->table(name));
  if (verb == "rename") {
    if (rest.empty()) return Trouble{fmt::format("{}: to what?", what)};
    if (name == kPool || rest == kPool)
      return Trouble{fmt::format("{}: the server's pool is called '{}'", what, kPool)};
    // A table would find it in place of the plain one.
    if (devices_.has(rest))
      return Trouble{fmt::format("{} {}: a plain device is called that", what, rest)};
    return outcome(fmt::format("{} {}", what, rest), system_->rename(name, rest));
  }
  if (verb == "remove")
    return changing_tables(name, [&] { return outcome(what, system_->remove(name)); });
  if (verb == "export") return export_device(name, std::string{rest.empty() ? name : rest});
  if (verb == "unexport") return unexport(name);
  if (verb == "release") return release(name);
  const auto info = system_->info(name);
  if (!info) return Trouble{in_words(what, info.error())};
  return fmt::format("{} sectors, open {}, events {}, {}, live table {}, inactive table {}",
                     info->sectors, info->open_count, info->events,
                     info->suspended ? "suspended" : "active", info->has_live_table ? "yes" : "no",
                     info->has_inactive_table ? "yes" : "no");
}

bool Volumes::release_waiting() {
  const auto released = system_->release_waiting();
  if (!released && !std::exchange(told_of_waiting_, true))
    spdlog::warn("{}", in_words("resuming what is suspended", released.error()));
  return released.has_value();
}

void Volumes::refuse_waiting() {
  system_->refuse_waiting();
}

Volumes::Outcome Volumes::close() {
  {
    const engine::MutexLock lock{mutex_};
    exports_.clear();
    publish();
  }
  const auto removed = system_->remove_all();
  if (!removed) return Trouble{in_words("closing the volumes", removed.error())};
  if (watcher_over_) watcher_over_->wait();
  system_.reset();
  return std::string{};
}

}   // namespace wavetankd
