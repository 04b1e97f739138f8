#!/usr/bin/env bash
# ./dev demo: five historical races found, shrunk, replayed and drawn, with how small they got beside
# the smallest that we know of; the engine without them searched clean; a volume on real files served
# to stock clients and checked. Ends with a table.
# usage: demo.sh BUILD [FOLDER]
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
PATH=$PATH:/usr/sbin:/sbin

build=${1:-build/release}
work=${2:-$build/demo}
jobs=$(nproc)
schedules=${DEMO_SCHEDULES:-20000}
# Of a race as it is told on paper: operations, preemptions.
declare -A smallest=([S1]="2, 1" [S2]="4, 0" [S3]="3, 1" [S4]="2, 1" [S5]="1, 0")
# What is promised of two of them, however they are found.
declare -A largest=([S3]="6, 2" [S5]="4, 1")
wavetank=$build/wavetank
wavetankd=$build/wavetankd
sockets=$(mktemp -d /tmp/wavetank-demo.XXXXXX)
server=
rows=()
step_started=$SECONDS

finish() {
  [[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
  rm -rf "$sockets"
}
trap finish EXIT

step() {
  step_started=$SECONDS
  printf '\n\033[1m-- %s\033[0m\n' "$*"
}
row() { rows+=("$1|$2|$((SECONDS - step_started)) s"); }
fail() {
  printf '\033[1mdemo: %s\033[0m\n' "$*" >&2
  [[ ! -s $work/server.log ]] || tail -5 "$work/server.log" >&2
  exit 1
}

# The first file below $1 that is named as $2.
file_of() { find "$1" -type f -name "$2" 2>/dev/null | sort | head -1; }
# What a report says in its line "KEY: VALUE" (or "KEY VALUE").
value_of() { sed -nE "s/^ *$2:? +//p" <<<"$1" | head -1; }

# scenario_for MUTANT general|scenario: the one aimed at nothing that is nearest to it, or the one aimed
# at it, by the program's own list.
scenario_for() {
  "$wavetank" list mutants --json | python3 -c '
import json, sys
mutant = next(m for m in json.load(sys.stdin) if m["id"] == sys.argv[1])
print(mutant[sys.argv[2]].split(",")[0])' "$1" "$2" ||
    fail "no $2 for mutant $1"
}

# small_enough SIZE LARGEST: two numbers each, of operations and of preemptions.
small_enough() {
  [[ ${1%, *} -le ${2%, *} && ${1#*, } -le ${2#*, } ]]
}

# find_race MUTANT SCENARIO: exit status 1 of the search is what we want here.
find_race() {
  local mutant=$1 scenario=$2 out=$work/$1-$2 status=0
  step "mutant $mutant, scenario $scenario: search, shrink"
  "$wavetank" search --scenario "$scenario" --mutant "$mutant" --seed 1 --jobs "$jobs" \
    --time "${DEMO_SEARCH_SECONDS:-120}" --shrink-time "${DEMO_SHRINK_SECONDS:-30}" --out "$out" |
    tee "$work/search.txt" || status=$?
  [[ $status -eq 1 ]] || fail "no finding for mutant $mutant with $scenario (exit status $status)"
  local svg story finding size
  size=$(sed -nE 's/^ *([0-9]+) operations, ([0-9]+) preemptions$/\1, \2/p' "$work/search.txt" | tail -1)
  [[ -n $size ]] || fail "the search does not say how small its finding is"
  [[ -z ${largest[$mutant]:-} ]] || small_enough "$size" "${largest[$mutant]}" ||
    fail "mutant $mutant with $scenario shrank to $size (operations, preemptions), not to ${largest[$mutant]} or less"
  svg=$(file_of "$out" '*.svg')
  [[ -n $svg ]] || fail "no picture in $out"
  finding=$(dirname "$svg")
  story=$(file_of "$finding" '*.txt')
  [[ -n $story && -n $(file_of "$finding" '*.toml') ]] || fail "the finding $finding is not complete"
  head -40 "$story" | sed 's/^/   | /'

  local first second
  first=$("$wavetank" replay "$finding" 2>&1) && fail "the replay of $finding finds nothing"
  second=$("$wavetank" replay "$finding" 2>&1) && fail "the second replay of $finding finds nothing"
  first=$(value_of "$first" digest)
  second=$(value_of "$second" digest)
  [[ -n $first && $first == "$second" ]] || fail "replays differ: '$first' and '$second'"
  echo "replayed twice, digest $first both times"

  rsvg-convert --width 1600 --keep-aspect-ratio --output "${svg%.svg}.png" "$svg"
  echo "picture: $svg (and .png)"
  row "race $mutant found with $scenario" "$size (on paper ${smallest[$mutant]})"
}

# search_clean SCENARIO SCHEDULES
search_clean() {
  step "the engine as it is: $2 schedules of $1"
  "$wavetank" search --scenario "$1" --seed 1 --schedules "$2" --jobs "$jobs" \
    --out "$work/clean" || fail "a finding in the engine itself (see $work/clean)"
  row "no finding in the engine itself: $1" "$2 schedules"
}

blank() {
  rm -f "$1"
  truncate -s "$2" "$1"
}

start_server() {
  : >"$work/server.log"
  rm -f "$sockets/nbd"
  "$wavetankd" serve --metadata "$work/meta.img" --data "$work/data.img" --block-size 64KiB \
    --thin 0:256MiB:vol0 --thin 1:256MiB:vol1 --listen "unix:$sockets/nbd" \
    >>"$work/server.log" 2>&1 &
  server=$!
  local _
  for _ in {1..200}; do
    [[ ! -S $sockets/nbd ]] || return 0
    kill -0 "$server" 2>/dev/null || fail "wavetankd did not start"
    sleep 0.05
  done
  fail "wavetankd does not listen"
}

stop_server() {
  kill -TERM "$server"
  wait "$server" || fail "wavetankd ended with $?"
  server=
}

uri() { echo "nbd+unix:///$1?socket=$sockets/nbd"; }

serve_for_real() {
  blank "$work/meta.img" 16M
  blank "$work/data.img" 1G

  step "a thin volume on real files, served over NBD"
  start_server
  head -c 32M /dev/urandom >"$work/original"
  nbdcopy "$work/original" "$(uri vol0)"
  qemu-io -f raw "$(uri vol0)" -c 'read -q 0 1M' -c 'write -q -P 0x5a 128M 64k' \
    -c 'read -q -P 0x5a 128M 64k' -c 'discard -q 128M 64k' -c 'read -q -P 0 128M 64k' -c 'flush' ||
    fail "qemu-io"
  fio --name=verify --ioengine=nbd --uri="$(uri vol1)" --rw=randwrite --bs=4k --iodepth=32 \
    --size=256M --io_size=64M --verify=crc32c --verify_state_save=0 --do_verify=1 --verify_fatal=1 --fsync=500 \
    --output="$work/fio.txt" || fail "fio's verify (see $work/fio.txt)"
  grep -E '^ +(read|write): IOPS' "$work/fio.txt"
  stop_server
  row "volume served to nbdcopy, qemu-io, fio" "$(grep -c 'IOPS=' "$work/fio.txt") verified fio passes"

  step "stopped, started again: read back"
  start_server
  nbdcopy "$(uri vol0)" "$work/copy"
  cmp -n $((32 << 20)) "$work/original" "$work/copy" || fail "the copy differs"
  stop_server
  row "read back after a restart" "32 MiB equal"

  step "the metadata, by the kernel's checker and by ours"
  thin_check -q "$work/meta.img" || fail "thin_check"
  "$wavetank" check thin "$work/meta.img" || fail "wavetank check thin"
  row "thin_check and wavetank check thin" "clean"
  rm -f "$work/original" "$work/copy"
}

summary() {
  printf '\n\033[1m%-44s %-40s %8s\033[0m\n' "what" "result (races: operations, preemptions)" "took"
  local line what result took
  for line in "${rows[@]}"; do
    IFS='|' read -r what result took <<<"$line"
    printf '%-44s %-40s %8s\n' "$what" "$result" "$took"
  done
  printf '\nfindings, pictures and files: %s\n' "$work"
}

for program in "$wavetank" "$wavetankd"; do
  [[ -x $program ]] || fail "$program is not built"
done
rm -rf "$work"
mkdir -p "$work"
for race in S1 S2 S3 S4 S5; do
  find_race "$race" "$(scenario_for "$race" general)"
  find_race "$race" "$(scenario_for "$race" scenario)"
done
search_clean thin-general "$schedules"
search_clean cache-general "$schedules"
search_clean stack-general "$((schedules / 2))"   # each of them takes twice as long
serve_for_real
summary
