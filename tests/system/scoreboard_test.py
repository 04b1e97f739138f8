#!/usr/bin/env python3
"""The scoreboard finds what is quick to find, counts what it does not find, and writes its three
forms; one that was stopped goes on; wrong names and boards are refused."""
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


# A row that is there is taken as it is, to the time that it took.
def goes_on():
    common = ("--strategies", "random", "--seeds", "1", "--schedules", "3")
    with tempfile.TemporaryDirectory() as out:
        file = pathlib.Path(out) / "scoreboard.json"
        resume = ("--resume", "--out", out)
        done = scoreboard(*common, "--mutants", "S5", *resume)
        assert done.returncode == 0 and "found by half of the seeds, of 1" in done.stdout, done
        first = json.loads(file.read_text())["mutants"][0]
        first["scores"][0]["seconds"] = 1234.5
        board = json.loads(file.read_text()) | {"mutants": [first]}
        file.write_text(json.dumps(board))
        done = scoreboard(*common, "--mutants", "B002,S5", *resume)
        assert done.returncode == 0, done
        board = json.loads(file.read_text())
        assert board["mutants"][1] == first and len(board["mutants"]) == 2, board
        for damaged in ("{", "[]", '{"mutants": 7}', file.read_text().replace('"random"', "3", 1)):
            file.write_text(damaged)
            done = scoreboard(*common, "--mutants", "S5", *resume)
            assert done.returncode == 2 and str(file) in done.stderr, done
            assert done.stderr.count("\n") == 1 and file.read_text() == damaged, done
        file.write_text(json.dumps(board))
        done = scoreboard("--strategies", "random", "--seeds", "2", "--schedules", "3",
                          "--mutants", "S5", *resume)
        assert done.returncode == 2 and "other strategies, seeds" in done.stderr, done
        assert json.loads(file.read_text()) == board
    done = scoreboard("--resume", "--mutants", "S5")
    assert done.returncode == 2 and "--out" in done.stderr, done


# Of many mutants there is a curve a strategy, which rises by one at each median.
def many_are_drawn_as_curves():
    listed = subprocess.run([str(BUILD / "wavetank"), "list", "mutants", "--json"],
                            capture_output=True, text=True, check=True)
    mutants = json.loads(listed.stdout)[:30]
    medians = {"random": range(1, 21), "surw": range(1, 31)}
    rows = [{"mutant": mutant["name"], "scenario": mutant["general"], "error": "",
             "scores": [{"strategy": name, "seeds": 1, "seconds": 1.0, "noticed_by": "lab",
                         "schedules": [at[i]] if i < len(at) else []}
                        for name, at in medians.items()]} for i, mutant in enumerate(mutants)]
    with tempfile.TemporaryDirectory() as out:
        folder = pathlib.Path(out)
        (folder / "scoreboard.json").write_text(json.dumps(
            {"seeds": 1, "schedules": 100, "strategies": list(medians), "mutants": rows}))
        done = scoreboard("--mutants", ",".join(each["name"] for each in mutants), "--strategies",
                          ",".join(medians), "--seeds", "1", "--schedules", "100", "--resume",
                          "--out", out)
        assert done.returncode == 0, done
        totals = done.stdout.splitlines()[-1].split()
        assert totals[-3:] == ["30", "20", "30"], totals
        drawn = xml.etree.ElementTree.parse(folder / "scoreboard.svg")
        paths = [each.get("d") for each in drawn.iter("{http://www.w3.org/2000/svg}path")]
        assert [path.count("V") for path in paths] == [20, 30], paths


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
    goes_on()
    many_are_drawn_as_curves()
    for wrong in (["--mutants", "nonsense"], ["--mutants", "S5", "--strategies", "nonsense"]):
        done = scoreboard(*wrong)
        assert done.returncode == 2 and "nonsense" in done.stderr, done
    print("the scoreboard counts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
