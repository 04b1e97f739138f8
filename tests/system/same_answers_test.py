#!/usr/bin/env python3
"""The same sequence of actions gets the same answers from the kernel's device-mapper and from ours:
whether each succeeds, why not, what status and table say, word for word, and the data.

    same_answers_test.py                     # the fixed sequences
    same_answers_test.py --seeds 1000:1400 [--family thin]   # others
"""

import argparse
import collections
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import answers, case, thin_sequences

FAMILIES = {"thin": thin_sequences.make}


def run(sequences, folder, shrinks=1):
    """Puts all of them; what is to be said of those that differ, and which rules excused what."""
    comparisons, stuck = answers.put(sequences, folder)
    rules = collections.Counter()
    for each in comparisons:
        rules.update(each.rules)
    different = [each for each in comparisons if each.difference is not None]
    said = []
    for number, each in enumerate(different):
        if number < shrinks:
            each = answers.shrink(each, folder)
        said.append(each.transcript())
    if stuck:
        said.append(stuck)
    return said, rules, comparisons


@case.needs_kernel
class SameAnswers(case.SystemTest):
    def put(self, family, seeds):
        said, _, comparisons = run([FAMILIES[family](seed) for seed in seeds], self.folder)
        self.assertFalse(said, "\n\n".join(said))
        self.assertEqual(len(comparisons), len(seeds))

    def test_thin(self):
        self.put("thin", range(24))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", required=True, help="FIRST:END")
    parser.add_argument("--family", choices=FAMILIES, default="thin")
    parser.add_argument("--shrinks", type=int, default=1)
    options = parser.parse_args()
    first, _, end = options.seeds.partition(":")
    end = int(end) if end else int(first) + 1
    sequences = [FAMILIES[options.family](seed) for seed in range(int(first), end)]
    folder = case.FOLDER / "same-answers"     # stays: what was asked and answered is there
    folder.mkdir(parents=True, exist_ok=True)
    said, rules, comparisons = run(sequences, folder, options.shrinks)
    print("\n\n".join(said))
    print(f"{len(comparisons)} sequences, {sum(len(c.sequence.actions) for c in comparisons)} actions,"
          f" {len(said)} different, {sum(c.ended is not None for c in comparisons)} cut short;"
          f" known differences: {dict(rules)}")
    return 1 if said else 0


if __name__ == "__main__":
    if any(argument.startswith("--seeds") for argument in sys.argv):
        sys.exit(main())
    unittest.main(verbosity=2)
