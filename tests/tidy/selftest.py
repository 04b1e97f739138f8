"""The checks of this folder bite: each rule is broken here and must be seen."""

import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import banned
import headers
import layers
import symbols
import tree


class Layers(unittest.TestCase):
    BAD = [
        ("engine/base/a.h", '#include "engine/fiber/mutex.h"'),
        ("engine/fiber/a.h", '#include "engine/env/bio.h"'),
        ("engine/env/a.h", '#include "engine/io/prison.h"'),
        ("engine/io/a.h", '#include "engine/pdata/btree.h"'),
        ("engine/pdata/a.h", '#include "engine/io/prison.h"'),
        ("engine/thin/a.cc", '#include "engine/cache/policy.h"'),
        ("engine/thin/a.cc", '#include "engine/dm/table.h"'),
        ("engine/dm/a.cc", '#include "sim/sim_device.h"'),
        ("engine/dm/a.cc", '  #  include "real-io/ring.h"'),
        ("engine/dm/a.cc", "#include <sim/sim_device.h>"),
        ("sim/a.cc", '#include "engine/thin/pool.h"'),
        ("sim/a.cc", '#include "real-io/ring.h"'),
        ("sim/a.cc", '#include "sim/program/commands.h"'),
        ("real-io/a.cc", '#include "sim/scheduler.h"'),
        ("real-io/a.cc", '#include "checkers/findings.h"'),
        ("traces/a.cc", '#include "sim/scheduler.h"'),
        ("checkers/a.cc", '#include "engine/pdata/btree.h"'),
        ("checkers/a.cc", '#include "sim/sim_device.h"'),
        ("scenarios/thin/a.cc", '#include "sim/sim_device.h"'),
        ("scenarios/a.cc", '#include "traces/writer.h"'),
        ("engine/base/a.h", '#include "check.h"'),
        ("engine/io/a.cc", "#include <thread>"),
        ("engine/io/a.cc", "#include <sys/mman.h>"),
        ("engine/io/a.cc", "#include <liburing.h>"),
        ("engine/io/a.cc", "#include <boost/random.hpp>"),
        ("engine/fiber/stack_pool.cc", "#include <sys/socket.h>"),
        ("engine/new/a.cc", ""),
    ]
    GOOD = [
        ("engine/thin/a.cc", '#include "engine/pdata/btree.h"\n#include <vector>\n'
                             "#include <fmt/format.h>\n// #include <thread>"),
        ("engine/fiber/stack_pool.cc", "#include <sys/mman.h>"),
        ("sim/main.cc", '#include "scenarios/all.h"'),
        ("sim/program/a.cc", '#include "scenarios/all.h"\n#include "sim/program/b.h"'),
        ("sim/a.cc", '#include "traces/writer.h"\n#include <thread>'),
        ("scenarios/a.cc", '#include "engine/dm/system.h"\n#include "checkers/all.h"'),
        ("tests/unit/sim/a.cc", '#include "sim/scheduler.h"\n#include "real-io/ring.h"'),
    ]

    @staticmethod
    def found(path, text):
        return [*layers.violations_of(path, text), *layers.project_headers_quoted(path, text)]

    def test_each_bad_include_is_seen(self):
        for path, text in self.BAD:
            with self.subTest(path=path, text=text):
                self.assertTrue(self.found(path, text))

    def test_good_includes_pass(self):
        for path, text in self.GOOD:
            with self.subTest(path=path, text=text):
                self.assertEqual(self.found(path, text), [])

    def test_says_where(self):
        self.assertEqual(self.found("sim/a.cc", '\n\n#include "engine/io/prison.h"'),
                         ["sim/a.cc:3: sim/ may not include engine/io/prison.h"])


class Banned(unittest.TestCase):
    BAD = [
        "std::thread t;", "std::mutex m;", "std::shared_mutex m;", "std::condition_variable_any c;",
        "auto t = std::chrono::steady_clock::now();", "std::chrono::system_clock::time_point t;",
        "int r = rand();", "srand(1);", "std::random_device d;",
        "std::uniform_int_distribution<int> d;", "std::shuffle(a, b, c);", 'getenv("X");',
        "try { f(); } catch (...) {}", "throw 1;", "#ifdef SIM", "#if defined(WAVETANK_SIMULATION)",
        "#ifndef MUTANT_S3", "absl::flat_hash_map<int, int> m;", "std::unordered_map<Bio*, int> m;",
        "std::set<const Bio *> s;", "std::map<engine::Cell*, int> m;", "std::hash<Cell*>{}(c);",
        "std::cout << 1;", "io_uring_submit(&ring);", "::pread(fd, b, n, o);", "assert(x);",
        "std::abort();", "thread_local int x;", "volatile int x;", "clock_gettime(0, &t);",
        "pthread_create(&t, 0, f, 0);",
    ]
    GOOD = [
        "// std::thread is not for us", 'log("catch (me)");', "/* throw */ int x;",
        "int operand(); int brand(int); operand();", "std::chrono::nanoseconds n;",
        "std::map<ThinId, Thin*> m;", "std::unordered_map<std::uint64_t, Bio*> m;",
        "static_assert(x);", "#ifdef __SANITIZE_THREAD__", "const char c = '\"'; int n = 1'000;",
        "device.read(block);", "Result<Ref> BlockManager::read(MetaBlock block) {",
    ]

    def test_each_bad_word_is_seen(self):
        for text in self.BAD:
            with self.subTest(text=text):
                self.assertTrue(list(banned.violations_of("engine/io/a.cc", text)))

    def test_good_words_pass(self):
        for text in self.GOOD:
            with self.subTest(text=text):
                self.assertEqual(list(banned.violations_of("engine/io/a.cc", text)), [])

    def test_a_path_of_a_machine_is_seen(self):
        self.assertTrue(list(banned.text_violations_of("docs/a.md", "see /home/ann/notes")))
        self.assertEqual(list(banned.text_violations_of("docs/a.md", "see docs/work/notes")), [])


