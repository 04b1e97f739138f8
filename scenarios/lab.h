// The course of one run of a workload: builds the system in a world, lets the actors loose on it,
// brings it back after a power cut, where they go on with what they had not come to, and has
// everything judged that is left.
//
// What the system is and what judges it is the family's (family.h); issuing a request (requests.h)
// and suspending, resuming and removing a device (control.h) are the same for all families.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "scenarios/family.h"
#include "scenarios/meeting.h"
#include "scenarios/workload.h"
#include "scenarios/world.h"

namespace scenarios {

class Lab {
 public:
  Lab(World& world, const Workload& workload);
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  // Both suspend; findings go to the world as they are made.
  // Everything from what prepare() has left, or from blank disks, to the last check.
  void run();
  // The system is made and taken down again.
  void prepare();

 private:
  void run_actors();
  void recover();
  // From `next` on, which is moved along. Null: there is nobody to meet.
  void perform(const std::vector<Operation>& operations, std::size_t& next, Meeting* meeting);

  World& world_;
  const Workload& workload_;
  const std::unique_ptr<Family> family_;
  std::vector<std::size_t> done_;   // operations that each actor has begun
};

}   // namespace scenarios
