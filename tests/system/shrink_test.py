#!/usr/bin/env python3
"""What a search reports is small: the two races of which it is promised, from general traffic and from
their aimed scenarios, shrink to a handful of operations and preemptions whatever seed found them.

Seeds 1, 3 and 13 find S3 in a pool that many writes have filled, where neither a write nor a block of the
pool can go without the other."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WAVETANK_BUILD", SOURCE / "build" / "release"))
LARGEST = {"S3": (6, 2), "S5": (4, 1)}   # operations, preemptions
FOUND_BY = (
    ("S3", "thin-general", (1, 3, 13)),
    ("S3", "thin-discard-passdown", (1,)),
    ("S5", "thin-general", (1, 10)),
    ("S5", "thin-worker-iteration", (1,)),
)


def wavetank(*arguments):
    return subprocess.run([str(BUILD / "wavetank"), *map(str, arguments)], capture_output=True,
                          text=True, check=False)


def main():
    if not (BUILD / "wavetank").is_file():
        print(f"skipped: {BUILD} has no wavetank")
        return 0
    too_large = []
    for mutant, scenario, seeds in FOUND_BY:
        for seed in seeds:
            with tempfile.TemporaryDirectory() as out:
                done = wavetank("search", "--mutant", mutant, "--scenario", scenario, "--seed",
                                seed, "--shrink-time", 30, "--json", "--quiet", "--out", out)
                assert done.returncode == 1, (mutant, scenario, seed, done.stderr)
                [finding] = json.loads(done.stdout)["findings"]
                size = finding["operations"], finding["preemptions"]
                again = wavetank("replay", "--json", finding["folder"])
                assert again.returncode == 1 and json.loads(again.stdout)["as_recorded"], again
            print(f"{mutant} {scenario} seed {seed}: {size[0]} operations, {size[1]} preemptions")
            if any(has > most for has, most in zip(size, LARGEST[mutant])):
                too_large.append((mutant, scenario, seed, size))
    assert not too_large, f"larger than {LARGEST}: {too_large}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
