#include "sim/process.h"

#include <malloc.h>

namespace sim {

void keep_freed_memory() noexcept {
  constexpr int kKeep = 512 * 1024 * 1024;
  mallopt(M_TRIM_THRESHOLD, kKeep);
  mallopt(M_MMAP_THRESHOLD, kKeep);
  mallopt(M_TOP_PAD, 16 * 1024 * 1024);
}

}   // namespace sim
