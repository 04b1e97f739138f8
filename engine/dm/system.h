// A whole device-mapper: the mapped devices of one world, by name, and what their targets share.
//
// Nothing of it is global: one process runs thousands of systems side by side. Control actions on
// different devices run concurrently; those that change one device are serialised by its own lock.
//
// Keep:
//   - a device is found, and a reference to it taken, in one step under directory_lock_; it is
//     freed when it has left the directory, and after that the last reference has gone;
//   - a device that is open (by a user, or by a table above it) is not removed;
//   - tables never make a loop of devices.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/dm/mapped_device.h"
#include "engine/dm/targets_basic.h"
#include "engine/env/env.h"
#include "engine/fiber/ref_count.h"
#include "engine/io/target.h"

namespace engine::dm {

struct DeviceInfo {
  std::string name;
  std::uint64_t sectors = 0;
  std::uint32_t open_count = 0;   // each device above counts once, whatever its tables have
  std::uint64_t events = 0;
  bool suspended = false;   // by its user
  bool has_live_table = false;
  bool has_inactive_table = false;

  friend bool operator==(const DeviceInfo&, const DeviceInfo&) = default;
};

class System {
 public:
  // Knows linear, error and zero; further targets are added to registry() before they are used.
  explicit System(Env env);
  // remove_all() came before, and no user has a device open.
  ~System();
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  // --- The control verbs. All suspend; worker context. not_found: no device of that name. ---

  // A device without a table. Errors: exists, invalid (name).
  Result<void> create(std::string_view name);
  // Parses `table` and makes it the device's inactive table, in place of one loaded before. The
  // active one goes on. Errors: as Table::parse (describe_table_error() puts them into words).
  Result<void> load(std::string_view name, std::string_view table);
  // Destroys the inactive table, if there is one.
  Result<void> clear(std::string_view name);
  Result<void> suspend(std::string_view name, io::SuspendKind kind);
  // Makes the inactive table active, if there is one, suspending in the way of `kind` first where
  // that has not been done; then resumes. Errors: invalid (no table, or a type that cannot be
  // replaced: then the inactive table is gone and the device as before), or a target's.
  Result<void> resume(std::string_view name, io::SuspendKind kind = io::SuspendKind::flush);
  // create, load and resume; removes the device again when one of them fails.
  Result<void> create_with_table(std::string_view name, std::string_view table);
  // Gives the device another name; whoever has it open keeps it, and tables that name it say the
  // new name from now on. Errors: exists, invalid (name).
  Result<void> rename(std::string_view name, std::string_view new_name);
  // Errors: busy while it is open. I/O that is waiting ends first.
  Result<void> remove(std::string_view name);
  // Removes all devices, those above before those below. Errors: busy (some remain).
  Result<void> remove_all();
  // Two steps towards remove_all() for users who wait for their I/O and will neither resume a
  // device nor make space any more. The first: targets stop queueing, and suspended devices that
  // tables stand on resume with the tables they have, so that what stands on them can be brought to
  // an end; to be repeated when control actions that were under way are over. Errors: the first
  // that a resume gave; the others were resumed.
  Result<void> release_waiting();
  // The second: what waits for a resume ends with io_error, now and from now on.
  void refuse_waiting();
  Result<std::string> message(std::string_view name, Sector sector, std::string_view text);
  // One line per target of the active table.
  Result<std::string> status(std::string_view name,
                             io::StatusCommit commit = io::StatusCommit::yes);
  Result<std::string> table(std::string_view name);
  Result<DeviceInfo> info(std::string_view name);
  // By name.
  [[nodiscard]] std::vector<DeviceInfo> list();
  // Until the device's event counter is above `seen`; returns it. Errors: not_found also when the
  // device is removed meanwhile.
  Result<std::uint64_t> wait_event(std::string_view name, std::uint64_t seen);

  // Opens a mapped device for I/O. Errors: not_found.
  Result<io::DeviceRef> open(std::string_view name);

  [[nodiscard]] io::TargetRegistry& registry() noexcept { return registry_; }
  [[nodiscard]] const Env& env() const noexcept { return env_; }

 private:
  class Node;
  class NodeRef;
  using Directory = std::map<std::string, std::unique_ptr<Node>, std::less<>>;

  [[nodiscard]] NodeRef find(std::string_view name);
  DeviceInfo describe(Node& node);
  // All that there are, those below before those above.
  std::vector<NodeRef> from_below();
  Result<void> resume_as_it_is(Node& node);
  enum class Access : bool { read, write };
  // `above`: the node whose table opens it; null for users.
  Result<io::DeviceRef> open_for(Node* above, std::string_view name, Access access,
                                 io::DeviceTable& closer);
  void close_for(Node* above, io::OwnerDevice& device) noexcept;
  [[nodiscard]] static bool reaches(const Node& from, const Node& to);
  void destroy(std::unique_ptr<Node> node);

  // What users open.
  class UserTable final : public io::DeviceTable {
   public:
    explicit UserTable(System& system) noexcept : system_{system} {}
    Result<io::DeviceRef> open(std::string_view name) override {
      return system_.open_for(nullptr, name, Access::write, *this);
    }
    Result<io::DeviceRef> open_read_only(std::string_view name) override {
      return system_.open_for(nullptr, name, Access::read, *this);
    }

   protected:
    void close(io::OwnerDevice& device) noexcept override { system_.close_for(nullptr, device); }

   private:
    System& system_;
  };

  Env env_;
  LinearType linear_;
  ErrorType error_;
  ZeroType zero_;
  io::TargetRegistry registry_;
  UserTable users_{*this};
  io::DeviceClaims claims_;   // of tables, which go with the directory
  SpinLock directory_lock_{"system.directory"};
  Directory directory_ ABSL_GUARDED_BY(directory_lock_);
};

}   // namespace engine::dm
