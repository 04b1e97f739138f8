#!/usr/bin/env python3
"""The tank built with ThreadSanitizer: a planted unlocked access is reported, the engine is clean."""
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
    def test_the_engine_is_clean(self):
        done = search("--schedules", 60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr[-4000:])

    def test_a_planted_race_is_reported(self):
        done = search("--schedules", 200, "--mutant", PATCH)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr[-4000:])
        self.assertIn("data race", done.stderr)
        self.assertIn("thin_device.cc", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
