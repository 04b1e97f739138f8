#!/bin/bash
# For each NAME:CACHE_BLOCKS of CACHES copies NAME.meta to its disk, opens the cache,
# prints `STATE NAME RESIDENT NEEDS_CHECK` and a `BLOCK NAME ORIGIN_BLOCK DIGEST` for each of BLOCKS,
# waits until what was dirty has been written back, closes it, prints `ORIGIN` lines of the origin
# itself, and copies the metadata back to NAME.after. First of all it copies the origin's blocks of
# DIRTIED (FIRST:COUNT,...) from origin.old.
# shellcheck source=tests/system/guest/lib.sh
. "$KLIB/lib.sh"
FAST=/dev/ubdc
ORIGIN=/dev/ubdd
load_module dm-cache
load_module dm-cache-smq
io() { $python3 "$KLIB/../harness/blockio.py" "$@"; }
for word in ${CACHES//,/ }; do
  name=${word%:*}
  dd if="$name.meta" of="$META" bs=1M oflag=direct status=none
  for range in ${DIRTIED//,/ }; do
    dd if=origin.old of=$ORIGIN bs=32768 skip="${range%:*}" seek="${range%:*}" count="${range#*:}" \
      oflag=direct conv=notrunc status=none
  done
  dmsetup create fast --table "0 $((${word#*:} * 64)) linear $FAST 0"
  dmsetup create cache --table "0 $(blockdev --getsz $ORIGIN) cache $META /dev/mapper/fast $ORIGIN 64 ${FEATURES//,/ } smq 0"
  read -ra words < <(dmsetup status --noflush cache)
  echo "STATE $name ${words[6]%/*} ${words[-1]}"
  io blocks /dev/mapper/cache 32768 "$BLOCKS" | sed "s/^/BLOCK $name /"
  for ((i = 0; i < 100; i++)); do
    read -ra words < <(dmsetup status --noflush cache)
    [[ ${words[13]} -ne 0 ]] || break
    sleep 0.1
  done
  dmsetup remove cache
  dmsetup remove fast
  io blocks $ORIGIN 32768 "$BLOCKS" | sed "s/^/ORIGIN $name /"
  dd if="$META" of="$name.after" bs=1M iflag=direct status=none
done
