"""Our pools and the kernel's are the same pools: either opens, reads and changes the other's."""

import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import blockio, case, nbd, pools, server, verified_load

MIB = 1 << 20


def our_digests(pool, volumes, folder, messages=()):
    """What our server reads from the volumes {id: Volume}, each through a client of its own."""
    found = {}
    sizes = {thin: volume.sectors * 512 for thin, volume in volumes.items()}
    with server.Wavetankd(folder, pool.meta, pool.data, sizes, pool.block_sectors,
                          messages) as subject:
        for thin, volume in volumes.items():
            client = nbd.Client(subject.socket, str(thin))
            hexdigest = blockio.digest(client.read_at, volume.sectors * 512, pool.stride,
                                       pool.length)
            found[thin] = pools.Volume(volume.sectors, hexdigest)
            client.close()
    return found


class InteropTest(case.SystemTest):
    def assert_sound(self, pool, leaks=False):
        self.assertIsNone(pools.thin_check(pool.meta))
        status, said = server.check_thin(pool.meta)
        self.assertLessEqual(status, 1 if leaks else 0, said)

    def assert_ours_change_it_well(self, pool, sectors):
        """Writes through our server, a snapshot, and back to the kernel."""
        first = min(pool.volumes)
        sizes = {thin: volume.sectors * 512 for thin, volume in pool.volumes.items()}
        load = verified_load.VerifiedLoad(min(sizes[first] // MIB, 16) * MIB, seed=7,
                                          block=pool.block_sectors * 512)
        scratch = 16777000     # a new volume for the load: the old ones keep their digests
        sizes[scratch] = 16 * MIB
        with server.Wavetankd(self.folder, pool.meta, pool.data, sizes,
                              pool.block_sectors) as subject:
            client = nbd.Client(subject.socket, str(scratch))
            load.run(client, lambda: load.writes > 300)
            subject.control(f"create_snap {scratch + 1} {scratch}")
            load.run(client, lambda: load.writes > 600)
            client.flush()
            client.close()
            client = nbd.Client(subject.socket, str(first))
            for offset in range(0, 40 * 4096, 4096):
                client.write_at(offset, blockio.pattern("ours", offset, 4096))
            client.flush()
            client.close()
            ours = self.digests_live(subject, pool, sizes)
        self.assert_sound(pool)
        for size in set(sizes.values()):   # one boot for all of a size
            thins = [thin for thin in sizes if sizes[thin] == size]
            kernel = pools.kernel_digests(pool, thins, size // 512)
            self.assertEqual({thin: kernel[thin].digest for thin in thins},
                             {thin: ours[thin] for thin in thins})

    def digests_live(self, subject, pool, sizes):
        found = {}
        for thin, size in sizes.items():
            client = nbd.Client(subject.socket, str(thin))
            found[thin] = blockio.digest(client.read_at, size, pool.stride, pool.length)
            client.close()
        return found


@case.needs_kernel
@case.needs_programs
class KernelToOurs(InteropTest):
    def opens_and_reads(self, kind):
        pool = pools.make(kind, self.folder)
        self.assert_sound(pool)
        before = pools.thin_dump(pool.meta)
        self.assertEqual(our_digests(pool, pool.volumes, self.folder), pool.volumes)
        self.assertEqual(pools.thin_dump(pool.meta), before)
        self.assert_sound(pool)
        return pool

    def test_snapshots(self):
        pool = self.opens_and_reads("snapshots")
        self.assert_ours_change_it_well(pool, pool.volumes[0].sectors)

    def test_nbdcopy_reads_byte_for_byte(self):
        pool = pools.make("held", self.folder)
        sizes = {thin: volume.sectors * 512 for thin, volume in pool.volumes.items()}
        with server.Wavetankd(self.folder, pool.meta, pool.data, sizes) as subject:
            for thin, volume in pool.volumes.items():
                image = self.folder / f"thin{thin}.img"
                subject.copy_out(str(thin), image)
                device = blockio.Device(image)
                self.assertEqual(blockio.digest(device.read_at, sizes[thin]), volume.digest)
                device.close()

    def test_deep(self):
        self.opens_and_reads("deep")

    def test_held(self):
        pool = self.opens_and_reads("held")
        self.assert_ours_change_it_well(pool, pool.volumes[0].sectors)

    def test_grown(self):
        self.opens_and_reads("grown")

    def test_odd(self):
        pool = self.opens_and_reads("odd")
        self.assert_ours_change_it_well(pool, pool.volumes[11].sectors)

    def test_data_file_grown_while_nobody_looked(self):
        pool = pools.make("held", self.folder)
        with open(pool.data, "r+b") as file:
            file.truncate(512 * MIB)
        self.assertEqual(our_digests(pool, pool.volumes, self.folder), pool.volumes)
        self.assert_sound(pool)
        self.assertEqual(pools.kernel_digests(pool, list(pool.volumes), 32768), pool.volumes)

    def test_unclean_stop(self):
        for steps in (3, 9):
            with self.subTest(steps=steps):
                pool = pools.make_unclean(self.folder / str(steps), steps)
                self.assert_sound(pool, leaks=True)
                reference = pool.copy(self.folder / f"{steps}-kernel")
                known = pools.kernel_digests(reference, sorted(pools.thin_ids(pool.meta)), 32768)
                self.assertEqual(our_digests(pool, known, self.folder / str(steps)), known)
                self.assert_sound(pool, leaks=True)


@case.needs_kernel
@case.needs_programs
class OursToKernel(InteropTest):
    SIZE = 32 * MIB

    def blank(self, meta_mib=16, data_mib=256, block_sectors=128):
        meta, data = self.folder / "meta.img", self.folder / "data.img"
        for path, mib in ((meta, meta_mib), (data, data_mib)):
            with open(path, "wb") as file:
                file.truncate(mib * MIB)
        return pools.Pool(meta, data, block_sectors)

    def history(self, pool, rounds, kill=False):
        """Rounds of load, snapshots and deletes, each in a new server; {id: expected pages}."""
        source = random.Random(3)
        load = verified_load.VerifiedLoad(self.SIZE, 3, pool.block_sectors * 512)
        snapshots = {}
        for number in range(1, rounds + 1):
            thins = {0: self.SIZE, **{thin: self.SIZE for thin in snapshots}}
            subject = server.Wavetankd(self.folder, pool.meta, pool.data, thins, pool.block_sectors)
            client = nbd.Client(subject.socket, "0")
            load.verify(client)
            goal = load.writes + 400
            load.run(client, lambda: load.writes > goal)
            subject.control(f"create_snap {number * 10} 0")
            snapshots[number * 10] = load.expected()
            goal = load.writes + 400
            load.run(client, lambda: load.writes > goal)
            client.flush()
            client.close()
            if kill:
                subject.kill()
            else:
                subject.stop()
            if len(snapshots) > 4:
                doomed = source.choice(sorted(snapshots))
                snapshots.pop(doomed)
                # Served by nobody, so it may be deleted at the start.
                with server.Wavetankd(self.folder, pool.meta, pool.data, {0: self.SIZE},
                                      pool.block_sectors, [f"delete {doomed}"]):
                    pass
        return {0: load.expected(), **snapshots}

    def assert_kernel_agrees(self, pool, expected):
        """The kernel reads what was written, changes the pool, and we read what it left."""
        sectors = self.SIZE // 512
        digests = {thin: pools.Volume(sectors, self.digest_of(pages))
                   for thin, pages in expected.items()}
        self.assertEqual(set(pools.thin_ids(pool.meta)), set(digests))
        old, new = pools.kernel_mutate(pool, sorted(digests), sectors)
        self.assertEqual(old, digests)
        self.assert_sound(pool)
        self.assertEqual(our_digests(pool, new, self.folder), new)
        self.assert_sound(pool)

    def digest_of(self, pages):
        def read_at(offset, length):
            return b"".join(
                verified_load.content(pages.get(page, 0), page) for page in
                range(offset // verified_load.PAGE, (offset + length) // verified_load.PAGE))
        return blockio.digest(read_at, self.SIZE)

    def test_after_a_long_history(self):
        pool = self.blank()
        expected = self.history(pool, 8)
        self.assert_sound(pool)
        self.assert_kernel_agrees(pool, expected)

    def test_after_kills(self):
        pool = self.blank()
        expected = self.history(pool, 4, kill=True)
        self.assert_sound(pool, leaks=True)
        sectors = self.SIZE // 512
        self.assertEqual(
            pools.kernel_digests(pool, sorted(expected), sectors),
            {thin: pools.Volume(sectors, self.digest_of(pages))
             for thin, pages in expected.items()})

    def test_other_block_size(self):
        pool = self.blank(block_sectors=384)
        expected = self.history(pool, 3)
        self.assert_kernel_agrees(pool, expected)

    def test_thin_dump_says_what_was_written(self):
        """Each block written is mapped, each block trimmed is not, and nothing else is."""
        pool = self.blank()
        with server.Wavetankd(self.folder, pool.meta, pool.data, {5: self.SIZE}) as subject:
            client = nbd.Client(subject.socket, "5")
            for block in (0, 1, 2, 7, 300, 511):
                client.write_at(block * 65536 + 8192, b"x" * 4096)
            client.trim(1 * 65536, 65536)
            client.flush()
            client.close()
        self.assert_sound(pool)
        self.assertEqual(pools.mapped_blocks(pool.meta, 5), [0, 2, 7, 300, 511])

    def test_thin_restore_images_open(self):
        """A restored copy of a pool reads the same: the data did not move."""
        pool = self.blank()
        expected = self.history(pool, 2)
        restored = pools.restore(pool, self.folder / "restored.img")
        self.assert_sound(restored)
        sectors = self.SIZE // 512
        digests = {thin: pools.Volume(sectors, self.digest_of(pages))
                   for thin, pages in expected.items()}
        self.assertEqual(our_digests(restored, digests, self.folder), digests)


if __name__ == "__main__":
    unittest.main(verbosity=2)
