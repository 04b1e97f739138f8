#include "scenarios/lab.h"

#include <functional>
#include <string>
#include <utility>

namespace scenarios {

Lab::Lab(World& world, const Workload& workload)
    : world_{world},
      workload_{workload},
      family_{family_of(world, workload)},
      done_(workload.actors.size()) {}

Lab::~Lab() = default;

void Lab::run() {
  family_->boot();
  family_->make_volumes();
  std::size_t done = 0;
  perform(workload_.setup, done, nullptr);
  world_.faults_begin();
  run_actors();
  if (!world_.is_judged()) {
    world_.faults_end();
    family_->shut_down();
    return;
  }
  if (world_.power_is_cut()) {
    recover();
    run_actors();
  } else {
    world_.faults_end();
  }
  family_->judge_at_rest();
  family_->shut_down();
  family_->judge_image(Image::final);
}

void Lab::prepare() {
  family_->boot();
  family_->shut_down();
  family_->judge_image(Image::final);
}

void Lab::run_actors() {
  const auto is_going = [this](std::size_t i) {
    return done_[i] < workload_.actors[i].operations.size();
  };
  std::uint32_t going = 0;
  for (std::size_t i = 0; i < workload_.actors.size(); ++i)
    going += is_going(i) ? 1 : 0;
  Meeting meeting{going};
  std::vector<std::pair<std::string, std::function<void()>>> bodies(workload_.actors.size());
  for (std::size_t i = 0; i < workload_.actors.size(); ++i) {
    const Actor& actor = workload_.actors[i];
    bodies[i].first = actor.name;
    if (!is_going(i)) continue;
    bodies[i].second = [this, i, &actor, &meeting] {
      perform(actor.operations, done_[i], &meeting);
      meeting.leave();
    };
  }
  world_.run_together(std::move(bodies));
}

// What a cut leaves must be a whole image; the system must come up from it, and hold what is
// durable.
void Lab::recover() {
  family_->shut_down();
  world_.reboot();
  family_->bench().oracle.power_cut();
  family_->bench().power_cut = true;
  family_->judge_image(Image::after_cut);
  family_->boot();
}

void Lab::perform(const std::vector<Operation>& operations, std::size_t& next, Meeting* meeting) {
  while (next < operations.size() && !world_.power_is_cut()) {
    const Operation& operation = operations[next++];
    if (operation.verb == Verb::meet) {
      if (meeting != nullptr) meeting->meet();
      continue;
    }
    world_.begin_operation();
    family_->perform(operation);
  }
}

}   // namespace scenarios
