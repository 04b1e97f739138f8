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

status=0
build/account --strategy nonsense 2>said || status=$?
[[ $status -eq 2 ]] && grep -q "no strategy 'nonsense'" said || fail "a wrong strategy: $status"
echo "the installed library serves"
