#!/bin/bash
# For each NAME:CACHE_BLOCKS of CACHES copies NAME.meta and NAME.fast to the disks, opens the cache,
# prints `STATE NAME RESIDENT NEEDS_CHECK` and a `BLOCK NAME ORIGIN_BLOCK DIGEST` for each of BLOCKS,
# waits until what was dirty has been written back, closes it, prints `ORIGIN` lines of the origin
# itself, and copies the metadata back to NAME.after. ORIGIN_FILLS (FIRST:COUNT,...) are the blocks
# of the origin that it puts right first.
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
  dd if="$name.fast" of=$FAST bs=1M oflag=direct status=none
  for fill in ${ORIGIN_FILLS//,/ }; do io write $ORIGIN origin "${fill%:*}" "${fill#*:}" 32768; done
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
