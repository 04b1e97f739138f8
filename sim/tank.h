// All that a program of your own needs to be tested in the tank (docs/tutorial/README.md):
//
//   void program() {
//     sim::Variable<int> count{"count"};
//     sim::Threads threads;
//     for (int i = 0; i < 2; ++i)
//       threads.start("adder", [&] { count.set(count.get() + 1); });
//     threads.join();
//     sim::expect(count.peek() == 2, "an increment was lost");
//   }
//   int main(int argc, char** argv) { return sim::search_main(argc, argv, program); }
#pragma once

#include "engine/fiber/atomic.h"       // IWYU pragma: export
#include "engine/fiber/completion.h"   // IWYU pragma: export
#include "engine/fiber/condition.h"    // IWYU pragma: export
#include "engine/fiber/mutex.h"        // IWYU pragma: export
#include "engine/fiber/rcu.h"          // IWYU pragma: export
#include "engine/fiber/ref_count.h"    // IWYU pragma: export
#include "engine/fiber/rw_lock.h"      // IWYU pragma: export
#include "engine/fiber/spin_lock.h"    // IWYU pragma: export
#include "engine/fiber/timer.h"        // IWYU pragma: export
#include "engine/fiber/work_queue.h"   // IWYU pragma: export
#include "sim/library/barrier.h"       // IWYU pragma: export
#include "sim/library/explore.h"       // IWYU pragma: export
#include "sim/library/search.h"        // IWYU pragma: export
#include "sim/library/search_main.h"   // IWYU pragma: export
#include "sim/library/semaphore.h"     // IWYU pragma: export
#include "sim/library/thread.h"        // IWYU pragma: export
#include "sim/library/variable.h"      // IWYU pragma: export
