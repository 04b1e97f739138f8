"""Checks what the engine's archive asks of the outside, by the linker's own account.

usage: symbols.py ARCHIVE. Every symbol that the archive needs and does not define must match the
list below: a new need is a decision, made here. Prints one line a violation; exit 1 if there is any.
"""

import re
import subprocess
import sys

# Denied by name although a pattern below would let them pass. pattern -> why.
DENIED = {
    r"::now\(\)": "a clock",
    r"std::(thread|jthread|random_device|condition_variable|this_thread|future|filesystem)": "a world of its own",
    r"std::basic_(file|filebuf|ifstream|ofstream|fstream|ostream|istream)|std::(cout|cerr|clog)": "a file",
    r"std::_V2::(system|steady)_clock": "a clock",
}

# Allowed from any object. pattern -> what for.
ALLOWED = {
    r"operator (new|delete)(\[\])?\(.*": "memory",
    r"(mem(cpy|move|set|cmp|chr)|str(len|cmp|ncmp))": "bytes",
    r"__(cxa_(guard_(acquire|release|abort)|atexit|pure_virtual|throw_bad_array_new_length"
    r"|begin_catch|end_catch|rethrow|allocate_exception|free_exception|throw|call_unexpected))":
        "the language: static initialisation, pure virtuals, unwinding in the library's templates",
    r"__(gxx_personality_v0|stack_chk_fail|dso_handle|tls_get_addr)|_Unwind_Resume": "the language",
    r"(vtable|typeinfo|VTT) for (std::|__cxxabiv1::|fmt::).*": "the language",
    r"std::__throw_\w+\(.*|std::__glibcxx_assert_fail.*": "the library's own checks",
    r"(.* )?std::(__cxx11::)?basic_string<.*|std::__cxx11::to_string.*": "strings",
    r"std::_Rb_tree_\w+\(.*|std::(__)?detail::(_List_node_base|_Prime_rehash_policy)::.*"
    r"|std::__detail::.*|std::_Hash_bytes\(.*": "containers",
    r"std::(exception|bad_\w+|logic_error|length_error|out_of_range|runtime_error)::.*": "exceptions",
    r"std::(to_chars|from_chars)\(.*": "numbers",
    r"std::nothrow|std::get_new_handler\(\)": "memory",
    r"__\w+[sdt]i[234]|snprintf": "arithmetic (libgcc), and fmt's floating point",
    r"std::terminate\(\)": "what the compiler calls where an exception meets noexcept",
    r"__assert_fail": "assertions inside header libraries (Boost); ours are ENGINE_CHECK",
    r"(?!.*\b(v?print|output_file)\b)(.* )?fmt::v\d+::.*": "formatting, but into memory",
    r"crc32_iscsi": "CRC-32C (isa-l)",
    r"(make|jump|ontop)_fcontext": "switching stacks (Boost.Context)",
    r"_GLOBAL_OFFSET_TABLE_": "the linker",
}

# Allowed from one object only. (object, pattern) -> what for.
ALLOWED_FROM = {
    ("stack_pool.cc.o", r"mmap|munmap|mprotect|madvise|sysconf|getpagesize"): "guarded stacks",
    ("check.cc.o", r"abort|fputs|fwrite|fflush|stderr|backtrace\w*|fmt::v\d+::v?print\(.*"):
        "the last words of a failed check",
}


def read_symbols(archive):
    """(object, letter, name) of each symbol, as nm -C has them."""
    text = subprocess.run(["nm", "-C", archive], capture_output=True, text=True, check=True).stdout
    member = "?"
    for line in text.splitlines():
        if line.endswith(":") and " " not in line:
            member = line[:-1]
            continue
        match = re.match(r"[0-9a-f ]{16} (\w) (.*)", line)
        if match:
            yield member, match.group(1), match.group(2)


def violations(symbols):
    symbols = list(symbols)
    defined = {name for _, letter, name in symbols if letter not in "Uwv"}
    seen = set()
    for member, letter, name in symbols:
        if letter != "U" or name in defined or (member, name) in seen:
            continue
        seen.add((member, name))
        why = next((why for pattern, why in DENIED.items() if re.search(pattern, name)), None)
        if why:
            yield f"{member}: {name}: {why}"
        elif not is_allowed(member, name):
            yield f"{member}: {name}: the engine reaches out of the seam"


def is_allowed(member, name):
    if any(re.fullmatch(pattern, name) for pattern in ALLOWED):
        return True
    return any(member == where and re.fullmatch(pattern, name) for where, pattern in ALLOWED_FROM)


def main(arguments):
    symbols = list(read_symbols(arguments[0]))
    if not any(letter in "TW" for _, letter, _ in symbols):
        print(f"{arguments[0]}: no code in it")
        return 1
    found = sorted(violations(symbols))
    print("\n".join(found) if found else "the engine asks for nothing but the seam")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
