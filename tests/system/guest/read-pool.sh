#!/bin/bash
# Opens a pool and prints the DIGEST of each of IDS (comma-separated); with MUTATE set, then writes,
# snapshots, discards and deletes, and prints the digests of what stands at the end.
# shellcheck source=tests/system/guest/lib.sh
. "$KLIB/lib.sh"
IFS=, read -ra ids <<<"$IDS"
pool_up
dmsetup status pool
digests "${ids[@]}"
if [[ -n ${MUTATE:-} ]]; then
  first=${ids[0]}
  fresh=$((16777215 - 7))
  echo "MUTATED"
  thin_up "$first"
  fill "$first" kernel-1 3 120
  snapshot "$first" "$fresh"
  fill "$first" kernel-2 60 200
  blkdiscard -o $((BLOCK * 512 * 2)) -l $((BLOCK * 512 * 3)) "/dev/mapper/thin$first"
  thin_down "$first"
  if [[ ${#ids[@]} -gt 1 ]]; then
    message delete "${ids[-1]}"
    unset 'ids[-1]'
  fi
  digests "${ids[@]}" "$fresh"
fi
dmsetup remove pool
