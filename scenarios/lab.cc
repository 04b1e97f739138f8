#include "scenarios/lab.h"

#include <functional>
#include <string>
#include <utility>

namespace scenarios {

Lab::Lab(World& world, const Workload& workload)
    : world_{world}, workload_{workload}, family_{family_of(world, workload)} {}

Lab::~Lab() = default;

void Lab::run() {
  family_->boot();
  family_->make_volumes();
  perform_all(workload_.setup);
  run_actors();
  if (world_.power_is_cut()) {
    recover();
  } else {
    world_.faults_end();
  }
  family_->judge_at_rest();
  family_->shut_down();
  family_->judge_image(Image::final);
}

void Lab::run_actors() {
  world_.faults_begin();
  std::vector<std::pair<std::string, std::function<void()>>> bodies;
  for (const Actor& actor : workload_.actors)
    bodies.emplace_back(actor.name, [this, &actor] { perform_all(actor.operations); });
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

void Lab::perform_all(const std::vector<Operation>& operations) {
  for (const Operation& operation : operations) {
    if (world_.power_is_cut()) return;
    family_->perform(operation);
  }
}

}   // namespace scenarios
