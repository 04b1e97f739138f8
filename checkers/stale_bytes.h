// No byte that nobody wrote reaches a disk: memory that is kept for another use is marked when its
// contents lose their meaning (engine/fiber/stale.h) and when it is freed, and what is written is
// looked through for the marks.
//
// Not covered: fewer than fifteen such bytes in a row; memory on stacks.
#pragma once

#include "checkers/findings.h"
#include "engine/base/bytes.h"
#include "engine/env/bio.h"

namespace checkers {

// A StaleHook.
void mark_stale(engine::MutableBytes contents) noexcept;

// `data` is about to be written to `device` at `sector`.
void judge_stale_bytes(std::string_view device, engine::Sector sector, engine::ConstBytes data,
                       Findings& findings);

}   // namespace checkers
