"""Keeps a pool busy with writes, snapshots, discards and deletes until the guest is killed; says
`STEP n` as it goes on, so that the runner can choose its moment."""

import itertools
import os

from pool import Pool

busy = Pool()
busy.create(0)
busy.fill(0, "base", 0, 256)
if os.fork() == 0:
    for n in itertools.count():
        busy.fill(0, f"bg-{n}", n % 7 * 100, 150, 8192, 4096)
for n in itertools.count(1):
    busy.snapshot(0, n)
    busy.discard(0, 65536 * (n % 50), 655360)
    if n >= 6:
        busy.message(f"delete {n - 5}")
    busy.device.status()
    print(f"STEP {n}", flush=True)
