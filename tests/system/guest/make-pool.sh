#!/bin/bash
# Makes a pool of one KIND and prints its volumes as DIGEST lines. Each kind leaves another shape of
# metadata behind.
# shellcheck source=tests/system/guest/lib.sh
. "$KLIB/lib.sh"

# Two origins; snapshots four deep, each rewritten in part; holes; a deleted middle.
make_snapshots() {
  pool_up
  message create_thin 0
  message create_thin 1
  thin_up 0
  thin_up 1
  fill 0 base 0 600
  fill 1 other 0 64 65536 65536
  local id
  for id in 2 3 4 5; do
    snapshot 0 "$id"
    fill 0 "after-$id" $((id * 40)) 200
    blkdiscard -o $((65536 * id * 3)) -l $((65536 * 5)) /dev/mapper/thin0
  done
  thin_up 3
  snapshot 3 6
  fill 3 branch 100 300
  thin_down 3
  message delete 4
  message set_transaction_id 0 7
  digests 0 1 2 3 5 6
}

# One volume whose mapping tree is three levels deep: every second block in order, then the gaps.
make_deep() {
  pool_up
  message create_thin 0
  thin_up 0
  fill 0 even 0 48000 131072 4096
  $python3 - <<'PY'
import os, sys
sys.path.insert(0, os.environ["KLIB"] + "/../harness")
import blockio
device = blockio.Device("/dev/mapper/thin0", direct=False)
for number in range(0, 48000, 3):
    offset = ((number * 7919) % 48000) * 131072 + 65536
    device.write_at(offset, blockio.pattern("odd", offset, 4096))
device.flush()
device.close()
PY
  dmsetup status pool
  digests 0
}

# A metadata snapshot is held while the pool goes on.
make_held() {
  pool_up
  message create_thin 0
  thin_up 0
  fill 0 base 0 500
  message reserve_metadata_snap
  fill 0 later 200 900
  snapshot 0 1
  fill 0 last 0 50
  digests 0 1
}

# Metadata and data devices that grew under a pool: both began as a part of their disk.
make_grown() {
  local data_half=$(($(pool_sectors) / 2))
  dmsetup create md --table "0 8192 linear $META 0"
  META=/dev/mapper/md
  pool_up "1 skip_block_zeroing" "$data_half"
  message create_thin 0
  thin_up 0
  fill 0 small 0 700
  dmsetup suspend pool
  dmsetup load md --table "0 $(blockdev --getsz /dev/ubdb) linear /dev/ubdb 0"
  dmsetup suspend md
  dmsetup resume md
  dmsetup load pool --table "0 $(pool_sectors) thin-pool $META $DATA $BLOCK 0 1 skip_block_zeroing"
  dmsetup resume pool
  fill 0 large 16 2300 65536 4096
  digests 0
}

# Zeroing on, a 192 KiB block, sizes that are no multiple of it.
make_odd() {
  pool_up "0"
  message create_thin 11
  thin_up 11
  fill 11 zeroed 3 90 40960 4096
  snapshot 11 16777215
  fill 11 zeroed-2 10 20 40960 4096
  digests 11 16777215
}

"make_$KIND"
dmsetup remove pool
[[ ! -e /dev/mapper/md ]] || dmsetup remove md
