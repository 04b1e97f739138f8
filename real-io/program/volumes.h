// What the server serves: the engine's mapped devices, the pool and its thins among them, and the
// list of exports made of them.
//
// Control lines of several clients run beside each other. Those that change one device take turns,
// by the engine's lock of that device, and may wait as long as its I/O does, which may be for a
// line about another: a suspend of a thin waits for space that the pool gets by a load and a
// resume. So nothing of the server's own is locked over a verb of the engine that may wait.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "engine/cache/targets.h"
#include "engine/dm/system.h"
#include "engine/thin/targets.h"
#include "real-io/nbd/server.h"
#include "real-io/program/devices.h"
#include "real-io/program/serve_options.h"

namespace wavetankd {

class Volumes {
 public:
  // A rehearsal says what a start would come to (rehearsal.h): nobody hears of its events.
  enum class Purpose : bool { rehearse, serve };
  // `named`: the plain devices as tables see them, `devices` or what stands for them.
  Volumes(real_io::UringExecutor& executor, engine::DeviceDirectory& named, Devices& devices,
          real_io::nbd::Server& server, Purpose purpose);
  // After close().
  ~Volumes();
  Volumes(const Volumes&) = delete;
  Volumes& operator=(const Volumes&) = delete;

  static constexpr std::string_view kPool = kPoolName;
  using Outcome = tl::expected<std::string, std::string>;   // an answer; one line of trouble

  // All suspend; fibers of any reactor. Nothing runs beside what a start and an end do, but for the
  // two of the end.

  // Opens the pool (formatting blank metadata), sends the messages, makes and exports the thins.
  // After a failure close() is still owed. The devices that its table calls "metadata" and `data`
  // are there. Fails also where the pool would be left read-only by what was to be changed.
  [[nodiscard]] Outcome open_pool(const ServeOptions& options, std::string_view data);
  // After a failure of open_pool(): was it for want of metadata space? After a success: is there
  // none for changes, as where a pool that had none was opened to be grown?
  [[nodiscard]] bool short_of_metadata();
  // Opens the cache, formatting blank metadata; its devices, NAME.metadata and so on, are there.
  // Exports it, unless the pool stands on it.
  [[nodiscard]] Outcome open_cache(const ServeOptions& options, const CacheSpec& spec);
  void add_raw(const RawSpec& raw, real_io::UringDevice& device);
  // One line of the control protocol (docs/operating.md); several at once.
  [[nodiscard]] Outcome control(std::string_view line);
  // Nobody will resume a device or make space any more: see engine::dm::System. These two may run
  // beside a control action. False: a device that others stand on cannot be resumed.
  bool release_waiting();
  void refuse_waiting();
  // Ends every device: the pool commits. Nothing may be connected any more.
  [[nodiscard]] Outcome close();

 private:
  struct MappedExport;
  [[nodiscard]] Outcome verb(std::string_view verb, std::string_view rest);
  // Does `verb()`, which may bring a table of `device`, or end one.
  template <typename Verb>
  [[nodiscard]] Outcome changing_tables(std::string_view device, Verb&& verb);
  [[nodiscard]] Outcome load(std::string_view name, std::string_view table);
  // Why the devices cannot be had that the table's line names where `error` is; the end of a line
  // that tells of it, empty where they can.
  [[nodiscard]] std::string why_refused(std::string_view table, const engine::Error& error);
  [[nodiscard]] Outcome pool_message(std::string_view text);
  // `blocks`: of the data device, whole ones.
  [[nodiscard]] Outcome open_pool_device(const ServeOptions& options, std::string_view data,
                                         std::uint64_t blocks);
  [[nodiscard]] Outcome send_messages(const ServeOptions& options);
  // Creates it when the pool does not have it.
  [[nodiscard]] Outcome activate(const ThinSpec& thin);
  // `error`, of a change of the pool, in words.
  [[nodiscard]] Outcome change_failed(std::string_view what, const engine::Error& error);
  [[nodiscard]] Outcome export_device(std::string_view device, const std::string& as);
  [[nodiscard]] Outcome unexport(std::string_view name);
  // Closes a plain device that no table names. Does not wait for tables that are on their way.
  [[nodiscard]] Outcome release(std::string_view device);
  [[nodiscard]] std::string list();
  void publish();
  void watch_events();
  // Sectors of a device that a table may name. The error is one line.
  [[nodiscard]] tl::expected<std::uint64_t, std::string> sectors_of(std::string_view device);

  real_io::UringExecutor& executor_;
  engine::DeviceDirectory& named_;
  Devices& devices_;
  real_io::nbd::Server& server_;
  const Purpose purpose_;
  engine::thin::ThinTargets targets_;
  engine::cache::CacheTargets cache_targets_;
  std::optional<engine::dm::System> system_;
  // Guards the next two; comes before the locks of the engine, and is held over none of its verbs
  // that may wait.
  engine::Mutex mutex_{"wavetankd.control"};
  std::vector<std::shared_ptr<const real_io::nbd::Export>> exports_;
  // Devices, by name, whose tables come or go: what those name is in use, and may be told by
  // nobody.
  std::vector<std::string> changing_;
  std::uint32_t block_bytes_ = 4096;
  bool short_of_metadata_ = false;
  bool told_of_waiting_ = false;   // and of what cannot be resumed
  std::optional<engine::Completion> watcher_over_;
};

}   // namespace wavetankd
