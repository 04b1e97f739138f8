// How this program runs under a sanitizer: the first report ends the process, which is what a
// search takes for a finding.
#include "engine/base/sanitizers.h"

#if WAVETANK_TSAN
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() {
  return "halt_on_error=1:exitcode=66";
}
#endif
