# Compiler settings that hold for every target.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Two checkouts of the same sources share what is compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
      CCACHE_NOHASHDIR=true CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()

# Checks are on in every build; so NDEBUG changes nothing of ours. Line tables only: backtraces and
# source locations are what a release build owes its user, and -g1 keeps builds quick.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1 -fno-omit-frame-pointer")
# Source locations are part of a trace: the same on every machine, so relative to the tree. The
# second form is what the compiler cache makes of a path.
file(RELATIVE_PATH source_from_binary ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR}/.anchor)
string(REPLACE ".anchor" "" source_from_binary "${source_from_binary}")
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=
                    -ffile-prefix-map=${source_from_binary}=)
# 16 bytes: _Unwind and fcontext both need frame records that a debugger can follow.
add_compile_options(-fno-plt)
# gcc looks for garbage each time its heap has doubled, a tenth of its time; half a GiB may wait.
add_compile_options("$<$<CXX_COMPILER_ID:GNU>:SHELL:--param ggc-min-heapsize=524288>")

if(WAVETANK_SANITIZE MATCHES "address")
  # The optimiser spends more time on the checks than the tests gain by it.
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O0 -g1 -fno-omit-frame-pointer")
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # Looking for uses of frames that have returned takes clang a second stack for every fiber, which
    # makes a switch ten times as dear. gcc does it only where asked, too.
    add_compile_options(-fsanitize-address-use-after-return=never)
  endif()
endif()
if(WAVETANK_SANITIZE)
  add_compile_options(-fsanitize=${WAVETANK_SANITIZE} -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${WAVETANK_SANITIZE})
endif()

include(${CMAKE_CURRENT_LIST_DIR}/QuickBuild.cmake)

# Where sources are compiled together a local name may be another source's, which is no shadow.
add_library(wavetank_warnings INTERFACE)
target_compile_options(wavetank_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion $<$<NOT:$<BOOL:$<TARGET_PROPERTY:UNITY_BUILD>>>:-Wshadow>
  -Wnon-virtual-dtor -Wold-style-cast -Wundef
  -Wimplicit-fallthrough -Werror=unused-result -Werror=switch)
if(WAVETANK_THREAD_SAFETY)
  target_compile_options(wavetank_warnings INTERFACE -Wthread-safety -Werror=thread-safety)
endif()
