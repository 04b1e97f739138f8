#include "engine/dm/system.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/fiber/completion.h"

namespace engine::dm {

// A mapped device in the directory, with its inactive table and its place among the others.
class System::Node final : public io::DeviceTable {
 public:
  Node(System& system, std::string_view name) : device{std::string{name}}, system_{system} {}
  ~Node() override = default;

  // For the targets of its tables.
  Result<io::DeviceRef> open(std::string_view name) override {
    return system_.open_for(this, name, Access::write, *this);
  }
  Result<io::DeviceRef> open_read_only(std::string_view name) override {
    return system_.open_for(this, name, Access::read, *this);
  }

  MappedDevice device;
  RefCount references{"system.device"};   // one is the directory's
  Completion unreferenced{"system.device"};
  Mutex control_lock{"system.control"};   // held by the verbs that change the device
  std::unique_ptr<Table> inactive ABSL_GUARDED_BY(control_lock);
  std::atomic<bool> has_inactive{false};
  bool removed ABSL_GUARDED_BY(control_lock) = false;
  // Under the directory's lock:
  std::uint32_t open_count = 0;
  std::vector<Node*> below;   // opened by its tables, once for each time

 protected:
  void close(io::OwnerDevice& below_device) noexcept override {
    system_.close_for(this, below_device);
  }

 private:
  System& system_;
};

// A reference to a node that keeps it from being freed, not from being removed.
class System::NodeRef {
 public:
  NodeRef() = default;
  explicit NodeRef(Node& node) noexcept : node_{&node} {}   // takes over a reference
  ~NodeRef() {
    if (node_ != nullptr && node_->references.put()) node_->unreferenced.signal();
  }
  NodeRef(NodeRef&& other) noexcept : node_{std::exchange(other.node_, nullptr)} {}
  NodeRef& operator=(NodeRef&&) = delete;

  [[nodiscard]] explicit operator bool() const noexcept { return node_ != nullptr; }
  [[nodiscard]] Node& operator*() const noexcept { return *node_; }
  [[nodiscard]] Node* operator->() const noexcept { return node_; }

 private:
  Node* node_ = nullptr;
};

namespace {

Failure no_such_device() {
  return fail(Errc::not_found, 0, "no such device");
}

// Tells whoever watches of a control action on a device: when it begins, and how it has ended.
class Action {
 public:
  Action(const MappedDevice& device, const char* name,
         std::source_location where = std::source_location::current()) noexcept
      : device_{device.name()}, object_{device.object()}, name_{name}, where_{where} {
    object_.name = device_.c_str();
    trace_event(OpKind::control, &object_, where_, 0, 0, 0, name_);
  }
  ~Action() {
    trace_event(OpKind::control_done, &object_, where_, static_cast<std::uint64_t>(status_), 0, 0,
                name_);
  }
  Action(const Action&) = delete;
  Action& operator=(const Action&) = delete;

  template <typename T>
  Result<T> ended(Result<T> result) noexcept {
    status_ = result ? Errc::ok : result.error().code;
    return result;
  }

