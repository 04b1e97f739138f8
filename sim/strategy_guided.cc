#include "sim/strategy_guided.h"

#include <algorithm>
#include <span>
#include <utility>

#include "engine/fiber/context.h"

namespace sim {

using engine::Point;

void Guided::begin(std::uint64_t seed) {
  rng_.reseed(seed);
  const bool by_kind = rng_.one_in(2);
  priorities_.begin(by_kind, rng_.one_in(4) ? nullptr : &contention_);
  begin_watching();
  rounds_.begin();
  choose_wishes();
  pressed_.clear();
  for (const Wish& wish : wishes_) {
    pressed_.push_back({.wish = wish,
                        .label = contention_.label_of(wish.pair.read),
                        .patience = std::max(8U, (length_ << rng_.below(4)) / 4),
                        .open = true});
  }
  open_ = static_cast<std::uint32_t>(pressed_.size());
}

void Guided::watch() {
  begin_watching();
  base_ = kNone;
  wishes_.clear();
  sought_.clear();
  pressed_.clear();
  open_ = 0;
}

void Guided::begin_watching() {
  contention_.begin();
  reads_from_.begin();
  leads_.begin();
  picks_ = 0;
}

void Guided::saw(const Choices& choices, std::uint32_t pick) {
  ++picks_;
  if (choices.size() > 1) contention_.fix_ordinals(engine::t_thread.next_object_id);
  if (pick >= choices.fibers.size()) return;
  SimFiber& fiber = *choices.fibers[pick];
  if (const Point* const point = choices.about_to(fiber)) happened(fiber, *point);
}

void Guided::happened(SimFiber& fiber, const Point& point) {
  const EventId event = contention_.happens(fiber, point);
  if (!Contention::is_event(event)) return;
  const bool reads = contention_.role_of(event).reads;
  leads_.happens(fiber, event, reads,
                 reads ? reads_from_.last_write(*point.object) : Contention::kNone);
  reads_from_.happens(event, point);
}

// --- wishes ---

// A pair that is to be seen, mostly with nothing else than what leads there; or what was kept, with
// a few changes. One execution in four has no wish: one that says who has a lock before whom keeps
// those apart that would have to meet.
void Guided::choose_wishes() {
  wishes_.clear();
  sought_.clear();
  base_ = kNone;
  if (contention_.contended().empty() || rng_.one_in(4)) return;
  const auto kept = static_cast<std::uint32_t>(kept_.size());
  if (kept != 0 && rng_.one_in(4)) {
    // Of two the one that was tried less.
    base_ = rng_.below(kept);
    const std::uint32_t other = rng_.below(kept);
    if (kept_[other].tries < kept_[base_].tries) base_ = other;
    wishes_ = kept_[base_].wishes;
  }
  std::uint32_t changes = 1;
  while (changes < 3 && rng_.one_in(4))
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
      seek(draw_pair());
    }
  }
}

// Also that the two come about at all.
void Guided::seek(ReadsFrom::Pair pair) {
  if (pair.read == Contention::kNone) return;
  sought_.push_back(pair);
  if (!rng_.one_in(4)) {
    for (const EventId event : {pair.write, pair.read}) {
      for (const ReadsFrom::Pair lead : leads_.to(event, rng_.below(Leads::kWays))) {
        if (lead.read != pair.read) put({.pair = lead, .sees = true});
      }
    }
  }
  put({.pair = pair, .sees = true});
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

// Of a few the pair that was seen least, or else sought least.
ReadsFrom::Pair Guided::draw_pair() {
  const std::span<const Contention::LabelId> labels = contention_.contended();
  const auto rank = [this](ReadsFrom::Pair pair) {
    return std::pair{reads_from_.seen(pair), reads_from_.tried(pair)};
  };
  ReadsFrom::Pair best;
  for (int i = 0; i < 16; ++i) {
    const Contention::LabelId label = labels[rng_.below(static_cast<std::uint32_t>(labels.size()))];
    const std::span<const EventId> reads = contention_.reads(label);
    const std::span<const EventId> writes = contention_.writes(label);
    if (reads.empty()) continue;
    ReadsFrom::Pair pair;
    pair.read = reads[rng_.below(static_cast<std::uint32_t>(reads.size()))];
    const std::uint32_t write = rng_.below(static_cast<std::uint32_t>(writes.size()) + 1);
    if (write != 0) pair.write = writes[write - 1];
    if (pair.write == pair.read && !contention_.repeats(pair.read)) continue;
    if (best.read == Contention::kNone || rank(pair) < rank(best)) best = pair;
  }
  return best;
}

bool Guided::holds_back(const Pressed& pressed, EventId event, const Point& point) {
  const ReadsFrom::Pair pair = pressed.wish.pair;
  const EventId last = reads_from_.last_write(*point.object);
  if (event == pair.read) return pressed.wish.sees ? last != pair.write : last == pair.write;
  // What the read is to see must stay until it comes.
  return pressed.wish.sees && last == pair.write && contention_.role_of(event).writes;
}

Guided::Pressed* Guided::in_the_way(SimFiber& fiber, const Point* point) {
  if (open_ == 0 || point == nullptr) return nullptr;
  const EventId event = contention_.event_at(fiber, *point);
  if (!Contention::is_event(event)) return nullptr;
  const Contention::LabelId label = contention_.label_of(event);
  for (Pressed& pressed : pressed_) {
    if (pressed.open && pressed.label == label && holds_back(pressed, event, *point))
      return &pressed;
  }
  return nullptr;
}

// --- walking ---

void Guided::note_happening(SimFiber& fiber, const Point& point) {
  const EventId event = contention_.event_at(fiber, point);
  for (Pressed& pressed : pressed_) {
    if (!pressed.open || event != pressed.wish.pair.read) continue;
    pressed.open = false;   // for better or worse
    --open_;
  }
  happened(fiber, point);
}

std::uint32_t Guided::pick_by_wishes(const Choices& choices) {
  for (Pressed& pressed : pressed_)
    pressed.pressing = false;
  const std::uint32_t pick = priorities_.pick(choices, [this](SimFiber& fiber, const Point* point) {
    Pressed* const wish = in_the_way(fiber, point);
    if (wish != nullptr) wish->pressing = true;
    return wish != nullptr;
  });
  for (Pressed& pressed : pressed_) {
    if (!pressed.pressing || --pressed.patience != 0) continue;
    pressed.open = false;
    --open_;
  }
  return pick;
}

std::uint32_t Guided::pick(const Choices& choices) {
  ++picks_;
  if (choices.size() > 1) contention_.fix_ordinals(engine::t_thread.next_object_id);
  const std::uint32_t pick = nothing_known_ ? rounds_.pick(choices) : pick_by_wishes(choices);
  if (pick >= choices.fibers.size()) return pick;
  SimFiber& chosen = *choices.fibers[pick];
  if (const Point* const happening = choices.about_to(chosen)) note_happening(chosen, *happening);
  return pick;
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
  nothing_known_ = false;
  length_ += picks_ / 4;
  length_ -= length_ / 4;
  if (base_ != kNone) ++kept_[base_].tries;
  for (const ReadsFrom::Pair pair : sought_)
    reads_from_.try_for(pair);
  contention_.end();
  const ReadsFrom::Novelty& novelty = reads_from_.end();
  if (!novelty.pairs.empty()) leads_.remember(contention_);
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
