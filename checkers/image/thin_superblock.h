// Rules 1, 2 and 20 as far as a superblock alone can break them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "checkers/image/findings.h"
#include "checkers/image/thin_image.h"

namespace checkers::image {

// Checks the fields of block 0. False when nothing behind it can be walked.
[[nodiscard]] bool check_superblock(const Superblock& super, const std::byte* bytes,
                                    std::uint64_t device_blocks, Findings& findings);

// Checks the copy that a metadata snapshot holds against the superblock that points at it. False
// when its trees cannot be walked.
[[nodiscard]] bool check_held(const Superblock& held, const std::byte* bytes,
                              const Superblock& super, Findings& findings);

}   // namespace checkers::image
