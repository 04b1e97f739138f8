"""The base of the system tests: a folder for files, and the programs under test."""

import os
import pathlib
import shutil
import unittest

from harness import kernel

# Both set by ctest; by hand, `WAVETANK_BUILD=build/release python3 tests/system/X_test.py`.
BUILD = pathlib.Path(os.environ.get("WAVETANK_BUILD", "build/release")).resolve()
FOLDER = pathlib.Path(os.environ.get("WAVETANK_TEST_FOLDER", BUILD / "system-tests")).resolve()


def program(name):
    """The path of one of our programs, or None while it is not built."""
    path = BUILD / name
    return path if os.access(path, os.X_OK) else None


def needs_kernel(test):
    return unittest.skipUnless(kernel.available(), "no user-mode Linux here")(test)


def needs_programs(test):
    return unittest.skipUnless(program("wavetank") and program("wavetankd"),
                               "wavetank and wavetankd are not built")(test)


class SystemTest(unittest.TestCase):
    """Each test gets an empty folder, which stays when it fails."""

    def setUp(self):
        self.folder = FOLDER / self.id().removeprefix("__main__.")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def tearDown(self):
        outcome = self._outcome.result
        if not any(test is self for test, _ in outcome.failures + outcome.errors):
            shutil.rmtree(self.folder, ignore_errors=True)
