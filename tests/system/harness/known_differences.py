"""Where our answers differ from the kernel's on purpose: each with the page that says why.

A rule looks at one action and both answers. SAME: it is as good as equal, and the sequence goes on;
END: from here on the two are in different states, so what follows is not compared.
"""

import dataclasses
import enum
import re
from typing import Callable


class Verdict(enum.Enum):
    SAME = 1
    END = 2


@dataclasses.dataclass(frozen=True)
class Moment:
    """One action of a sequence, both answers (outcome, text, reason, ended), and what was done
    before."""
    action: str
    kernel: dict
    ours: dict
    before: tuple = ()

    @property
    def verb(self):
        return self.action.split()[0]

    def only(self, *fields):
        """Do the two differ in nothing but these? A reason that the kernel does not give is none."""
        return all(self.kernel[f] == self.ours[f] for f in ("outcome", "text", "reason", "ended")
                   if f not in fields and not (f == "reason" and not self.kernel[f]))

    def outcomes(self, kernel, ours):
        return self.kernel["outcome"] == kernel and self.ours["outcome"] == ours

    def same_text_without(self, pattern):
        return self.only("text") and \
            re.sub(pattern, "", self.kernel["text"]) == re.sub(pattern, "", self.ours["text"])


@dataclasses.dataclass(frozen=True)
class Rule:
    name: str
    page: str
    verdict: Verdict
    applies: Callable[[Moment], bool]


def beyond_an_external_origin(moment):
    """A read of a thin that stands over the disk `origin`, of which not all is there."""
    if moment.verb != "read" or not moment.outcomes("io_error", "ok"):
        return False
    _, device, first, pages = moment.action.split()
    over_origin = any(re.match(rf"load {device} .* thin \S+ \S+ origin$", action)
                      for action in moment.before)
    return over_origin and int(first) + int(pages) > ORIGIN_PAGES


THIN_PAGE = "docs/thin-differences.md"
ORIGIN_PAGES = 131     # of the disk of same_answers_tool.cc


def uncommitted_metadata(moment):
    return moment.verb == "status" and moment.action.endswith("noflush") and \
        " thin-pool " in moment.ours["text"] and \
        moment.same_text_without(r"(?<=thin-pool )\d+ \d+(?=/)")


RULES = (
    Rule("a device without a table is suspended, and not resumed", THIN_PAGE, Verdict.SAME,
         lambda m: m.verb == "resume" and m.outcomes("ok", "invalid") and
         m.ours["reason"] == "no table to resume"),
    Rule("a device without a table is suspended", THIN_PAGE, Verdict.SAME,
         lambda m: m.verb == "info" and " LIVE" not in m.ours["text"] and
         m.same_text_without("^(ACTIVE|SUSPENDED)")),
    Rule("a table that is refused for another reason formats no metadata", THIN_PAGE, Verdict.END,
         lambda m: m.verb == "load" and m.outcomes("ok", "not_permitted") and
         m.ours["reason"] == "the metadata device is blank"),
    Rule("a table longer than the device below is refused when it is loaded", THIN_PAGE, Verdict.END,
         lambda m: m.verb == "load" and m.outcomes("ok", "invalid") and
         m.ours["reason"].endswith("device too small for target")),
    Rule("a name in use", THIN_PAGE, Verdict.SAME,
         lambda m: m.verb in ("create", "rename") and m.outcomes("busy", "exists")),
    Rule("a message to a device without a table is refused", THIN_PAGE, Verdict.SAME,
         lambda m: m.verb == "message" and m.outcomes("ok", "invalid") and
         m.ours["reason"] == "the device has no table"),
    Rule("metadata that cannot be opened is told of in more than one phrase", THIN_PAGE,
         Verdict.SAME, lambda m: m.verb == "load" and m.only("reason") and
         m.kernel["reason"] == "Error creating metadata object" and m.ours["reason"]),
    Rule("a reload with another block size is refused when it is loaded", THIN_PAGE, Verdict.END,
         lambda m: m.verb == "load" and m.kernel["outcome"] in ("ok", "invalid") and
         m.ours["reason"] == "Error creating metadata object"),
    Rule("a pool device that never had a table is there", THIN_PAGE, Verdict.SAME,
         lambda m: m.verb == "load" and m.outcomes("not_found", "invalid") and
         m.kernel["reason"] == "Error opening pool device"),
    Rule("reads of an external origin are clipped in every mode", THIN_PAGE, Verdict.SAME,
         beyond_an_external_origin),
    # Where in the metadata a block lies is no part of the format.
    Rule("block number of the metadata snapshot", THIN_PAGE, Verdict.SAME,
         lambda m: m.verb == "status" and
         m.same_text_without(r"(?<=thin-pool )(\d+ \d+/\d+ \d+/\d+ )\d+")),
    # How much metadata an open transaction has taken is nobody's promise.
    Rule("metadata of an open transaction", THIN_PAGE, Verdict.SAME, uncommitted_metadata),
)


def judge(moment):
    """None where the answers are equal; a Rule; or "different"."""
    if moment.only():
        return None
    for rule in RULES:
        if rule.applies(moment):
            return rule
    return "different"
