"""The tank's workloads on real threads and files, with the data oracle on: thin pools, caches, stacks."""

import pathlib
import re
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import case

SECONDS = 8
FILES = {"thin-general": ("data", "metadata"),
         "cache-general": ("data", "metadata", "fast"),
         "stack-general": ("data", "metadata", "fast", "cache-metadata")}


@case.needs_programs
class RealScenarios(case.SystemTest):
    def command(self, scenario, *words):
        files = [f"--{name}={self.folder / name}" for name in FILES[scenario]]
        return [case.program("wavetankd"), "run", "--scenario", scenario, *files, *words]

    def run_one(self, scenario, *words):
        return subprocess.run(self.command(scenario, *words), capture_output=True, text=True,
                              timeout=120, check=False)

    def test_nothing_is_found_in_the_engine(self):
        for scenario in FILES:
            with self.subTest(scenario):
                done = self.run_one(scenario, f"--time={SECONDS}", "--reactors=3", "--overwrite")
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                count = re.search(r": (\d+) workloads on 3 threads in .* 0 findings", done.stdout)
                self.assertIsNotNone(count, done.stdout)
                self.assertGreater(int(count[1]), 3)

    def test_a_disk_that_forgets_is_found(self):
        """Somebody writes over the data behind the engine's back: the oracle must say so."""
        for scenario in FILES:
            with self.subTest(scenario):
                command = self.command(scenario, f"--time={SECONDS}", "--overwrite")
                with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True) as running:
                    over = threading.Event()
                    spoiler = threading.Thread(target=self.spoil, args=(over,))
                    spoiler.start()
                    said = running.communicate(timeout=120)[0]
                    over.set()
                    spoiler.join()
                self.assertEqual(running.returncode, 1, said)
                self.assertRegex(said, r"seed \d+: data_oracle: ")

    def spoil(self, over):
        data = self.folder / "data"
        while not over.wait(0.005):
            if not data.exists():
                continue
            with open(data, "r+b") as file:
                size = file.seek(0, 2)
                for at in range(0, min(size, 1 << 20), 4096):
                    file.seek(at)
                    file.write(b"\xa5" * 512)

    def test_what_is_missing_or_in_the_way_is_named(self):
        done = self.run_one("stack-general", "--runs=1")
        self.assertEqual(done.returncode, 0, done.stderr)
        for scenario, word, words in (("stack-general", "cache_metadata", ()),
                                      ("cache-general", "fast", ())):
            files = [f"--{name}={self.folder / name}" for name in ("data", "metadata")]
            command = [case.program("wavetankd"), "run", "--scenario", scenario, *files,
                       "--overwrite", *words]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(word, done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        for name in ("data", "metadata"):   # the runs that were refused have left them as they were
            (self.folder / name).unlink()
        (self.folder / "fast").write_bytes(b"somebody's")
        done = self.run_one("cache-general", "--runs=1")
        self.assertEqual(done.returncode, 2)
        self.assertIn("fast: holds something", done.stderr)
        self.assertEqual((self.folder / "fast").read_bytes(), b"somebody's")


if __name__ == "__main__":
    unittest.main(verbosity=2)
