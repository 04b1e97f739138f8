// `wavetankd serve`: opens devices and pool, exports them, and ends in good order on a signal.
#pragma once

#include "real-io/program/serve_options.h"

namespace wavetankd {

// Returns the exit status: 0 after a clean end, 1 when it could not begin or end as it should.
int serve(const ServeOptions& options);

}   // namespace wavetankd
