#!/usr/bin/env bash
# install_test.sh BUILD SOURCE: the installed library serves a program outside of this tree: the
# tutorial's finds its race, replays it with the same digest, draws it, and is clean when mended.
set -euo pipefail
build=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

cmake --install "$build" --component tank --prefix "$work/prefix" >/dev/null
cp "$source"/docs/tutorial/{account.cc,CMakeLists.txt} "$work/"
cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Debug >/dev/null
cmake --build "$work/build" >/dev/null
cd "$work"

status=0
build/account --out out >said || status=$?
[[ $status -eq 1 ]] || fail "the search ended with $status: $(cat said)"
grep -q '^found: assertion: account.cc:' said || fail "it does not say where: $(cat said)"
grep -q 'a payment was lost' said || fail "it found something else: $(cat said)"
folder=$(echo out/*)
for file in trace.wavetank story.txt picture.svg timeline.html; do
  [[ -s $folder/$file ]] || fail "no $file in $folder"
done
! grep -q "$work/prefix" "$folder/story.txt" || fail "our places bear a folder: $(cat "$folder/story.txt")"
status=0
"$build"/wavetank replay "$folder" 2>said || status=$?
[[ $status -eq 2 ]] && grep -q 'a trace of a program, which replays it itself' said ||
  fail "wavetank takes it for the engine's: $status, $(cat said)"
for round in 1 2; do
  status=0
  build/account --replay "$folder" >again || status=$?
  [[ $status -eq 1 ]] && grep -q 'as recorded' again && ! grep -q 'not as recorded' again ||
    fail "replay $round: $(cat again)"
done

# Mended: the look and the write under one lock.
python3 - <<'PY'
text = open("account.cc").read()
racy = "    const int before = look();\n    const engine::MutexLock lock{mutex_};\n"
mended = "    const engine::MutexLock lock{mutex_};\n    const int before = balance_.get();\n"
assert racy in text
open("account.cc", "w").write(text.replace(racy, mended))
PY
cmake --build build >/dev/null
build/account --schedules 2000 >said || fail "mended, but: $(cat said)"
build/account --explore >said || fail "mended, but: $(cat said)"
grep -q '^complete: .*nothing found' said || fail "not explored to the end: $(cat said)"

# What was found before is no finding of the mended program's, and it says which it was.
build/account --replay "$folder" >said || fail "mended, but: $(cat said)"
grep -q '^nothing found; the recorded one was assertion: a payment was lost' said ||
  fail "a replay says too little: $(cat said)"

# Where there is no line to name, it says why; with -g it names it.
for flags in "" -g; do
  cat >leaks.cc <<'CPP'
#include "sim/tank.h"
int main(int argc, char** argv) {
  return sim::search_main(argc, argv, [] { static_cast<void>(new int[4]); });
}
CPP
  cat >CMakeLists.txt <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(leaks LANGUAGES CXX)
find_package(wavetank REQUIRED)
add_executable(leaks leaks.cc)
target_compile_options(leaks PRIVATE -O0 $flags)
target_link_libraries(leaks PRIVATE wavetank::sim)
CMAKE
  rm -rf leaking out
  cmake -B leaking -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
  cmake --build leaking >/dev/null
  status=0
  leaking/leaks >said || status=$?
  [[ $status -eq 1 ]] || fail "a leak is not found: $status, $(cat said)"
  expected=${flags:+leaks.cc:3}
  grep -qF "${expected:-a build with -g would tell}" said || fail "where it leaks: $(cat said)"
done

status=0
build/account --strategy nonsense 2>said || status=$?
[[ $status -eq 2 ]] && grep -q "no strategy 'nonsense'" said || fail "a wrong strategy: $status"
echo "the installed library serves"