class Symbols(unittest.TestCase):
    def found(self, *needed):
        symbols_in = [("pool.cc.o", "T", "engine::Pool::commit()")]
        symbols_in += [(member, "U", name) for member, name in needed]
        return list(symbols.violations(symbols_in))

    def test_reaching_out_is_seen(self):
        for name in ("pthread_create", "clock_gettime", "open", "read", "socket", "getrandom",
                     "io_uring_get_sqe", "std::chrono::_V2::steady_clock::now()", "mmap", "rand",
                     "getenv", "std::cout", "std::random_device::_M_getval()", "nanosleep",
                     "fmt::v9::vprint(_IO_FILE*, fmt::v9::string_view)",
                     "std::condition_variable::wait(std::unique_lock<std::mutex>&)"):
            with self.subTest(name=name):
                self.assertTrue(self.found(("pool.cc.o", name)))

    def test_what_the_engine_needs_passes(self):
        self.assertEqual(self.found(
            ("pool.cc.o", "memcpy"), ("pool.cc.o", "operator new(unsigned long)"),
            ("pool.cc.o", "engine::Pool::commit()"), ("stack_pool.cc.o", "mmap"),
            ("pool.cc.o", "std::__throw_length_error(char const*)"),
            ("pool.cc.o", "fmt::v9::vformat[abi:cxx11](fmt::v9::basic_string_view<char>)"),
            ("crc.cc.o", "crc32_iscsi"), ("crc.cc.o", "__udivti3"), ("crc.cc.o", "__popcountdi2"), ("fiber.cc.o", "jump_fcontext")), [])


class Headers(unittest.TestCase):
    def test_a_header_that_leans_on_another_is_seen(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name).resolve()
            (root / "engine").mkdir()
            (root / "build" / "headers").mkdir(parents=True)
            commands = {str(root / "engine"): ["g++", "-std=c++20", f"-I{root}"]}
            for header, text, good in (
                    ("engine/good.h", "#pragma once\n#include <vector>\nstd::vector<int> f();\n", True),
                    ("engine/leans.h", "#pragma once\nstd::vector<int> f();\n", False)):
                with self.subTest(header=header):
                    (root / header).write_text(text)
                    found = headers.compile_alone(header, root, root / "build", commands)
                    self.assertEqual(found is None, good, found)

    def test_the_build_proves_what_comes_first(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            for path, text in (("a.cc", '// why\n#include "a.h"\n#include "c.h"\n'),
                               ("a.h", '#pragma once\n#include "b.h"\n'),
                               ("b.h", "#pragma once\n#include <vector>\n"),
                               ("c.h", "#pragma once\n")):
                (root / path).write_text(text)
            self.assertEqual(headers.proven_by_build(root, ["a.cc"]), {"a.h", "b.h"})

    def test_sources_compiled_together_are_each_seen(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            (root / "build" / "Unity").mkdir(parents=True)
            for path in ("a.cc", "b.cc", "c.cc"):
                (root / path).touch()
            unity = root / "build" / "Unity" / "unity_0.cxx"
            unity.write_text(f'#include "{root}/a.cc"\n#include "{root}/b.cc"\n')
            (root / "build" / "compile_commands.json").write_text(json.dumps(
                [{"file": str(path)} for path in (unity, root / "c.cc")]))
            self.assertEqual(headers.compiled_sources(root, root / "build"), ["a.cc", "b.cc", "c.cc"])

    def test_precompiled_headers_do_not_help(self):
        with tempfile.TemporaryDirectory() as name:
            build = pathlib.Path(name)
            (build / "compile_commands.json").write_text(json.dumps(
                [{"file": "/s/a.cc", "command": "g++ -O2 -include /b/cmake_pch.hxx -c /s/a.cc -o a.o"}]))
            self.assertEqual(headers.commands_of(build), {"/s": ["g++", "-O2"]})

    def test_guards(self):
        self.assertTrue(headers.is_guarded("// why\n#pragma once\nint f();\n"))
        self.assertFalse(headers.is_guarded("int f();\n#pragma once\n"))
        self.assertFalse(headers.is_guarded("// #pragma once\nstruct A {};\n"))


class Tree(unittest.TestCase):
    def test_code_only_keeps_lines_and_includes(self):
        text = 'a /* x\ny */ b // c\n#include "d.h"\nf("e\\"g");\n'
        code = tree.code_only(text)
        self.assertEqual(code.count("\n"), text.count("\n"))
        self.assertIn('"d.h"', code)
        for gone in ("x", "y", "c\n", "e", "g"):
            self.assertNotIn(gone, code.replace('#include "d.h"', ""))


if __name__ == "__main__":
    unittest.main()
