#include "sim/strategy_guided.h"

#include <algorithm>

#include "engine/fiber/context.h"

namespace sim {

using engine::Access;
using engine::Point;

namespace {

bool race(const Point& a, const Point& b) noexcept {
  return a.object != nullptr && a.object == b.object &&
         (a.access == Access::write || b.access == Access::write);
}

}   // namespace

void Guided::begin(std::uint64_t seed) {
  rng_.reseed(seed);
  reads_from_.begin();
  choose_wishes();
  pressed_.clear();
  for (const Wish& wish : wishes_) {
    pressed_.push_back({.wish = wish,
                        .label = reads_from_.label_of_event(wish.pair.read),
                        .patience = 16U << rng_.below(8),
                        .open = true});
  }
  open_ = static_cast<std::uint32_t>(pressed_.size());
}

void Guided::watch() {
  reads_from_.begin();
  base_ = kNone;
  wishes_.clear();
  pressed_.clear();
  open_ = 0;
}

void Guided::saw(const Choices& choices, std::uint32_t pick) {
  if (choices.size() > 1) reads_from_.fix_ordinals(engine::t_thread.next_object_id);
  if (pick >= choices.fibers.size()) return;
  const SimFiber& fiber = *choices.fibers[pick];
  if (const Point* const point = choices.about_to(fiber)) reads_from_.happens(fiber, *point);
}

void Guided::started(SimFiber& fiber) {
  fiber.priority = 0;
}

// --- wishes ---

// What was kept, with one to three changes; or a start from nothing.
void Guided::choose_wishes() {
  wishes_.clear();
  base_ = kNone;
  if (reads_from_.contested().empty()) return;
  const auto kept = static_cast<std::uint32_t>(kept_.size());
  if (kept != 0 && !rng_.one_in(4)) {
    // Of two the one that was tried less.
    base_ = rng_.below(kept);
    const std::uint32_t other = rng_.below(kept);
    if (kept_[other].tries < kept_[base_].tries) base_ = other;
    wishes_ = kept_[base_].wishes;
  }
  std::uint32_t changes = 1;
  while (changes < 3 && rng_.one_in(2))
    ++changes;
  for (std::uint32_t i = 0; i < changes; ++i) {
    const std::uint32_t what = wishes_.empty() ? 0 : rng_.below(8);
    const std::uint32_t at =
        wishes_.empty() ? 0 : rng_.below(static_cast<std::uint32_t>(wishes_.size()));
    if (what == 7) {
      wishes_.erase(wishes_.begin() + at);
    } else if (what == 6) {
      wishes_[at].sees = !wishes_[at].sees;
    } else {
      put(draw_wish());
    }
  }
}

// One wish a read: the latest.
void Guided::put(Wish wish) {
  for (Wish& each : wishes_) {
    if (each.pair.read != wish.pair.read) continue;
    each = wish;
    return;
  }
  if (wishes_.size() == kWishesMax)
    wishes_.erase(wishes_.begin() + rng_.below(static_cast<std::uint32_t>(kWishesMax)));
  wishes_.push_back(wish);
}

// Of a few the pair that was seen least.
Guided::Wish Guided::draw_wish() {
  const std::vector<ReadsFrom::LabelId>& labels = reads_from_.contested();
  Wish best;
  for (int i = 0; i < 3; ++i) {
    const ReadsFrom::LabelId label = labels[rng_.below(static_cast<std::uint32_t>(labels.size()))];
    const ReadsFrom::Uses& uses = reads_from_.uses(label);
    Wish wish;
    wish.pair.read = uses.reads[rng_.below(static_cast<std::uint32_t>(uses.reads.size()))];
    const std::uint32_t write = rng_.below(static_cast<std::uint32_t>(uses.writes.size()) + 1);
    if (write != 0) wish.pair.write = uses.writes[write - 1];
    if (i == 0 || reads_from_.seen(wish.pair) < reads_from_.seen(best.pair)) best = wish;
  }
  return best;
}

bool Guided::holds_back(Pressed& pressed, const Point& point) {
  const ReadsFrom::Pair pair = pressed.wish.pair;
  const ReadsFrom::EventId event = reads_from_.event_of(point);
  const ReadsFrom::EventId last = reads_from_.last_write(*point.object);
  if (event == pair.read) return pressed.wish.sees ? last != pair.write : last == pair.write;
  // What the read is to see must stay until it comes.
  return pressed.wish.sees && last == pair.write && ReadsFrom::role_of(point).writes;
}

Guided::Pressed* Guided::in_the_way(const Point* point) {
  if (open_ == 0 || point == nullptr || point->object == nullptr) return nullptr;
  const ReadsFrom::LabelId label = reads_from_.label_of(*point->object);
  for (Pressed& pressed : pressed_) {
    if (pressed.open && pressed.label == label && holds_back(pressed, *point)) return &pressed;
  }
  return nullptr;
}

// --- walking ---

void Guided::note_happening(const SimFiber& fiber, const Point& point) {
  if (open_ != 0 && point.object != nullptr) {
    const ReadsFrom::LabelId label = reads_from_.label_of(*point.object);
    for (Pressed& pressed : pressed_) {
      if (!pressed.open || pressed.label != label) continue;
      if (reads_from_.event_of(point) != pressed.wish.pair.read) continue;
      pressed.open = false;   // for better or worse
      --open_;
    }
  }
  reads_from_.happens(fiber, point);
}

std::uint32_t Guided::pick(const Choices& choices) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  if (choices.size() > 1) reads_from_.fix_ordinals(engine::t_thread.next_object_id);
  const bool gives_way = choices.self_runnable && choices.fallback != choices.self.index;
  std::uint32_t best = choices.size();
  std::uint64_t best_priority = 0;
  std::uint32_t best_held = choices.size();   // of those that are held back
  std::uint64_t best_held_priority = 0;
  for (std::uint32_t i = 0; i < fibers; ++i) {
    SimFiber& fiber = *choices.fibers[i];
    if (fiber.priority == 0) fiber.priority = draw();
    if (gives_way && &fiber == &choices.self) fiber.priority = 1;
    if (Pressed* const wish = in_the_way(choices.about_to(fiber)); wish != nullptr) {
      if (--wish->patience == 0) {
        wish->open = false;
        --open_;
      }
      if (fiber.priority <= best_held_priority) continue;
      best_held = i;
      best_held_priority = fiber.priority;
      continue;
    }
    if (fiber.priority <= best_priority) continue;
    best = i;
    best_priority = fiber.priority;
  }
  for (std::uint32_t i = 0; i < choices.steps.size(); ++i) {
    EnvStep& step = *choices.steps[i];
    const bool rare =
        step.duty == EnvStep::Duty::may_happen || (step.kind == ChoiceKind::fire && fibers != 0);
    if (rare) {
      if (rng_.one_in(kRareOneIn)) return fibers + i;
      if (step.duty == EnvStep::Duty::may_happen || fibers != 0) continue;
    }
    if (step.priority == 0) step.priority = draw();
    if (step.priority <= best_priority) continue;
    best = fibers + i;
    best_priority = step.priority;
  }
  if (best == choices.size()) best = best_held;
  if (best == choices.size()) best = choices.fallback;
  if (best >= fibers) return best;
  // The operation of the chosen one happens now.
  SimFiber& chosen = *choices.fibers[best];
  chosen.priority = 0;
  const Point* const happening = choices.about_to(chosen);
  if (happening == nullptr) return best;
  for (SimFiber* const fiber : choices.fibers) {
    if (fiber == &chosen) continue;
    const Point* const pending = choices.about_to(*fiber);
    if (pending != nullptr && race(*pending, *happening)) fiber->priority = 0;
  }
  note_happening(chosen, *happening);
  return best;
}

std::uint32_t Guided::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                            std::uint32_t one_in) {
  return rng_.answer(count, one_in);
}

// --- learning ---

void Guided::end(std::uint64_t /*points*/) {
  static_cast<void>(learn());
}

const ReadsFrom::Novelty& Guided::learn() {
  if (base_ != kNone) ++kept_[base_].tries;
  const ReadsFrom::Novelty& novelty = reads_from_.end();
  if (!novelty.pairs.empty() || novelty.combination) keep(novelty);
  return novelty;
}

// The wishes, and one of the pairs that were new, so that there is something to come back to.
void Guided::keep(const ReadsFrom::Novelty& novelty) {
  if (!novelty.pairs.empty()) {
    const auto count = static_cast<std::uint32_t>(novelty.pairs.size());
    put({.pair = novelty.pairs[rng_.below(count)], .sees = true});
  }
  if (wishes_.empty()) return;
  Kept kept{.wishes = wishes_, .tries = 0};
  if (kept_.size() < kKeptMax) {
    kept_.push_back(std::move(kept));
    return;
  }
  kept_[oldest_] = std::move(kept);
  oldest_ = (oldest_ + 1) % kKeptMax;
}

}   // namespace sim
