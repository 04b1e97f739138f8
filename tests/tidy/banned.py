"""Checks that engine/ names nothing that would make a run depend on more than its seed.

usage: banned.py ROOT. Prints one line a violation; exit 1 if there is any. What the compiler links
in unnamed is symbols.py's business.
"""

import pathlib
import re
import sys

import tree

# pattern -> why not, and what instead.
ENGINE = {
    r"std::(thread|jthread|this_thread|async|future|promise)\b|pthread_":
        "threads belong to an Executor; spawn a fiber",
    r"std::(recursive_|timed_|shared_)*mutex\b|std::condition_variable|std::(counting|binary)_semaphore":
        "blocks the thread under all its fibers; use engine/fiber",
    r"std::chrono::(system|steady|high_resolution|file|utc)_clock|\bclock_gettime\b|\bgettimeofday\b"
    r"|\bstd::time\b|\brdtsc":
        "time comes from the Executor's clock",
    r"\b(s?rand|random|drand48|getrandom)\s*\(|std::(random_device|mt19937(_64)?|minstd_rand0?"
    r"|default_random_engine)|std::\w+_distribution\b|std::(shuffle|sample|random_shuffle)\b":
        "free decisions come from the Executor, which records them",
    r"\b(secure_)?getenv\b": "options come from the table line or from Env",
    r"\bcatch\s*\(": "a suspended fiber is unwound by an exception; errors are values",
    r"\bthrow\b": "errors are values",
    r"#\s*(el)?if(n?def)?\b.*\b(\w*SIM\w*|\w*MUTANT\w*|\w*UNIT_TEST\w*|\w*TESTING\w*)\b":
        "one engine: it does not know which world it runs in",
    r"absl::(flat|node|btree|Hash)": "absl seeds its hashes per process",
    r"std::(unordered_)?(multi)?(map|set)<\s*(const\s+)?[\w:]+(<[^<>]*>)?\s*(const\s*)?\*":
        "ordered or hashed by address; key by an id",
    r"std::(hash|less|greater|owner_less)<\s*(const\s+)?[\w:]+\s*(const\s*)?\*":
        "ordered or hashed by address; key by an id",
    r"std::(cout|cerr|clog|printf|fprintf|[io]?fstream)\b|\bfopen\s*\(":
        "the engine speaks through Env",
    r"\b(io_uring|syscall)\w*\s*\(|(?<![\w>])::(open|read|write|pread|pwrite|socket|ioctl)\s*\(":
        "devices come from Env",
    r"\bassert\s*\(": "ENGINE_CHECK is on in every build",
    r"std::(exit|quick_exit|abort|terminate)\b|(?<![\w>])::abort\b": "ENGINE_CHECK reports and ends",
    r"\bthread_local\b": "a fiber's own state is in the fiber; only engine/fiber knows the thread",
    r"\bvolatile\b": "says nothing about order; use engine/fiber/atomic.h",
}

# (path prefix, word) -> why it stands.
ALLOWED = {
    ("engine/base/check.cc", "thread_local"): "where a failed check reports to, found from anywhere",
    ("engine/base/check.", "abort"): "this is where ENGINE_CHECK ends",
    ("engine/fiber/", "thread_local"): "the fiber that runs on this thread",
}

# In any file of the project, documentation and scripts too.
ANYWHERE = {
    r"(?<![\w./$}])/(home/\w+|root|work|Users/\w+)/": "a path of somebody's machine",
}
TEXT_SUFFIXES = (".cc", ".h", ".md", ".py", ".sh", ".txt", ".cmake", ".json", ".toml", ".patch")


def allowed(path, word):
    return any(path.startswith(prefix) and name in word for prefix, name in ALLOWED)


def violations_of(path, text):
    code = tree.code_only(text)
    for pattern, why in ENGINE.items():
        for match in re.finditer(pattern, code):
            word = match.group(0).strip()
            if not allowed(path, word):
                line = code.count("\n", 0, match.start()) + 1
                yield f"{path}:{line}: {word}: {why}"


def text_violations_of(path, text):
    for pattern, why in ANYWHERE.items():
        for match in re.finditer(pattern, text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {match.group(0)}: {why}"


def check(root):
    root = pathlib.Path(root)
    for path in tree.cxx_files(root, ("engine",)):
        yield from violations_of(path, (root / path).read_text())
    for top in (*tree.FOLDERS, "docs", "cmake", "README.md", "CMakeLists.txt"):
        start = root / top
        files = [start] if start.is_file() else sorted(start.rglob("*"))
        for file in files:
            if file.suffix in TEXT_SUFFIXES and file.is_file() and file.name != "selftest.py":
                yield from text_violations_of(file.relative_to(root).as_posix(),
                                              file.read_text(errors="replace"))


def main(arguments):
    found = list(check(arguments[0]))
    print("\n".join(found) if found else "nothing banned is named")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
