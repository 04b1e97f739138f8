#include "engine/thin/active_thins.h"

#include <algorithm>

#include "engine/base/check.h"

namespace engine::thin {

ActiveThins::~ActiveThins() {
  ENGINE_CHECK_ALIVE(head_.peek() == nullptr, "a pool goes while thins stand on it");
}

Result<void> ActiveThins::publish(ThinDevice& thin) {
  const SpinGuard guard{lock_};
  if (closed_) {
    return fail(Errc::invalid, thin.id().value(),
                "Unable to activate thin device while pool is suspended");
  }
  thin.ordinal_ = ++published_;
  thin.previous_ = tail_;
  thin.published_ = true;
  thin.linked_.store(true);
  // From here on others find it.
  if (tail_ != nullptr) {
    tail_->next_.store(&thin);
  } else {
    head_.store(&thin);
  }
  tail_ = &thin;
  return {};
}

void ActiveThins::unlink(ThinDevice& thin) {
  const SpinGuard guard{lock_};
  thin.linked_.store(false);
  ThinDevice* const next = thin.next_.load();
  if (thin.previous_ != nullptr) {
    thin.previous_->next_.store(next);
  } else {
    head_.store(next);
  }
  if (next != nullptr) {
    next->previous_ = thin.previous_;
  } else {
    tail_ = thin.previous_;
  }
  // thin.next_ stays: a reader may stand on it.
  if (thin.quieted_by_pool_) hand_over_quiet(thin);
}

void ActiveThins::hand_over_quiet(ThinDevice& leaving) {
  for (ThinDevice* thin = head_.load(); thin != nullptr; thin = thin->next_.load()) {
    if (&thin->owner_ != &leaving.owner_) continue;
    thin->quieted_by_pool_ = true;
    leaving.quieted_by_pool_ = false;
    return;
  }
}

// One read of the head: "is there one" and "which" must be the same question.
ThinPin ActiveThins::first() {
  const RcuSection section{rcu_};
  for (ThinDevice* thin = head_.load(); thin != nullptr; thin = thin->next_.load()) {
    if (thin->try_pin()) return ThinPin{thin};
  }
  return {};
}

// While `current` is linked, all that was linked behind it when the section began stays in memory
// until the section ends. Once it is not, its `next_` proves nothing.
ThinPin ActiveThins::next(const ThinPin& current) {
  const RcuSection section{rcu_};
  ThinDevice* thin =
      current->linked_.load() ? current->next_.load() : first_after(current->ordinal_);
  for (; thin != nullptr; thin = thin->next_.load()) {
    if (thin->try_pin()) return ThinPin{thin};
  }
  return {};
}

ThinDevice* ActiveThins::first_after(std::uint64_t ordinal) const {
  ThinDevice* thin = head_.load();
  while (thin != nullptr && thin->ordinal_ <= ordinal)
    thin = thin->next_.load();
  return thin;
}

void ActiveThins::close() {
  const SpinGuard guard{lock_};
  closed_ = true;
}

void ActiveThins::open() {
  const SpinGuard guard{lock_};
  closed_ = false;
}

bool ActiveThins::closed() const {
  const SpinGuard guard{lock_};
  return closed_;
}

bool ActiveThins::quieted(const io::OwnerDevice& device) const {
  for (const ThinDevice* thin = head_.load(); thin != nullptr; thin = thin->next_.load()) {
    if (&thin->owner_ == &device && thin->quieted_by_pool_) return true;
  }
  return false;
}

void ActiveThins::upper_first(std::vector<ThinPin>& thins) {
  std::vector<std::pair<std::size_t, ThinPin>> by_depth;
  by_depth.reserve(thins.size());
  for (ThinPin& thin : thins) {
    const std::size_t depth = thin->depth();
    by_depth.emplace_back(depth, std::move(thin));
  }
  std::stable_sort(by_depth.begin(), by_depth.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  thins.clear();
  for (auto& [depth, thin] : by_depth)
    thins.push_back(std::move(thin));
}

void ActiveThins::quiet_all() {
  std::vector<ThinPin> upper;
  for (ThinPin thin = first(); thin;) {
    ThinPin after = next(thin);
    if (thin->depth() > 1) upper.push_back(std::move(thin));
    thin = std::move(after);
  }
  upper_first(upper);
  for (const ThinPin& thin : upper)
    if (mark_quiet(*thin)) thin->owner_.internal_suspend_noflush();
  for (ThinPin thin = first(); thin; thin = next(thin))
    if (mark_quiet(*thin)) thin->owner_.internal_suspend_noflush();
}

bool ActiveThins::mark_quiet(ThinDevice& thin) {
  const SpinGuard guard{lock_};
  const bool mine = thin.linked_.load() && !quieted(thin.owner_);
  if (mine) thin.quieted_by_pool_ = true;
  return mine;
}

void ActiveThins::wake_all() {
  for (ThinPin thin = first(); thin; thin = next(thin)) {
    bool mine = false;
    {
      const SpinGuard guard{lock_};
      mine = std::exchange(thin->quieted_by_pool_, false);
    }
    if (mine) thin->owner_.internal_resume();
  }
}

bool ActiveThins::take_quiet(ThinDevice& leaving) {
  const SpinGuard guard{lock_};
  return std::exchange(leaving.quieted_by_pool_, false);
}

std::size_t ActiveThins::count() const {
  const SpinGuard guard{lock_};
  std::size_t found = 0;
  for (const ThinDevice* thin = head_.load(); thin != nullptr; thin = thin->next_.load())
    ++found;
  return found;
}

}   // namespace engine::thin
