#!/bin/bash
# What a resume does to the mark of a clean shutdown. STAGE=write: block 100 is cached, clean and
# holds "first"; the cache is suspended and resumed, 4 KiB of "second" are written to the block and
# flushed, and then the guest waits to lose its power. STAGE=read: opens the cache in MODE and prints
# `BLOCK DIGEST` of those 4 KiB, or `REFUSED`.
# shellcheck source=tests/system/guest/cache-lib.sh
. "$KLIB/cache-lib.sh"

if [[ $STAGE == read ]]; then
  if cache_up 512 "1,$MODE"; then
    hex=$(dd if=/dev/mapper/cache bs=4096 skip=800 count=1 iflag=direct status=none | md5sum)
    echo "BLOCK ${hex%% *}"
    cache_down
  else
    echo "REFUSED"
  fi
  exit 0
fi

cache_up 512 1,writeback
io write /dev/mapper/cache first 100 1 32768
cache_down
cache_up 512 1,writeback cleaner
await_clean
cache_down
cache_up 512 1,writeback
dmsetup suspend cache
dmsetup resume cache
io write /dev/mapper/cache second 800 1 4096 # and flushes
echo "WRITTEN"
sleep 60
