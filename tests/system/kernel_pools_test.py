"""The kernel's own pools are what the other tests take them for; needs none of our programs."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import case, pools


@case.needs_kernel
class KernelPools(case.SystemTest):
    def made(self, kind):
        pool = pools.make(kind, self.folder)
        self.assertIsNone(pools.thin_check(pool.meta))
        self.assertEqual(set(pools.thin_ids(pool.meta)), set(pool.volumes))
        return pool

    def test_snapshots_differ_and_share(self):
        pool = self.made("snapshots")
        self.assertEqual(set(pool.volumes), {0, 1, 2, 3, 5, 6})
        self.assertEqual(len({v.digest for v in pool.volumes.values()}), 6)
        self.assertIn('transaction="7"', pools.thin_dump(pool.meta))

    def test_deep_tree_has_three_levels(self):
        pool = self.made("deep")
        self.assertGreaterEqual(pools.tree_depth(pool.meta, 0), 3)
        self.assertEqual(pools.thin_ids(pool.meta)[0], 64000)

    def test_held_root_is_recorded(self):
        pool = self.made("held")
        held = int.from_bytes(pool.meta.read_bytes()[56:64], "little")
        self.assertNotEqual(held, 0)

    def test_grown_devices_are_used(self):
        pool = self.made("grown")
        self.assertGreater(pools.thin_ids(pool.meta)[0], 2048)   # half of the data device

    def test_odd_block_size(self):
        self.assertEqual(self.made("odd").block_sectors, 384)

    def test_reading_leaves_the_metadata_alone_and_mutating_leaves_it_sound(self):
        pool = self.made("snapshots")
        sectors = pool.volumes[0].sectors
        before = pool.meta.read_bytes()
        self.assertEqual(pools.kernel_digests(pool, list(pool.volumes), sectors), pool.volumes)
        self.assertEqual(pool.meta.read_bytes(), before)
        old, new = pools.kernel_mutate(pool, [0, 1, 2], sectors)
        self.assertEqual(old, {n: pool.volumes[n] for n in (0, 1, 2)})
        self.assertNotEqual(new[0], old[0])
        self.assertEqual(new[1], old[1])
        self.assertNotIn(2, new)
        self.assertIsNone(pools.thin_check(pool.meta))

    def test_unclean_stop_leaves_a_sound_pool(self):
        pool = pools.make_unclean(self.folder, steps=8)
        self.assertIsNone(pools.thin_check(pool.meta))
        ids = sorted(pools.thin_ids(pool.meta))
        self.assertGreaterEqual(len(ids), 2)
        self.assertEqual(set(pools.kernel_digests(pool, ids, 32768)), set(ids))


if __name__ == "__main__":
    unittest.main(verbosity=2)
