// A suspend that flushes makes way for another device's.
//
// A thin's writes may wait for space that its pool gets with its next table, for which the pool has
// to suspend its thins. Were it kept waiting until a user's suspend has flushed one of them, nobody
// would get on. So whoever comes to suspend the device internally has the bios that its targets
// keep handed back, and what the user gets is what he would have got if the other had come first.
//
// The raw lock has no scheduling points, and where the two meet they have points of their own: no
// step needs to tell the tank's explorer of what it sees here.
#pragma once

#include <cstdint>

#include "engine/fiber/completion.h"
#include "engine/fiber/waiters.h"

namespace engine::dm {

class MakingWay {
 public:
  // --- Whoever flushes, with the device's suspend lock.
  // False: somebody is coming already, and the bios are to be handed back at once.
  [[nodiscard]] bool begin_flush();
  // Suspends while somebody has bios handed back. From now on nobody does. After a begin_flush()
  // that said true.
  void end_flush();

  // --- Whoever comes to suspend internally, without the lock.
  // True: somebody flushes; have the bios handed back, then call handed_back().
  [[nodiscard]] bool coming();
  void handed_back();
  // With the lock.
  void has_come();

 private:
  RawLock raw_;   // guards the rest
  std::uint32_t coming_ = 0;
  bool flushing_ = false;   // and nobody has come
  bool handing_back_ = false;
  Completion* end_ = nullptr;   // of whoever waits for the end of that
};

}   // namespace engine::dm
