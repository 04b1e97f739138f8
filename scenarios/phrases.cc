#include "scenarios/phrases.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <string>

#include "scenarios/weights.h"

namespace scenarios {
namespace {

// What users do after what they have just done, to the same block or thin.
struct Habit {
  Verb verb;
  std::array<Verb, 5> next;
};
constexpr std::array kHabits{
    Habit{Verb::write, {Verb::flush, Verb::create_snap, Verb::discard, Verb::read, Verb::write}},
    Habit{Verb::write_zeroes, {Verb::flush, Verb::read, Verb::write, Verb::discard, Verb::read}},
    Habit{Verb::read, {Verb::write, Verb::discard, Verb::read, Verb::write, Verb::deactivate}},
    Habit{Verb::discard, {Verb::write, Verb::flush, Verb::create_snap, Verb::discard, Verb::read}},
    Habit{Verb::flush,
          {Verb::create_snap, Verb::write, Verb::discard, Verb::deactivate, Verb::write}},
    Habit{Verb::create_thin,
          {Verb::write, Verb::write, Verb::flush, Verb::create_snap, Verb::delete_thin}},
    Habit{Verb::create_snap,
          {Verb::write, Verb::write, Verb::discard, Verb::delete_thin, Verb::flush}},
    Habit{Verb::delete_thin,
          {Verb::create_thin, Verb::create_snap, Verb::write, Verb::discard, Verb::flush}},
    Habit{Verb::activate,
          {Verb::write, Verb::read, Verb::deactivate, Verb::discard, Verb::delete_thin}},
    Habit{Verb::deactivate,
          {Verb::activate, Verb::activate, Verb::delete_thin, Verb::create_snap, Verb::status}},
    Habit{Verb::reserve_snap,
          {Verb::write, Verb::discard, Verb::release_snap, Verb::write, Verb::delete_thin}},
    Habit{Verb::release_snap,
          {Verb::discard, Verb::write, Verb::flush, Verb::reserve_snap, Verb::write}},
    Habit{Verb::bounce_thin,
          {Verb::write, Verb::read, Verb::deactivate, Verb::bounce_pool, Verb::create_snap}},
    Habit{Verb::bounce_pool,
          {Verb::write, Verb::discard, Verb::bounce_thin, Verb::deactivate, Verb::create_snap}},
    Habit{Verb::load_thin,
          {Verb::bounce_thin, Verb::bounce_thin, Verb::deactivate, Verb::bounce_pool,
           Verb::clear_thin}},
    Habit{Verb::load_pool,
          {Verb::bounce_pool, Verb::bounce_pool, Verb::write, Verb::deactivate, Verb::clear_pool}},
    Habit{Verb::grow_data, {Verb::write, Verb::write, Verb::flush, Verb::write, Verb::discard}},
};

}   // namespace

Phrases::Phrases(const Menu& menu, Draw& draw)
    : menu_{menu}, draw_{draw}, relatives_(menu.thins + menu.more_thins) {
  std::iota(relatives_.begin(), relatives_.end(), 0);
  favourite_ = anywhere();
}

std::uint64_t Phrases::any_block() {
  return draw_.below(static_cast<std::uint32_t>(menu_.blocks));
}

// Low ids are the more likely ones.
Phrases::Place Phrases::anywhere() {
  const auto thins = static_cast<std::uint32_t>(relatives_.size());
  Place place;
  place.thin = draw_.below(thins);
  place.thin = std::min(place.thin, draw_.below(thins));
  place.block = any_block();
  return place;
}

Verb Phrases::any_of(const Weights& verbs) {
  return at_weight(verbs, draw_.below(static_cast<std::uint32_t>(sum_of(verbs))));
}

Verb Phrases::next_verb(const Weights& verbs, Verb before) {
  const auto* const habit = std::find_if(kHabits.begin(), kHabits.end(),
                                         [&](const Habit& each) { return each.verb == before; });
  if (habit == kHabits.end() || draw_.one_in(2)) return any_of(verbs);
  const Verb next = habit->next[draw_.below(static_cast<std::uint32_t>(habit->next.size()))];
  const bool offered = std::any_of(verbs.begin(), verbs.end(),
                                   [&](const auto& each) { return each.second == next; });
  return offered ? next : any_of(verbs);
}

Phrases::Place Phrases::move_on(Place at) {
  if (draw_.one_in(4)) return draw_.one_in(2) ? favourite_ : anywhere();
  if (draw_.one_in(3)) at.thin = relatives_[at.thin];
  if (draw_.one_in(8)) at.block = any_block();
  return at;
}

std::vector<Operation> Phrases::operations(const Weights& verbs, std::uint32_t most) {
  const std::uint32_t count = 1 + draw_.below(most);
  std::vector<Operation> made;
  Place at = draw_.one_in(2) ? anywhere() : favourite_;
  while (made.size() < count) {
    const Verb verb = made.empty() ? any_of(verbs) : next_verb(verbs, made.back().verb);
    const Operation& done = made.emplace_back(operation_at(menu_, verb, at.thin, at.block, draw_));
    if (verb == Verb::create_snap) {
      relatives_[done.thin] = done.origin;
      relatives_[done.origin] = done.thin;
    }
    at = move_on(at);
  }
  return made;
}

// What one actor does: some of it all, so that it comes to the point.
Weights Phrases::part_of(const Weights& verbs) {
  Weights part;
  for (const auto& each : verbs) {
    if (draw_.one_in(2)) part.push_back(each);
  }
  return part.empty() ? verbs : part;
}

// After each operation or two.
std::vector<Operation> Phrases::with_meetings(const std::vector<Operation>& operations) {
  std::vector<Operation> made;
  for (const Operation& operation : operations) {
    made.push_back(operation);
    if (!draw_.one_in(3)) made.push_back({.verb = Verb::meet});
  }
  return made;
}

std::vector<Actor> Phrases::actors(const Weights& verbs, std::uint32_t count,
                                   std::uint32_t operations_most) {
  const bool divide = draw_.one_in(2);
  const bool meet = draw_.one_in(2);
  std::vector<Actor> made;
  for (std::uint32_t i = 0; i < count; ++i) {
    Actor& actor = made.emplace_back(std::string(1, static_cast<char>('a' + i)),
                                     operations(divide ? part_of(verbs) : verbs, operations_most));
    if (meet) actor.operations = with_meetings(actor.operations);
  }
  return made;
}

}   // namespace scenarios
