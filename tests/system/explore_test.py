#!/usr/bin/env python3
"""Small workloads are explored to the end: the engine is clean, and each mutant is found (of all
rows, or those named). One with power cuts opens every image that they leave. What is found replays."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WAVETANK_BUILD", SOURCE / "build" / "release"))
# Workload, further arguments, mutant, who notices.
ROWS = [
    ("S1", ["--preemptions", "0"], "S1", "checker cache_policy"),
    ("S2", ["--preemptions", "0"], "S2", "checker lab"),
    ("S3", ["--preemptions", "0"], "S3", "checker lower_device"),
    ("S4", ["--preemptions", "0"], "S4", "checker data_oracle"),
    ("S5", ["--preemptions", "1"], "S5", "atomic-context"),
    ("cut", ["--cuts"], "B072", "checker"),
    ("cuts-and-schedules", ["--preemptions", "0", "--faults", "1"], "B072", "checker"),
]


def wavetank(*arguments):
    return subprocess.run([str(BUILD / "wavetank"), *arguments], capture_output=True, text=True,
                          check=False)


def explore(out, workload, *arguments):
    done = wavetank("explore", "--workload", str(SOURCE / "scenarios" / "explore" / workload) +
                    ".toml", "--shrink-time", "5", "--out", out, "--json", *arguments)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def clean(out, workload, arguments):
    status, report = explore(out, workload, *arguments)
    assert status == 0 and report["ended"] == "complete" and not report["left_out"], report
    assert report["executions"] > 0, report
    cuts = "--cuts" in arguments or "--faults" in arguments
    assert cuts == (report["images"] > 1), report
    assert cuts or report["naive"] >= report["executions"], report
    return report


def count_faults(out):
    """Faults and power cuts are counted together, a cut after all else is done among them."""
    workload = (SOURCE / "scenarios" / "explore" / "cut.toml").read_text(encoding="utf-8")

    def executions(faults, most, *more):
        text = workload.replace("[[actor]]", f"[faults]\n{faults}\n[[actor]]", 1)
        path = pathlib.Path(out) / "faults.toml"
        path.write_text(text, encoding="utf-8")
        more = more or ("--preemptions", "0")
        more = [*more, "--faults", str(most)] if most is not None else more
        done = wavetank("explore", "--workload", str(path), "--out", out, "--json", *more)
        report = json.loads(done.stdout)
        assert done.returncode == 0 and report["ended"] == "complete", done
        return report["executions"], report["cuts"]

    cut, error = "power_cuts = 1", "data_write_errors = 1"
    both = f"{cut}\n{error}"
    [(none, no_cut)] = {executions(each, 0) for each in (cut, error, both)}
    assert no_cut == 0, no_cut
    cuts, errors, either = (executions(each, 1) for each in (cut, error, both))
    assert none < errors[0] and errors[1] == 0 and cuts[0] == none + cuts[1], (cuts, errors)
    assert either == (cuts[0] + errors[0] - none, cuts[1]), (either, cuts, errors)
    one_more = executions(both, 2)
    assert one_more > either, (one_more, either)
    # The same of --cuts, which brings the cut itself.
    assert executions(error, None, "--cuts") == cuts
    assert executions(error, 1, "--cuts") == either
    assert executions(error, 2, "--cuts") == one_more


def short_of_memory(out):
    """What cannot be remembered is explored again: the same verdict, which says so."""
    bounds = ["--preemptions", "0"]
    all_of_it = clean(out, "S3", bounds)
    assert all_of_it["states_forgotten"] == all_of_it["classes_forgotten"] == 0, all_of_it
    forgetful = clean(out, "S3", [*bounds, "--memory", "0"])
    assert forgetful["states_forgotten"] > 0 and forgetful["classes_forgotten"] > 0, forgetful
    assert forgetful["executions"] > all_of_it["executions"], (forgetful, all_of_it)
    told = wavetank("explore", "--workload", str(SOURCE / "scenarios" / "explore" / "S3.toml"), *bounds,
                    "--memory", "0", "--out", out)
    assert told.returncode == 0 and "some may be equivalent" in told.stdout, told
    assert "memory was short (--memory)" in told.stdout, told
    status, bad = explore(out, "S3", *bounds, "--memory", "0", "--mutant", "S3")
    assert status == 1 and bad["signature"].startswith("checker lower_device"), bad


def no_folder(out):
    """What is found is told, and nothing is written: it may not even be possible."""
    nowhere = pathlib.Path(out) / "file"
    nowhere.write_text("no folder", encoding="utf-8")
    arguments = ["explore", "--workload", str(SOURCE / "scenarios" / "explore" / "S5.toml"),
                 "--mutant", "S5", "--out", str(nowhere)]
    refused = wavetank(*arguments)
    assert refused.returncode == 2 and str(nowhere) in refused.stderr, refused
    told = wavetank(*arguments, "--no-folder")
    assert told.returncode == 1 and "found: atomic-context" in told.stdout, told
    assert "replay" not in told.stdout and not told.stderr, told
    told = wavetank(*arguments, "--no-folder", "--json")
    report = json.loads(told.stdout)
    assert report["signature"].startswith("atomic-context") and "folder" not in report, report


def main(mutants):
    if not (BUILD / "wavetank").is_file():
        print(f"skipped: {BUILD} has no wavetank")
        return 0
    with tempfile.TemporaryDirectory() as out:
        for workload, arguments, mutant, by in ROWS:
            report = clean(out, workload, arguments)
            found = ""
            if not mutants or mutant in mutants:
                status, bad = explore(out, workload, *arguments, "--mutant", mutant)
                assert status == 1 and bad["signature"].startswith(by), bad
                again = wavetank("replay", bad["folder"])
                assert again.returncode == 1 and "as recorded" in again.stdout, again
                if "--cuts" in arguments:
                    # Decided late, and the image is one that thin_check refuses, too.
                    images = pathlib.Path(out) / "images"
                    wavetank("replay", bad["folder"], "--images", str(images))
                    checked = subprocess.run(["thin_check", str(images / "cut-1" / "metadata.img")],
                                             capture_output=True, check=False)
                    assert checked.returncode == 1, checked
                found = f"; {mutant} found: {bad['signature']}"
            print(f"{workload} {' '.join(arguments)}: complete, {report['executions']} executions, "
                  f"{report['cut_short']} cut short, {report['images']} images, "
                  f"naive {report['naive']:.0f}, {report['seconds']:.1f} s{found}")
        # However many processes, the same executions; and what each actor saw agrees.
        alone = clean(out, "S4", ["--preemptions", "0", "--jobs", "1", "--check"])
        together = clean(out, "S4", ["--preemptions", "0", "--jobs", "3"])
        assert alone["executions"] == together["executions"], (alone, together)
        assert alone["contradictions"] == 0, alone
        # Image by image there are as many as those that are looked into stand for.
        by_reading = clean(out, "cut", ["--cuts"])
        by_image = clean(out, "cut", ["--cuts", "--every-image"])
        assert by_image["cuts"] == by_image["images_alike"] == by_reading["images_alike"], by_image
        assert by_reading["cuts"] * 10 < by_image["cuts"], (by_reading, by_image)
        # However many processes, and with schedules to choose from that make no difference.
        counts = ("executions", "cuts", "images", "images_alike")
        for workload, arguments in (("cut", ["--cuts", "--preemptions", "0"]),
                                    ("cuts-and-schedules", ["--preemptions", "0", "--faults", "1"])):
            alone, together = (clean(out, workload, [*arguments, "--jobs", jobs])
                               for jobs in ("1", "3"))
            assert [alone[it] for it in counts] == [together[it] for it in counts], (alone, together)
            if workload == "cut":
                assert all(alone[it] == by_reading[it] for it in counts[1:]), (alone, by_reading)
        count_faults(out)
        short_of_memory(out)
        status, bad = explore(out, "cut", "--cuts", "--every-image", "--mutant", "B072")
        assert status == 1 and bad["signature"].startswith("checker"), bad
        for scenario in ("thin-general", "cache-general", "stack-general"):
            done = wavetank("explore", "--scenario", scenario, "--cuts", "--workloads", "2",
                            "--operations", "3", "--executions", "2000", "--json", "--out", out)
            report = json.loads(done.stdout)
            assert done.returncode == 0 and len(report["each"]) == 2, (done, report)
            assert all(each["cuts"] > 0 for each in report["each"]), report
        small = wavetank("explore", "--scenario", "thin-discard-passdown", "--workloads", "3",
                         "--preemptions", "0", "--json", "--out", out)
        report = json.loads(small.stdout)
        assert small.returncode == 0 and report["complete"] == len(report["each"]) == 3, report
        assert len({each["toml"] for each in report["each"]}) == 3, report
        status, report = explore(out, "S3", "--preemptions", "2", "--executions", "50", "--jobs", "1")
        assert status == 0 and report["ended"] == "executions" and 0 < report["done"] < 1, report
        assert report["executions"] == 50 and report["cut_short"] > 0, report
        no_folder(out)
    for arguments, complaint in (
            (["--every-image"], "--every-image needs --cuts or --faults"),
            (["--cuts", "--faults", "0"], "--faults 0 leaves --cuts no cut"),
            (["--cuts", "--timers"], "--timers needs --preemptions"),
            (["--cuts", "--retries", "1"], "--retries needs --preemptions")):
        wrong = wavetank("explore", "--workload", "nonsense.toml", *arguments)
        assert wrong.returncode == 2 and complaint in wrong.stderr, wrong
        assert wrong.stderr.count("\n") == 1 and not wrong.stdout, wrong
    wrong = wavetank("explore", "--workload", "nonsense.toml")
    assert wrong.returncode == 2 and "nonsense" in wrong.stderr, wrong
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
