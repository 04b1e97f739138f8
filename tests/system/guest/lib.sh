# shellcheck shell=bash
# What guest scripts share. META is /dev/ubdb, DATA /dev/ubdc, unless said otherwise; BLOCK (sectors)
# and SIZE (sectors of a thin device) come from the runner's environment.
set -euo pipefail
META=${META:-/dev/ubdb}
DATA=${DATA:-/dev/ubdc}
BLOCK=${BLOCK:-128}
SIZE=${SIZE:-32768}
python3=/usr/bin/python3

# io VERB DEVICE ...: see harness/blockio.py.
io() { $python3 "$KLIB/../harness/blockio.py" "$@"; }

pool_sectors() { echo $(($(blockdev --getsz "$DATA") / BLOCK * BLOCK)); }
pool_up() { dmsetup create pool --table "0 ${2:-$(pool_sectors)} thin-pool $META $DATA $BLOCK 0 ${1:-1 skip_block_zeroing}"; }
message() { dmsetup message pool 0 "$*"; }
thin_up() { dmsetup create "thin$1" --table "0 ${2:-$SIZE} thin /dev/mapper/pool $1"; }
thin_down() { dmsetup remove "thin$1"; }

# snapshot ORIGIN NEW: with the origin, which is active, quiesced.
snapshot() {
  dmsetup suspend "thin$1"
  message create_snap "$2" "$1"
  dmsetup resume "thin$1"
}

# fill ID SEED FIRST COUNT [STRIDE [LENGTH]]: deterministic bytes at every STRIDE-th place.
fill() { io fill "/dev/mapper/thin$1" "${@:2}"; }

# digest ID: prints what the device reads as, as the runner's `DIGEST` line.
digest() {
  local device=/dev/mapper/thin$1 hex
  if [[ ${STRIDE:-0} -eq 0 ]]; then
    hex=$(dd if="$device" bs=1M iflag=direct status=none | md5sum)
  else
    hex=$(io digest "$device" $((SIZE * 512)) "$STRIDE" "$LENGTH")
  fi
  echo "DIGEST $1 $SIZE ${hex%% *}"
}

# digests ID ...: each activated for as long as it takes.
digests() {
  local id
  for id in "$@"; do
    [[ -e /dev/mapper/thin$id ]] || thin_up "$id"
    digest "$id"
    thin_down "$id"
  done
}
