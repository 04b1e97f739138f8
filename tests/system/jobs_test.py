#!/usr/bin/env python3
"""What a search says does not depend on how many workers it has: the same first schedule that fails,
which replays, and the same counts and digest of all up to it, or of all when none does. For a
strategy that goes by its seed alone, and for those that learn from one schedule for the next. Nor do
the images of its power cuts. Nor does any of that depend on whether somebody kills a worker."""
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

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


def counts_of(report):
    return tuple(report[each] for each in ("schedules", "points", "distinct", "digest"))


def workers_of(process):
    path = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def killing_a_worker(*arguments):
    """The report, and what was said, of a run one of whose workers is killed when it has been at work
    for a moment, unless it has just ended."""
    with subprocess.Popen([str(BUILD / "wavetank"), *arguments, "--jobs", "2", "--json"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while len(workers_of(process)) < 2:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.001)
        time.sleep(0.1)
        with contextlib.suppress(IndexError, ProcessLookupError):
            os.kill(workers_of(process)[0], signal.SIGKILL)
        out, err = process.communicate()
    assert process.returncode == 0, (out, err)
    return json.loads(out), err


def with_a_worker_killed(*arguments):
    for _ in range(20):
        report, said = killing_a_worker(*arguments)
        if "killed" in said:
            break
    assert "was killed by signal 9 and does not die of it again; gone on" in said, said
    return report


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
            clean = {counts_of(search(jobs, strategy, "--schedules", "600", "--out", out))
                     for jobs in (1, 2, 3)}
            assert len(clean) == 1, (strategy, clean)
            first = set()
            for jobs in (1, 3):
                report = search(jobs, strategy, "--mutant", "B002", "--schedules", "3000",
                                "--out", out)
                [finding] = report["findings"]
                first.add((finding["signature"], finding["schedule"], *counts_of(report)))
                assert report["schedules"] == finding["schedule"] + 1, report
                again = wavetank("replay", "--json", finding["folder"])
                assert again.returncode == 1 and json.loads(again.stdout)["as_recorded"], again
            assert len(first) == 1, (strategy, first)
            print(strategy, *first)
        alone, together = images(out, 1), images(out, 3)
        assert alone == together, (alone, together)
        arguments = ("--scenario", "thin-general", "--schedules", "2500", "--out", out)
        expected = counts_of(search(1, "portfolio", *arguments))
        report = with_a_worker_killed("search", *arguments, "--quiet")
        assert counts_of(report) == expected, (report, expected)
        arguments = ("--workload", str(SOURCE / "scenarios/explore/S1.toml"), "--preemptions", "0")
        report = with_a_worker_killed("explore", *arguments, "--no-folder")
        assert report["ended"] == "complete" and report["executions"] == 292, report
    return 0


if __name__ == "__main__":
    sys.exit(main())
