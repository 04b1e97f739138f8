#include "sim/program/branch_queue.h"

#include <array>
#include <atomic>
#include <mutex>
#include <new>

#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/check.h"
#include "sim/process_mutex.h"

namespace program {
namespace {

constexpr std::uint32_t kPlaces = 256;
constexpr useconds_t kBetweenLooks = 300;

}   // namespace

struct BranchQueue::Shared {
  struct Place {
    std::uint32_t path = 0;
    std::uint32_t ways = 0;
    double executions = 0;
    std::array<sim::Branch::Choice, kChoicesMax> choices;
  };
  sim::ProcessMutex mutex;   // whoever died with it is the end of it all
  std::uint32_t workers = 0;
  std::atomic<std::uint32_t> idle{0};
  std::atomic<std::uint32_t> used{0};
  std::atomic<bool> closed{false};
  std::array<Place, kPlaces> places;
};

BranchQueue::BranchQueue(std::uint32_t workers) {
  void* const memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc{};
  // Zeroes are right for the rest, and most of it is never touched.
  shared_ = static_cast<Shared*>(memory);
  shared_->workers = workers;
  shared_->mutex.make();
}

BranchQueue::~BranchQueue() {
  munmap(shared_, sizeof(Shared));
}

bool BranchQueue::is_wanted() const noexcept {
  return shared_->used.load() < shared_->idle.load();
}

void BranchQueue::put(const sim::Branch& branch) {
  const std::lock_guard guard{shared_->mutex};
  const std::uint32_t used = shared_->used.load();
  ENGINE_CHECK(used < kPlaces, "{} branches wait", used);
  ENGINE_CHECK(branch.path.size() + branch.ways.size() <= kChoicesMax, "a branch of {} and {}",
               branch.path.size(), branch.ways.size());
  Shared::Place& place = shared_->places[used];
  place.path = static_cast<std::uint32_t>(branch.path.size());
  place.ways = static_cast<std::uint32_t>(branch.ways.size());
  place.executions = branch.executions;
  std::size_t at = 0;
  for (const sim::Branch::Choice& choice : branch.path)
    place.choices[at++] = choice;
  for (const sim::Branch::Choice& choice : branch.ways)
    place.choices[at++] = choice;
  shared_->used.store(used + 1);
}

std::optional<sim::Branch> BranchQueue::take() {
  ++shared_->idle;
  for (;; usleep(kBetweenLooks)) {
    const std::lock_guard guard{shared_->mutex};
    if (shared_->closed.load()) return std::nullopt;
    const std::uint32_t used = shared_->used.load();
    if (used == 0) {
      if (shared_->idle.load() == shared_->workers) shared_->closed.store(true);
      continue;
    }
    --shared_->idle;
    const Shared::Place& place = shared_->places[used - 1];
    shared_->used.store(used - 1);
    sim::Branch branch;
    branch.executions = place.executions;
    branch.path.assign(place.choices.data(), place.choices.data() + place.path);
    branch.ways.assign(place.choices.data() + place.path,
                       place.choices.data() + place.path + place.ways);
    return branch;
  }
}

void BranchQueue::close() noexcept {
  shared_->closed.store(true);
}

bool BranchQueue::is_closed() const noexcept {
  return shared_->closed.load();
}

double BranchQueue::executions_left() const noexcept {
  double left = 0;
  for (std::uint32_t i = 0; i < shared_->used.load(); ++i)
    left += shared_->places[i].executions;
  return left;
}

}   // namespace program
