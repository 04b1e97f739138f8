#!/bin/bash
# For each NAME:CACHE_BLOCKS of CACHES copies NAME.meta to its disk, opens the cache,
# prints `STATE NAME RESIDENT NEEDS_CHECK` and a `BLOCK NAME ORIGIN_BLOCK DIGEST` for each of BLOCKS,
# waits until what was dirty has been written back, closes it, prints `ORIGIN` lines of the origin
# itself, and copies the metadata back to NAME.after. First of all it copies the origin's blocks of
# DIRTIED (FIRST:COUNT,...) from origin.old.
# shellcheck source=tests/system/guest/cache-lib.sh
. "$KLIB/cache-lib.sh"
for word in ${CACHES//,/ }; do
  name=${word%:*}
  dd if="$name.meta" of="$META" bs=1M oflag=direct status=none
  for range in ${DIRTIED//,/ }; do
    dd if=origin.old of=$ORIGIN bs=32768 skip="${range%:*}" seek="${range%:*}" count="${range#*:}" \
      oflag=direct conv=notrunc status=none
  done
  cache_up "${word#*:}" "$FEATURES"
  read -ra words < <(dmsetup status --noflush cache)
  echo "STATE $name ${words[6]%/*} ${words[-1]}"
  io blocks /dev/mapper/cache 32768 "$BLOCKS" | sed "s/^/BLOCK $name /"
  await_clean
  cache_down
  io blocks $ORIGIN 32768 "$BLOCKS" | sed "s/^/ORIGIN $name /"
  dd if="$META" of="$name.after" bs=1M iflag=direct status=none
done
