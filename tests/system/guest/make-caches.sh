#!/bin/bash
# Takes one cache through its life and leaves copies of its metadata (NAME.meta), of its fast device
# (NAME.fast) and of origin blocks 100 to 139 (NAME.origin) at each station; prints `STATE NAME
# RESIDENT` as the kernel has it there.
# FEATURES is the table's; FAST is /dev/ubdc, ORIGIN /dev/ubdd.
# shellcheck source=tests/system/guest/cache-lib.sh
. "$KLIB/cache-lib.sh"

state() {
  local words
  read -ra words < <(dmsetup status cache) # also commits
  echo "STATE $1 ${words[6]%/*}"
}
save() {
  dd if="$META" of="$1.meta" bs=1M iflag=direct status=none
  dd if=$FAST of="$1.fast" bs=1M iflag=direct status=none
  dd if=$ORIGIN of="$1.origin" bs=32768 skip=100 count=40 iflag=direct status=none
}

# Whole blocks, each one bio: free places are given to them at once, and they are dirty.
cache_up 512 "$FEATURES"
io write /dev/mapper/cache first 100 40 32768
state unclean
save unclean
cache_down
save dirty

cache_up 512 "$FEATURES" cleaner
await_clean
state cleaned
cache_down
save cleaned

# Some of them dirty again, and a discard of [1 MiB + 4 KiB, 3 MiB).
cache_up 512 "$FEATURES"
io write /dev/mapper/cache second 103 6 32768
blkdiscard -o $((1048576 + 4096)) -l $((2097152 - 4096)) /dev/mapper/cache
state some
cache_down
save some

cache_up 700 "$FEATURES"
state grown
cache_down
save grown

cache_up 509 "$FEATURES"
state shrunk
cache_down
save shrunk
