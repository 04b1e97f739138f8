"""Checks every #include against the table of layers, in docs/architecture.md.

usage: layers.py ROOT. Prints one line a violation; exit 1 if there is any.
"""

import pathlib
import sys

import tree

SEAM = ("engine/base/", "engine/fiber/", "engine/env/")
DATA = (*SEAM, "engine/io/", "engine/pdata/")

# folder -> what its files may include of the project, beside themselves. The longest prefix rules.
MAY_INCLUDE = {
    "engine/base/": (),
    "engine/fiber/": ("engine/base/",),
    "engine/env/": ("engine/base/", "engine/fiber/"),
    "engine/io/": SEAM,
    "engine/pdata/": SEAM,
    "engine/thin/": DATA,
    "engine/cache/": DATA,
    "engine/dm/": (*DATA, "engine/thin/", "engine/cache/"),
    "traces/": SEAM,
    "sim/": (*SEAM, "traces/"),
    "sim/program/": ("",),          # the files of a program wire: they may include anything
    "real-io/": (*SEAM, "traces/"),
    "real-io/program/": ("",),
    # Judges share no code with what they judge: value types and the events of the seam, no more.
    "checkers/": ("engine/base/", "engine/env/", "engine/fiber/event.h"),
    "scenarios/": ("engine/", "checkers/"),
    "tests/": ("",),
}

# Files outside those folders that wire.
WIRING = ("sim/main.cc", "real-io/main.cc")

# Outside the project, engine/ sees header libraries and what of the standard library neither asks
# the world anything nor runs beside it.
ENGINE_LIBRARIES = ("fmt/", "tl/", "boost/context/", "boost/endian/", "boost/intrusive/",
                    "isa-l/", "absl/base/thread_annotations.h", "sanitizer/")
ENGINE_STANDARD_BANNED = {
    "thread", "mutex", "shared_mutex", "condition_variable", "future", "semaphore", "latch",
    "barrier", "stop_token", "random", "fstream", "iostream", "filesystem", "locale", "regex",
    "csignal", "ctime", "iomanip", "sstream",
}
# (file, header) -> why.
ENGINE_EXTRA = {
    ("engine/fiber/stack_pool.cc", "sys/mman.h"): "guard pages under fiber stacks",
    ("engine/fiber/stack_pool.cc", "unistd.h"): "the page size",
}


def rule_for(path):
    """The longest folder of the table that holds `path`, or None."""
    return max((f for f in MAY_INCLUDE if path.startswith(f)), key=len, default=None)


def violations_of(path, text):
    folder = rule_for(path)
    if folder is None:
        yield f"{path}:1: is in no layer of the table"
        return
    for line, header, quoted in tree.includes(text):
        if quoted:
            if path in WIRING:
                continue
            if rule_for(header) != folder and not header.startswith(MAY_INCLUDE[folder]):
                yield f"{path}:{line}: {folder} may not include {header}"
        elif path.startswith("engine/"):
            if (path, header) in ENGINE_EXTRA:
                continue
            standard = "/" not in header and "." not in header
            if standard and header in ENGINE_STANDARD_BANNED:
                yield f"{path}:{line}: engine/ may not include <{header}>"
            if not standard and not header.startswith(ENGINE_LIBRARIES):
                yield f"{path}:{line}: engine/ knows no <{header}>"


def project_headers_quoted(path, text):
    """Project headers by their path from the root and in quotes, so that the table sees them."""
    for line, header, quoted in tree.includes(text):
        top = header.split("/")[0]
        if not quoted and top in tree.FOLDERS:
            yield f"{path}:{line}: write \"{header}\", not <{header}>"
        if quoted and top not in tree.FOLDERS:
            yield f"{path}:{line}: \"{header}\" is not a path from the root of the project"


def check(root):
    for path in tree.cxx_files(root):
        text = (pathlib.Path(root) / path).read_text()
        yield from violations_of(path, text)
        yield from project_headers_quoted(path, text)


def main(arguments):
    found = list(check(arguments[0]))
    print("\n".join(found) if found else "every #include is in its layer")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
