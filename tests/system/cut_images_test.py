"""What simulated power cuts leave is sound for other people's programs, too.

`--images` writes the disks as cuts left them. thin_check and our checker look at dozens of them; some
the kernel opens, reads and changes, and our engine reads the same before and after.
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import blockio, case, nbd, pools, server

MIB = 1 << 20
SECTORS = 4096      # of every volume in the kernel: more than any has here
SCHEDULES = 700
CUTS_LEAST = 100    # of that many schedules
# Where nothing but a cut can damage the metadata.
WITH_A_CUT = pathlib.Path(__file__).resolve().parents[2] / "scenarios" / "explore" / "cuts-and-schedules.toml"
MUTANT = "B072"     # the superblock reaches the disk before the blocks that it refers to


def wavetank(*words):
    """(exit status, standard output, standard error) of one of our commands."""
    done = subprocess.run([str(case.program("wavetank")), *map(str, words)], capture_output=True,
                          text=True, timeout=600)
    return done.returncode, done.stdout, done.stderr


class Cut:
    """The folder of one cut and the workload that it came in."""

    def __init__(self, folder):
        self.folder = folder
        self.meta, self.data = folder / "metadata.img", folder / "data.img"
        self._workload = (folder.parent / "workload.toml").read_text(encoding="utf-8")

    def number(self, key):
        return int(re.search(rf"^{key} = (\d+)$", self._workload, re.M)[1])

    def needs_check(self):
        return self.meta.read_bytes()[4] & 1 != 0

    def pool(self, folder):
        """A copy with room in its data file for what the kernel is to write."""
        pool = pools.Pool(self.meta, self.data, self.number("block_sectors")).copy(folder)
        with open(pool.data, "r+b") as file:
            file.truncate(16 * MIB)
        return pool


def cuts_below(folder):
    return [Cut(path) for path in sorted(folder.glob("**/cut-*"))]


class CutImagesTest(case.SystemTest):
    def search(self, *words):
        """The cuts of a search that finds nothing, or is not to."""
        images = self.folder / "images"
        status, said, complaint = wavetank(
            "search", "--scenario", "thin-general", "--quiet", "--json", "--no-folder",
            "--jobs", 2, "--images", images, *words)
        self.assertEqual(status, 0, said + complaint)
        cuts = cuts_below(images)
        self.assertEqual(len(cuts), json.loads(said)["cuts"])
        return cuts

    def assert_only_lost(self, image):
        """Sound, but for data blocks that were held for a discard when a commit came between."""
        status, said, _ = wavetank("check", "thin", "--json", image)
        self.assertLessEqual(status, 1, said)
        found = {each["name"] for each in json.loads(said)["findings"]}
        self.assertEqual(found, {"data-count-high"} if status else set(), said)

    def our_digests(self, pool, ids):
        found = {}
        with server.Wavetankd(pool.meta.parent, pool.meta, pool.data,
                              {thin: SECTORS * 512 for thin in ids}, pool.block_sectors) as subject:
            for thin in ids:
                client = nbd.Client(subject.socket, str(thin))
                found[thin] = pools.Volume(SECTORS, blockio.digest(client.read_at, SECTORS * 512))
                client.close()
        return found


@case.needs_kernel
@case.needs_programs
class CutPools(CutImagesTest):
    def chosen(self, cuts, count, wanted):
        """So many of the cuts that are `wanted` and have something to read, from all over."""
        full = [cut for cut in cuts if wanted(cut) and not cut.needs_check()
                and cut.number("external_sectors") == 0
                and sum(pools.thin_ids(cut.meta).values()) >= 2]
        self.assertGreaterEqual(len(full), count)
        return [full[i * len(full) // count] for i in range(count)]

    def test_cuts_leave_sound_pools(self):
        cuts = self.search("--schedules", SCHEDULES)
        self.assertGreaterEqual(len(cuts), CUTS_LEAST)
        different = {hashlib.md5(cut.meta.read_bytes()).digest() for cut in cuts}
        self.assertGreaterEqual(len(different), CUTS_LEAST // 2)
        for cut in cuts:
            with self.subTest(cut=str(cut.folder)):
                self.assertIsNone(pools.thin_check(cut.meta))
                self.assert_only_lost(cut.meta)
        self.read_by_the_kernel(cuts)
        self.changed_by_the_kernel(cuts)

    # The kernel reads nodes of any size, but would not balance those of six entries with its own.
    def read_by_the_kernel(self, cuts):
        some = self.chosen(cuts, 3, lambda cut: cut.number("fan_out") != 0)
        copies = [cut.pool(self.folder / f"read-{i}") for i, cut in enumerate(some)]
        for cut, pool, (old, _) in zip(some, copies, pools.kernel_uses(copies, SECTORS, False)):
            with self.subTest(cut=str(cut.folder)):
                self.assertEqual(self.our_digests(cut.pool(pool.meta.parent / "ours"), old), old)

    def changed_by_the_kernel(self, cuts):
        some = self.chosen(cuts, 6, lambda cut: cut.number("fan_out") == 0
                           and cut.number("metadata_blocks") >= 64)
        copies = [cut.pool(self.folder / f"changed-{i}") for i, cut in enumerate(some)]
        for cut, pool, (old, new) in zip(some, copies, pools.kernel_uses(copies, SECTORS, True)):
            with self.subTest(cut=str(cut.folder)):
                self.assertEqual(set(old), set(pools.thin_ids(cut.meta)))
                self.assertEqual(self.our_digests(cut.pool(pool.meta.parent / "ours"), old), old)
                self.assertNotEqual(new[min(new)], old[min(old)])
                self.assertIsNone(pools.thin_check(pool.meta))
                self.assert_only_lost(pool.meta)
                self.assertEqual(self.our_digests(pool, new), new)
                self.assertIsNone(pools.thin_check(pool.meta))


@case.needs_programs
class Images(CutImagesTest):
    def test_thin_check_finds_out_a_mutant(self):
        """What the images are worth: of an engine that breaks its commits many are damaged."""
        cuts = self.search("--mutant", MUTANT, "--schedules", 600, "--only-checker", "endless")
        damaged = [cut for cut in cuts if pools.thin_check(cut.meta) is not None]
        self.assertGreaterEqual(len(damaged), 3)
        for cut in damaged:
            self.assertEqual(server.check_thin(cut.meta)[0], 2)

    def test_a_finding_is_replayed_with_its_images(self):
        status, said, _ = wavetank(
            "search", "--mutant", MUTANT, "--workload", WITH_A_CUT, "--only-checker", "thin_image",
            "--shrink-time", 3, "--json", "--out", self.folder / "out")
        self.assertEqual(status, 1, said)
        found = json.loads(said)["findings"][0]["folder"]
        images = self.folder / "images"
        status, said, complaint = wavetank("replay", found, "--json", "--images", images)
        self.assertEqual(status, 1, said + complaint)
        report = json.loads(said)
        self.assertTrue(report["as_recorded"])
        cuts = cuts_below(images)
        self.assertEqual([cut.folder.name for cut in cuts], ["cut-1"])
        self.assertEqual(report["cuts"], 1)
        self.assertIsNotNone(pools.thin_check(cuts[0].meta))
        blocks = cuts[0].number("data_device_blocks")
        self.assertGreaterEqual(cuts[0].data.stat().st_size,
                                blocks * cuts[0].number("block_sectors") * 512)
        before = {cut.meta: cut.meta.read_bytes() for cut in cuts}
        status, said, complaint = wavetank("replay", found, "--images", images)
        self.assertEqual((status, complaint), (2, f"wavetank: {images}: holds something already: "
                                                  "images want an empty folder\n"))
        self.assertEqual({path: path.read_bytes() for path in before}, before)

    def test_images_are_the_same_whoever_writes_them(self):
        for jobs in (1, 3):
            wavetank("search", "--scenario", "stack-general", "--schedules", 60, "--no-folder",
                     "--jobs", jobs, "--images", self.folder / str(jobs))
        found = {}
        for jobs in (1, 3):
            files = sorted((self.folder / str(jobs)).glob("**/*.img"))
            found[jobs] = [(file.relative_to(self.folder / str(jobs)),
                            hashlib.md5(file.read_bytes()).digest()) for file in files]
        self.assertEqual({file.name for file, _ in found[1]},
                         {"metadata.img", "cache_metadata.img", "fast.img", "data.img"})
        self.assertEqual(found[1], found[3])

    def test_a_folder_that_cannot_be(self):
        file = self.folder / "file"
        file.write_text("mine")
        status, said, complaint = wavetank("search", "--schedules", 5, "--no-folder", "--images",
                                           file / "images")
        self.assertEqual((status, said), (2, ""))
        self.assertEqual(complaint, f"wavetank: {file / 'images'}: {file} is no folder\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
