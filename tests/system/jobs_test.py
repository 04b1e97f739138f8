#!/usr/bin/env python3
"""What a search finds does not depend on how many workers it has: the same digest when nothing is
found, the same first schedule otherwise, and that one replays. For a strategy that goes by its seed
alone, and for those that learn from one schedule for the next. Nor do the images of its power cuts."""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WAVETANK_BUILD", SOURCE / "build" / "release"))
STRATEGIES = ("pos", "surw", "guided", "portfolio")


def wavetank(*arguments):
    return subprocess.run([str(BUILD / "wavetank"), *arguments], capture_output=True, text=True,
                          check=False)


def search(jobs, strategy, *arguments):
    done = wavetank("search", "--jobs", str(jobs), "--strategy", strategy, "--json", "--quiet",
                    "--shrink-time", "0", *arguments)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def images(out, jobs):
    """Of the power cuts of a search that ends with a finding: each file with its contents."""
    folder = pathlib.Path(out) / f"images-{jobs}"
    report = search(jobs, "pos", "--scenario", "thin-general", "--mutant", "S3", "--no-folder",
                    "--schedules", "3000", "--images", str(folder))
    [finding] = report["findings"]
    files = {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest()
             for path in folder.glob("**/*") if path.is_file()}
    assert report["cuts"] == len(list(folder.glob("schedule-*/cut-*"))) > 3, report
    last = max(int(path.name.removeprefix("schedule-")) for path in folder.iterdir())
    assert last <= finding["schedule"], (last, finding)
    return finding, files


def main():
    if not (BUILD / "wavetank").is_file():
        print(f"skipped: {BUILD} has no wavetank")
        return 0
    with tempfile.TemporaryDirectory() as out:
        for strategy in STRATEGIES:
            # More than two rounds.
            clean = {search(jobs, strategy, "--schedules", "600", "--out", out)["digest"]
                     for jobs in (1, 2, 3)}
            assert len(clean) == 1, (strategy, clean)
            first = set()
            for jobs in (1, 3):
                report = search(jobs, strategy, "--mutant", "B002", "--schedules", "3000",
                                "--out", out)
                [finding] = report["findings"]
                first.add((finding["signature"], finding["schedule"]))
                again = wavetank("replay", "--json", finding["folder"])
                assert again.returncode == 1 and json.loads(again.stdout)["as_recorded"], again
            assert len(first) == 1, (strategy, first)
            print(strategy, *first)
        alone, together = images(out, 1), images(out, 3)
        assert alone == together, (alone, together)
    return 0


if __name__ == "__main__":
    sys.exit(main())
