"""Opens one pool after the other and prints `POOL n` and the DIGEST of each of its volumes; with
MUTATE set, then writes, snapshots, discards and deletes, and prints the digests of what stands at the
end. POOLS has the ids of each, with commas between them and colons between pools; they are on
/dev/ubdb and /dev/ubdc, /dev/ubdd and /dev/ubde, and so on."""

import os

from pool import Pool

FRESH = 16777215 - 7
ASKED = {name.lower(): int(os.environ[name]) for name in ("BLOCK", "SIZE", "STRIDE", "LENGTH")}


def mutate(pool, thins):
    first = thins[0]
    pool.up(first)
    pool.fill(first, "kernel-1", 3, 120)
    pool.snapshot(first, FRESH)
    pool.fill(first, "kernel-2", 60, 200)
    pool.discard(first, pool.block * 512 * 2, pool.block * 512 * 3)
    pool.down(first)
    if len(thins) > 1:
        pool.message(f"delete {thins.pop()}")
    pool.tell_digests(*thins, FRESH)


for number, ids in enumerate(os.environ["POOLS"].split(":")):
    print(f"POOL {number}", flush=True)
    volumes = [int(thin) for thin in ids.split(",")]
    opened = Pool(f"/dev/ubd{'bdf'[number]}", f"/dev/ubd{'ceg'[number]}", **ASKED)
    print(*opened.device.status(), flush=True)
    opened.tell_digests(*volumes)
    if "MUTATE" in os.environ:
        print("MUTATED", flush=True)
        mutate(opened, volumes)
    opened.close()
