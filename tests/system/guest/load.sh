#!/bin/bash
# Keeps a pool busy with writes, snapshots, discards and deletes until the guest is killed; says
# `STEP n` as it goes on, so that the runner can choose its moment.
# shellcheck source=tests/system/guest/lib.sh
. "$KLIB/lib.sh"
pool_up
message create_thin 0
thin_up 0
fill 0 base 0 256
(for ((n = 0; ; n++)); do fill 0 "bg-$n" $((n % 7 * 100)) 150 8192 4096; done) &
for ((n = 1; n < 100000; n++)); do
  snapshot 0 "$n"
  blkdiscard -o $((65536 * (n % 50))) -l 655360 /dev/mapper/thin0
  [[ $n -lt 6 ]] || message delete $((n - 5))
  dmsetup status pool >/dev/null
  echo "STEP $n"
done
