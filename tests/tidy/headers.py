"""Checks that each header compiles by itself.

usage: headers.py BUILD [FOLDER ...]. Takes compiler and flags from BUILD/compile_commands.json, of a
source beside the header or of its layer. Runs through ccache, so that only changed headers cost.
Prints the first error of each that fails; exit 1 if there is any.
"""

import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import tree


def commands_of(build):
    """folder -> the arguments that compile a source in it, without input and output."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        words = shlex.split(entry["command"])
        kept, skip = [], False
        for word in words:
            if skip or word == "-c":
                skip = False
            elif word in ("-o", "-MF", "-MT", "-MQ"):
                skip = True
            elif word != entry["file"] and word not in ("-MD", "-MMD"):
                kept.append(word)
        found.setdefault(str(pathlib.Path(entry["file"]).parent), kept)
    return found


def command_for(header, root, commands):
    """The flags of the nearest folder upwards that has a source; else of any in the same tree."""
    folder = (root / header).parent
    while folder != root:
        if str(folder) in commands:
            return commands[str(folder)]
        folder = folder.parent
    top = str(root / header.split("/")[0])
    near = [c for f, c in sorted(commands.items()) if f.startswith(top)]
    return near[0] if near else next(iter(commands.values()))


def compile_alone(header, root, build, commands):
    """The header's first error, or None."""
    unit = build / "headers" / (header.replace("/", "_") + ".cc")
    text = f'#include "{header}"\n#include "{header}"   // twice: guarded\n'
    if not unit.exists() or unit.read_text() != text:
        unit.write_text(text)
    launcher = ["ccache"] if shutil.which("ccache") else []
    command = [*launcher, *command_for(header, root, commands), "-O0", "-g0", "-c", str(unit), "-o",
               str(unit.with_suffix(".o"))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=build)
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    return f"{header}: does not compile alone: {errors[0] if errors else done.stderr.strip()}"


def check(root, build, folders):
    commands = commands_of(build)
    (build / "headers").mkdir(exist_ok=True)
    headers = [p for p in tree.cxx_files(root, folders) if p.endswith(".h")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(compile_alone, h, root, build, commands) for h in headers]
        return len(headers), [found for found in (job.result() for job in jobs) if found]


def main(arguments):
    root = pathlib.Path(__file__).resolve().parents[2]
    build = pathlib.Path(arguments[0]).resolve()
    count, found = check(root, build, arguments[1:] or tree.FOLDERS)
    print("\n".join(found) if found else f"{count} headers compile alone")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
