"""Sequences put to the kernel and to ours, and what they answer compared step by step."""

import collections
import dataclasses
import json
import pathlib
import subprocess

from harness import case, kernel, known_differences

REQUESTS = ("write", "read", "discard", "flush")


def ask_ours(sequences, folder):
    """A list of answers for each sequence; AssertionError where the tank found something."""
    path = pathlib.Path(folder) / "sequences.txt"
    path.write_text("".join(
        " ".join(["sequence", s.name, *(f"{k}={v}" for k, v in s.settings.items())]) + "\n" +
        "".join(action + "\n" for action in s.actions) + "\n" for s in sequences))
    done = subprocess.run([case.BUILD / "tests" / "same_answers_tool", path], capture_output=True,
                          text=True, timeout=600)
    answers = []
    for line in done.stdout.splitlines():
        if line.startswith("sequence "):
            answers.append([])
            continue
        fields = line.split("\t")
        assert len(fields) == 5, f"{sequences[len(answers) - 1].name}: {line}"
        _, outcome, text, reason, ended = fields
        answers[-1].append({"outcome": outcome, "text": text, "reason": reason,
                            "ended": dict(each.split("=") for each in ended.split())})
    assert done.returncode == 0, done.stderr or done.stdout[-2000:]
    return answers


def ask_kernel(sequences, ours, folder):
    """The same of the kernel, None for what it did not come to; and what it got stuck in."""
    folder = pathlib.Path(folder)
    (folder / "questions").write_text("".join(json.dumps({
        "settings": s.settings, "actions": s.actions,
        "pending": [a["outcome"] == "pending" for a in answers],
        "ended": [sorted(map(int, a["ended"])) for a in answers]}) + "\n"
        for s, answers in zip(sequences, ours)))
    failure = None
    try:
        kernel.run("kernel_answers.py", folder, env={"QUESTIONS": "questions", "ANSWERS": "answers"},
                   timeout=1800)
    except kernel.GuestFailed as failed:
        failure = failed
    given = [json.loads(line) for line in (folder / "answers").read_text().splitlines()]
    stuck = given[-1]["stuck"] if given else "the beginning"
    if failure and not stuck:
        raise failure
    answers = [each["answers"] for each in given if each["answers"]]
    return answers + [None] * (len(sequences) - len(answers)), stuck


def unsafe_in_linux(sequence, answers):
    """Indices of actions that the kernel never comes back from (docs/thin-differences.md, "Nobody
    waits in vain"), as far as our answers tell: a suspend that waits for I/O that waits for space,
    and a thin that is suspended, replaced or removed while its pool is suspended."""
    unsafe = set()
    suspended = set()
    for index, (action, answer) in enumerate(zip(sequence.actions, answers)):
        words = action.split()
        verb, name = words[0], words[1]
        if answer["outcome"] == "pending" and verb not in REQUESTS:
            unsafe.add(index)
        if verb == "suspend" and answer["outcome"] == "ok":
            suspended.add(name)
        if verb == "resume":
            suspended.discard(name)
            if answer["outcome"] != "ok":
                suspended.add(name)
        stands_on_pool = name not in ("pool", "md", "dd", "other")
        if "pool" in suspended and stands_on_pool and verb in ("suspend", "resume", "remove"):
            unsafe.add(index)
    return unsafe


def safe(sequences, folder):
    """The sequences without what is unsafe, and our answers to them."""
    for _ in range(20):
        ours = ask_ours(sequences, folder)
        unsafe = [unsafe_in_linux(s, a) for s, a in zip(sequences, ours)]
        if not any(unsafe):
            return sequences, ours
        sequences = [s.without(u) for s, u in zip(sequences, unsafe)]
    raise AssertionError("what is unsafe does not come to an end")


@dataclasses.dataclass
class Comparison:
    sequence: object
    kernel: list
    ours: list
    difference: int | None = None      # the first action that no rule excuses
    ended: int | None = None           # the action after which nothing was compared
    rules: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def transcript(self):
        """Both, side by side."""
        lines = [self.sequence.name]
        for index, action in enumerate(self.sequence.actions):
            if self.difference is not None and index > self.difference:
                break
            lines.append(f"{index:3} {action}")
            theirs, mine = show(self.kernel[index]), show(self.ours[index])
            if theirs == mine:
                lines.append(f"      both:   {mine}")
            else:
                lines.append(f"      kernel: {theirs}")
                lines.append(f"      ours:   {mine}" +
                             ("   <== differs" if index == self.difference else ""))
        return "\n".join(lines)


def show(answer):
    reason = f" ({answer['reason']})" if answer["reason"] else ""
    ended = "".join(f" [{n}: {outcome}]" for n, outcome in answer["ended"].items())
    return f"{answer['outcome']}{reason} {answer['text']}".rstrip(" ") + \
        (f" |{answer['text'][-1:]}|" if answer["text"].endswith(" ") else "") + ended


def compare(sequence, theirs, ours):
    found = Comparison(sequence, theirs, ours)
    for index, (action, kernel_answer, our_answer) in enumerate(
            zip(sequence.actions, theirs, ours)):
        rule = known_differences.judge(
            known_differences.Moment(action, kernel_answer, our_answer,
                                     tuple(sequence.actions[:index])))
        if rule is None:
            continue
        if rule == "different":
            found.difference = index
            return found
        found.rules[rule.name] += 1
        if rule.verdict == known_differences.Verdict.END:
            found.ended = index
            return found
    return found


def put(sequences, folder):
    """Comparisons, and what is to be said of a guest that got stuck."""
    sequences, ours = safe(sequences, folder)
    theirs, stuck = ask_kernel(sequences, ours, folder)
    found = [compare(s, k, o) for s, k, o in zip(sequences, theirs, ours) if k is not None]
    at = sequences[min(len(found), len(sequences) - 1)]
    return found, stuck and "\n".join(
        [f"the guest got stuck in {stuck}, in {at.name}:", *at.actions])


def shrink(comparison, folder, rounds=12):
    """The sequence without what it needs not to differ. Each round is one boot."""
    best = comparison
    cut = dataclasses.replace(
        best.sequence, actions=best.sequence.actions[:best.difference + 1])
    chunk = max(1, len(cut.actions) // 4)
    for _ in range(rounds):
        candidates = [cut.without(set(range(at, at + chunk)))
                      for at in range(0, len(cut.actions) - 1, chunk)]
        different = [c for c in put(candidates, folder)[0] if c.difference is not None]
        if different:
            best = min(different, key=lambda c: c.difference)
            cut = dataclasses.replace(
                best.sequence, actions=best.sequence.actions[:best.difference + 1])
            chunk = max(1, min(chunk, len(cut.actions) // 4))
        elif chunk == 1:
            break
        else:
            chunk = max(1, chunk // 2)
    return best
