// A report on an image in the form that every checker of a run reports in.
#pragma once

#include <cstdint>

#include "checkers/findings.h"
#include "checkers/image/cache_check.h"
#include "checkers/image/thin_check.h"

namespace checkers::image {

// What a run's history allows in the image that it leaves.
enum class Expect : std::uint8_t {
  exact,   // nothing at all, not even a warning
  held,    // leaks of data blocks too: passdowns held them that could not let go of them
};

// One finding each for what `expect` does not allow, of kind "<severity>-<rule>".
void add_findings(const ThinReport& report, Expect expect, checkers::Findings& findings);
// A cache's metadata leaks nothing, whatever happens: everything is a finding.
void add_findings(const CacheReport& report, checkers::Findings& findings);

}   // namespace checkers::image
