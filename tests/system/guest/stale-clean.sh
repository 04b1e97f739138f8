#!/bin/bash
# What a resume does to the mark of a clean shutdown. STAGE=write: block 100 is cached, clean and
# holds "first"; the cache is suspended and resumed, 4 KiB of "second" are written to the block and
# flushed, and then the guest waits to lose its power. STAGE=read: opens the cache in MODE and prints
# `BLOCK DIGEST` of those 4 KiB, or `REFUSED`.
# shellcheck source=tests/system/guest/lib.sh
. "$KLIB/lib.sh"
FAST=/dev/ubdc
ORIGIN=/dev/ubdd
load_module dm-cache
load_module dm-cache-smq
io() { $python3 "$KLIB/../harness/blockio.py" "$@"; }
cache_up() {
  dmsetup create fast --table "0 $((512 * 64)) linear $FAST 0"
  dmsetup create cache --table "0 $(blockdev --getsz $ORIGIN) cache $META /dev/mapper/fast $ORIGIN 64 1 $1 $2 0"
}
cache_down() {
  dmsetup remove cache
  dmsetup remove fast
}

if [[ $STAGE == read ]]; then
  if cache_up "$MODE" smq; then
    hex=$(dd if=/dev/mapper/cache bs=4096 skip=800 count=1 iflag=direct status=none | md5sum)
    echo "BLOCK ${hex%% *}"
    cache_down
  else
    echo "REFUSED"
  fi
  exit 0
fi

cache_up writeback smq
io write /dev/mapper/cache first 100 1 32768
cache_down
cache_up writeback cleaner
for ((i = 0; i < 100; i++)); do
  read -ra words < <(dmsetup status --noflush cache)
  [[ ${words[13]} -ne 0 ]] || break
  sleep 0.1
done
cache_down
cache_up writeback smq
dmsetup suspend cache
dmsetup resume cache
io write /dev/mapper/cache second 800 1 4096 # and flushes
echo "WRITTEN"
sleep 60
