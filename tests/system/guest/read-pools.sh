#!/bin/bash
# read-pool.sh for several pools, one after the other: POOLS has the IDS of each, with colons
# between them, on /dev/ubdb and /dev/ubdc, /dev/ubdd and /dev/ubde, and so on.
set -euo pipefail
letters=(b c d e f g h)
IFS=: read -ra lists <<<"$POOLS"
for n in "${!lists[@]}"; do
  echo "POOL $n"
  IDS=${lists[n]} META=/dev/ubd${letters[2 * n]} DATA=/dev/ubd${letters[2 * n + 1]} \
    bash "$KLIB/read-pool.sh"
done