 private:
  // Copies: the device may be gone in the end.
  const std::string device_;
  SyncObject object_;
  const char* name_;
  std::source_location where_;
  Errc status_ = Errc::ok;
};

Result<void> check_name(std::string_view name) {
  const char* const wrong = wrong_with_device_name(name);
  return wrong == nullptr ? Result<void>{} : Result<void>{fail(Errc::invalid, 0, wrong)};
}

}   // namespace

System::System(Env env) : env_{env} {
  registry_.add(linear_);
  registry_.add(error_);
  registry_.add(zero_);
}

System::~System() {
  ENGINE_CHECK_ALIVE(directory_.empty(), "a system with {} devices is destroyed",
                     directory_.size());
}

// --- Finding and opening. ---

System::NodeRef System::find(std::string_view name) {
  const SpinGuard guard{directory_lock_};
  const auto found = directory_.find(name);
  if (found == directory_.end()) return NodeRef{};
  // Under the lock: a node in the directory has the directory's own reference.
  found->second->references.get();
  return NodeRef{*found->second};
}

// Whether I/O to `from` may come to `to`. Under the directory's lock.
bool System::reaches(const Node& from, const Node& to) {
  return &from == &to || std::any_of(from.below.begin(), from.below.end(),
                                     [&](const Node* node) { return reaches(*node, to); });
}

Result<io::DeviceRef> System::open_for(Node* above, std::string_view name, Access access,
                                       io::DeviceTable& closer) {
  {
    const SpinGuard guard{directory_lock_};
    if (const auto found = directory_.find(name); found != directory_.end()) {
      Node& node = *found->second;
      if (above != nullptr && reaches(node, *above))
        return fail(Errc::invalid, 0, "the table would make a loop of devices");
      ++node.open_count;
      if (above != nullptr) above->below.push_back(&node);
      return io::DeviceRef{closer, node.device};
    }
  }
  if (above == nullptr) return no_such_device();
  ENGINE_TRY_ASSIGN(BlockDevice * device, access == Access::read ? env_.devices.find_read_only(name)
                                                                 : env_.devices.find(name));
  return io::DeviceRef{*device, std::string{name}};
}

void System::close_for(Node* above, io::OwnerDevice& device) noexcept {
  const SpinGuard guard{directory_lock_};
  const auto found = directory_.find(device.device_name());
  ENGINE_CHECK_ALIVE(found != directory_.end(), "{}: closed after its removal",
                     device.device_name());
  Node& node = *found->second;
  ENGINE_CHECK(node.open_count != 0, "{}: closed more often than opened", device.device_name());
  --node.open_count;
  if (above == nullptr) return;
  const auto edge = std::find(above->below.begin(), above->below.end(), &node);
  ENGINE_CHECK(edge != above->below.end(), "{}: closed by a table that has not opened it",
               device.device_name());
  above->below.erase(edge);
}

Result<io::DeviceRef> System::open(std::string_view name) {
  return users_.open(name);
}

// --- Life and death of devices. ---

Result<void> System::create(std::string_view name) {
  ENGINE_TRY(check_name(name));
  auto node = std::make_unique<Node>(*this, name);
  const SpinGuard guard{directory_lock_};
  if (!directory_.try_emplace(std::string{name}, std::move(node)).second)
    return fail(Errc::exists, 0, "a device of that name exists");
  return {};
}

Result<void> System::rename(std::string_view name, std::string_view new_name) {
  ENGINE_TRY(check_name(new_name));
  const NodeRef node = find(name);
  if (!node) return no_such_device();
  const MutexLock control{node->control_lock};
  // Others may have renamed it meanwhile, or given its name to another.
  if (node->removed || node->device.device_name() != name) return no_such_device();
  Action action{node->device, "rename"};
  {
    const SpinGuard guard{directory_lock_};
    if (directory_.contains(new_name))
      return action.ended(Result<void>{fail(Errc::exists, 0, "a device of that name exists")});
    auto entry = directory_.extract(directory_.find(name));
    entry.key() = new_name;
    directory_.insert(std::move(entry));
    node->device.rename(std::string{new_name});
  }
  // Whoever waits for its events may have to look for another name.
  if (node->device.has_table()) node->device.event();
  return {};
}

Result<void> System::remove(std::string_view name) {
  std::unique_ptr<Node> last;
  {
    const NodeRef node = find(name);
    if (!node) return no_such_device();
    const MutexLock control{node->control_lock};
    if (node->removed || node->device.device_name() != name) return no_such_device();
    {
      const SpinGuard guard{directory_lock_};
      if (node->open_count != 0) return fail(Errc::busy, node->open_count, "the device is open");
      auto entry = directory_.extract(directory_.find(node->device.device_name()));
      last = std::move(entry.mapped());
    }
    node->removed = true;
  }
  const Action action{last->device, "remove"};
  destroy(std::move(last));
  return {};
}

// Of a node that has left the directory; others may still hold references to it.
void System::destroy(std::unique_ptr<Node> node) {
  {
    std::unique_ptr<Table> active = node->device.shut_down();
    const MutexLock control{node->control_lock};
    node->has_inactive.store(false);
    node->inactive.reset();
    active.reset();
  }
  if (!node->references.put()) node->unreferenced.wait();
}

Result<void> System::remove_all() {
  for (;;) {
    std::string candidate;
    std::size_t left = 0;
    {
      const SpinGuard guard{directory_lock_};
      left = directory_.size();
      for (const auto& [name, node] : directory_) {
        if (node->open_count == 0) {
          candidate = name;
          break;
        }
      }
    }
    if (left == 0) return {};
    if (candidate.empty()) return fail(Errc::busy, left, "devices are open");
    // It may have been opened or removed meanwhile: look again.
    if (auto removed = remove(candidate);
        !removed && removed.error().code != Errc::busy && removed.error().code != Errc::not_found)
      return removed;
  }
}

// --- Towards the end. ---

std::vector<System::NodeRef> System::from_below() {
  std::vector<NodeRef> order;
  std::vector<const Node*> seen;
  const auto visit = [&](const auto& self, Node& node) -> void {
    if (std::find(seen.begin(), seen.end(), &node) != seen.end()) return;
    seen.push_back(&node);
    for (Node* const below : node.below)
      self(self, *below);
    node.references.get();
    order.emplace_back(node);
  };
  const SpinGuard guard{directory_lock_};
  for (const auto& [name, node] : directory_)
    visit(visit, *node);
  return order;
}

// Its inactive table stays where it is.
Result<void> System::resume_as_it_is(Node& node) {
  const MutexLock control{node.control_lock};
  if (node.removed) return {};
  Action action{node.device, "resume"};
  std::unique_ptr<Table> none;
  return action.ended(node.device.resume(none, io::SuspendKind::flush));
}

// A resume may do I/O to the devices below, and a target may be at some before it can listen: so
// those come first.
Result<void> System::release_waiting() {
  const std::vector<NodeRef> nodes = from_below();
  std::vector<const Node*> stood_on;
  {
    const SpinGuard guard{directory_lock_};
    for (const NodeRef& node : nodes)
      stood_on.insert(stood_on.end(), node->below.begin(), node->below.end());
  }
  Result<void> outcome;
  for (const NodeRef& node : nodes) {
    const bool below_others = std::find(stood_on.begin(), stood_on.end(), &*node) != stood_on.end();
    if (below_others && node->device.user_suspended()) {
      const auto resumed = resume_as_it_is(*node);
      if (!resumed && outcome) outcome = resumed;
    }
    node->device.stop_queueing();
  }
  return outcome;
}

void System::refuse_waiting() {
  for (const NodeRef& node : from_below())
    node->device.refuse_waiting();
}

// --- Tables. ---

Result<void> System::load(std::string_view name, std::string_view text) {
  const NodeRef node = find(name);
  if (!node) return no_such_device();
  std::unique_ptr<Table> replaced;   // destroyed after the lock is free
  const MutexLock control{node->control_lock};
  if (node->removed) return no_such_device();
  const io::TargetContext context{
      .env = env_, .devices = *node, .claims = claims_, .owner = node->device};
  Action action{node->device, "load"};
  auto table = action.ended(Table::parse(registry_, context, text));
  if (!table) return Failure{table.error()};
  if (!node->device.may_follow((*table)->immutable_type()))
    return fail(Errc::invalid, 0, "the target type of the device cannot be replaced");
  replaced = std::exchange(node->inactive, *std::move(table));
  node->has_inactive.store(true);
  return {};
}

Result<void> System::clear(std::string_view name) {
  const NodeRef node = find(name);
  if (!node) return no_such_device();
  const MutexLock control{node->control_lock};
  node->has_inactive.store(false);
  node->inactive.reset();
  return {};
}

Result<void> System::suspend(std::string_view name, io::SuspendKind kind) {
  const NodeRef node = find(name);
  if (!node) return no_such_device();
  const MutexLock control{node->control_lock};
  if (node->removed) return no_such_device();
  const Action action{node->device, "suspend"};
  node->device.suspend(kind);
  return {};
}

Result<void> System::resume(std::string_view name, io::SuspendKind kind) {
  const NodeRef node = find(name);
  if (!node) return no_such_device();
  const MutexLock control{node->control_lock};
  if (node->removed) return no_such_device();
  node->has_inactive.store(false);
  std::unique_ptr<Table> table = std::move(node->inactive);
  Action action{node->device, "resume"};
  return action.ended(node->device.resume(table, kind));   // `table`: now the one it replaced
}

Result<void> System::create_with_table(std::string_view name, std::string_view table) {
  ENGINE_TRY(create(name));
  Result<void> done = load(name, table);
  if (done) done = resume(name);
  if (!done) static_cast<void>(remove(name));
  return done;
}

// --- Questions. They do not wait for the verbs that change the device. ---

Result<std::string> System::message(std::string_view name, Sector sector, std::string_view text) {
  const NodeRef node = find(name);
  if (!node) return no_such_device();
  const std::vector<std::string_view> words = split_words(text);
  Action action{node->device, "message"};
  return action.ended(node->device.message(sector, words));
}

Result<std::string> System::status(std::string_view name, io::StatusCommit commit) {
  const NodeRef node = find(name);
  if (!node) return no_such_device();
  return node->device.status(commit);
}

Result<std::string> System::table(std::string_view name) {
  const NodeRef node = find(name);
  if (!node) return no_such_device();
  return node->device.table_text();
}

Result<DeviceInfo> System::info(std::string_view name) {
  const NodeRef node = find(name);
  if (!node) return no_such_device();
  return describe(*node);
}

DeviceInfo System::describe(Node& node) {
  DeviceInfo info;
  info.sectors = node.device.limits().sectors;
  info.events = node.device.events().value();
  info.suspended = node.device.user_suspended();
  info.has_live_table = node.device.has_table();
  info.has_inactive_table = node.has_inactive.load();
  const SpinGuard guard{directory_lock_};
  info.name = node.device.device_name();
  info.open_count = node.open_count;
  for (const auto& [name, above] : directory_) {
    const auto times = std::count(above->below.begin(), above->below.end(), &node);
    if (times > 1) info.open_count -= static_cast<std::uint32_t>(times - 1);
  }
  return info;
}

std::vector<DeviceInfo> System::list() {
  // Not the names: those may change while this waits.
  std::vector<NodeRef> nodes;
  {
    const SpinGuard guard{directory_lock_};
    for (const auto& [name, node] : directory_) {
      node->references.get();
      nodes.emplace_back(*node);
    }
  }
  std::vector<DeviceInfo> infos;
  infos.reserve(nodes.size());
  for (const NodeRef& node : nodes)
    infos.push_back(describe(*node));
  return infos;
}

Result<std::uint64_t> System::wait_event(std::string_view name, std::uint64_t seen) {
  const NodeRef node = find(name);
  if (!node) return no_such_device();
  const std::uint64_t value = node->device.events().wait_above(seen);
  if (value <= seen) return no_such_device();
  return value;
}

}   // namespace engine::dm
