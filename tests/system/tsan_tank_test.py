#!/usr/bin/env python3
"""The tank built with ThreadSanitizer reports a planted unlocked access. (That the engine is clean is
for the tests clean_*, in every preset.)"""
import os
import pathlib
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WAVETANK_BUILD", SOURCE / "build" / "tsan"))
PATCH = pathlib.Path(__file__).resolve().parent / "tsan" / "planted-race.patch"


def search(*words):
    with tempfile.TemporaryDirectory() as out:
        return subprocess.run(
            [BUILD / "wavetank", "search", "--scenario", "thin-general", "--quiet", "--jobs", "2",
             "--shrink-time", "1", "--out", out, *map(str, words)],
            capture_output=True, text=True, timeout=500, check=False)


class TsanTank(unittest.TestCase):
    def test_a_planted_race_is_reported(self):
        done = search("--schedules", 200, "--mutant", PATCH)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr[-4000:])
        self.assertIn("data race", done.stderr)
        self.assertIn("thin_device.cc", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
