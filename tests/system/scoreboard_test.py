#!/usr/bin/env python3
"""The scoreboard finds what is quick to find, counts what it does not find, and writes its three
forms; wrong names are refused."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WAVETANK_BUILD", SOURCE / "build" / "release"))


def scoreboard(*arguments):
    return subprocess.run([str(BUILD / "wavetank"), "scoreboard", "--jobs", "1", *arguments],
                          capture_output=True, text=True, check=False)


def main():
    if not (BUILD / "wavetank").is_file():
        print(f"skipped: {BUILD} has no wavetank")
        return 0
    with tempfile.TemporaryDirectory() as out:
        done = scoreboard("--mutants", "S5,B002", "--strategies", "random,surw", "--seeds", "2",
                          "--schedules", "3", "--json", "--out", out)
        assert done.returncode == 0, done.stderr
        board = json.loads(done.stdout)
        s5, b002 = board["mutants"]
        assert [score["strategy"] for score in s5["scores"]] == ["random", "surw"]
        for score in s5["scores"]:
            assert score["seeds"] == 2 and len(score["schedules"]) == 2, score
            assert score["noticed_by"].startswith("atomic-context"), score
        # Three schedules are too few for this one: it must count as not found, not as found late.
        assert all(score["seeds"] == 2 for score in b002["scores"])
        assert all(1 <= n <= 3 for score in b002["scores"] for n in score["schedules"]), b002
        folder = pathlib.Path(out)
        assert json.loads((folder / "scoreboard.json").read_text()) == board
        assert "S5-rcu-held-while-processing" in (folder / "scoreboard.txt").read_text()
        xml.etree.ElementTree.parse(folder / "scoreboard.svg")
    for wrong in (["--mutants", "nonsense"], ["--mutants", "S5", "--strategies", "nonsense"]):
        done = scoreboard(*wrong)
        assert done.returncode == 2 and "nonsense" in done.stderr, done
    print("the scoreboard counts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
