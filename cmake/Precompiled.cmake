# Precompiled headers: half of what a sanitizer build costs is reading the same library headers again.
# Only headers of libraries, none of ours, so that no change of ours spoils them. The release build
# goes without: there each source has to name what it uses.
#
# wavetank_precompiled(TARGET [tests]): lets TARGET begin with them. Call it after linking; TARGET
# links dep_base, and with `tests` also dep_gtest.
string(COMPARE NOTEQUAL "${WAVETANK_SANITIZE}" "" sanitized)
option(WAVETANK_PRECOMPILED "Precompiled library headers in all targets" ${sanitized})

set(precompiled_all
  <algorithm> <array> <atomic> <charconv> <chrono> <cstdint> <cstring> <functional> <map> <memory>
  <optional> <set> <source_location> <span> <string> <string_view> <utility> <vector>
  <boost/intrusive/list.hpp> <boost/intrusive/set.hpp> <fmt/format.h> <tl/expected.hpp>)
set(precompiled_tests ${precompiled_all} <deque> <sstream> <thread> <gtest/gtest.h>)

function(wavetank_precompiled target)
  if(NOT WAVETANK_PRECOMPILED)
    return()
  endif()
  set(kind all)
  if("tests" IN_LIST ARGN)
    set(kind tests)
  endif()
  set(owner precompiled_${kind}_headers)
  if(NOT TARGET ${owner})
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${owner}.cc CONTENT "")
    add_library(${owner} OBJECT ${CMAKE_BINARY_DIR}/${owner}.cc)
    target_link_libraries(${owner} PRIVATE dep_base wavetank_warnings)
    if(kind STREQUAL "tests")
      target_link_libraries(${owner} PRIVATE dep_gtest)
      target_compile_options(${owner} PRIVATE ${WAVETANK_TEST_OPTIONS})
    endif()
    target_compile_options(${owner} PRIVATE -fpch-preprocess)
    target_precompile_headers(${owner} PRIVATE ${precompiled_${kind}})
  endif()
  target_compile_options(${target} PRIVATE -fpch-preprocess)
  target_precompile_headers(${target} REUSE_FROM ${owner})
endfunction()
