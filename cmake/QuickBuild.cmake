# What makes a build from nothing quick: sources are compiled several at a time, and begin with
# precompiled headers of libraries (none of ours, so that no change of ours spoils them). Most of
# what a small source costs is reading the same headers again.
#
# Where WAVETANK_QUICK_BUILD is off, as in the debug and tidy presets, each source is compiled by
# itself, so has to name what it uses: `./dev check` builds that. Names in the anonymous namespaces
# of a folder must differ everywhere.
#
# wavetank_quick_build(TARGET [tests | engine]): call it after linking; TARGET links dep_base, and with
# `tests` also dep_gtest.
option(WAVETANK_QUICK_BUILD "Sources compiled together, with precompiled library headers" OFF)
# 32 take gcc's optimiser 0.55 to 0.7 of the time that 8 take, and 1.2 GB at most. A mutant of the engine compiles
# again what stands with its sources, so there are fewer there.
set(WAVETANK_TOGETHER 32 CACHE STRING "How many sources are compiled together, at most")
set(WAVETANK_TOGETHER_ENGINE 8 CACHE STRING "The same in the engine, where it is mutated")

set(precompiled_all
  <algorithm> <array> <atomic> <charconv> <chrono> <cstdint> <cstring> <functional> <map> <memory>
  <optional> <set> <source_location> <span> <string> <string_view> <utility> <vector>
  <boost/intrusive/list.hpp> <boost/intrusive/set.hpp> <fmt/format.h> <tl/expected.hpp>)
set(precompiled_tests ${precompiled_all} <deque> <sstream> <thread> <gtest/gtest.h>)

function(wavetank_quick_build target)
  if(NOT WAVETANK_QUICK_BUILD)
    return()
  endif()
  set(kind all)
  if("tests" IN_LIST ARGN)
    set(kind tests)
  endif()
  set(together ${WAVETANK_TOGETHER})
  if("engine" IN_LIST ARGN AND NOT WAVETANK_SANITIZE)
    set(together ${WAVETANK_TOGETHER_ENGINE})
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${together})
  # gcc takes an anonymous namespace for a header's, where the source is not the one it was given.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
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
