"""Random traffic that knows, page by page, what may be read back after the server died.

No two requests in flight touch one page, so each page has a history in order. Its first entry is
what was last known durable; a flush that ends moves the start up to the last write that had ended
when the flush was sent, a FUA write that ends moves it to itself. After a kill a page must read as
one of its history's entries. While the server lives, it must read as the last entry.
"""

import dataclasses
import random

from harness import blockio, nbd

PAGE = blockio.PAGE
ZERO = bytes(PAGE)


@dataclasses.dataclass(eq=False)
class Entry:
    value: int     # 0: zeroes; else the number of the write
    ended: bool


class DataLost(AssertionError):
    """A page reads as something that it may not."""


class VerifiedLoad:
    """The traffic on one volume, over any number of the server's lives."""

    def __init__(self, size, seed, block=65536, depth=16, trims_read_as_zeroes=True):
        self.writes = 0
        self.flushes = 0
        self._pages = size // PAGE
        self._block_pages = block // PAGE
        self._depth = depth
        self._zeroing = (nbd.TRIM, nbd.WRITE_ZEROES) if trims_read_as_zeroes else (nbd.WRITE_ZEROES,)
        self._random = random.Random(seed)
        self._history = {}       # page -> [Entry]; a page not here was never written: zeroes
        self._busy = set()
        self._requests = {}      # cookie -> what to do when its reply comes
        self._unflushed = set()  # pages whose history is longer than one entry

    def run(self, client, stop):
        """Keeps `depth` requests in flight until `stop()` or the server is gone (True)."""
        try:
            while not stop():
                while client.in_flight() < self._depth:
                    self._submit(client)
                self._reap(client)
            self.drain(client)
        except nbd.ServerGone:
            self._busy.clear()
            self._requests.clear()
            return True
        return False

    def drain(self, client):
        while client.in_flight():
            self._reap(client)

    def expected(self):
        """page -> value number now, for each page ever written; nothing may be in flight."""
        return {page: history[-1].value for page, history in self._history.items()}

    def verify(self, client):
        """Reads every page back after a new start; what is found becomes what is known."""
        for page, data in read_pages(client, self._history):
            history = self._history[page]
            allowed = [entry for entry in history if data == content(entry.value, page)]
            if not allowed:
                raise DataLost(f"page {page}: {describe(data, page)}; allowed "
                               f"{[entry.value for entry in history]}, the first of them durable")
            self._history[page] = [Entry(allowed[-1].value, True)]
        self._unflushed.clear()

    def _submit(self, client):
        kind = self._random.random()
        if kind < 0.02:
            self._submit_flush(client)
        elif kind < 0.05:
            self._submit_zeroes(client)
        else:
            page = self._random.randrange(self._pages)
            if page in self._busy:
                return
            if kind < 0.20:
                self._submit_read(client, page)
            else:
                self._submit_write(client, page, nbd.FLAG_FUA if kind > 0.95 else 0)

    def _submit_write(self, client, page, flags):
        self.writes += 1
        entry = self._add(page, self.writes)
        cookie = client.submit(nbd.WRITE, page * PAGE, data=content(entry.value, page), flags=flags)

        def ended(_):
            entry.ended = True
            self._busy.discard(page)
            if flags:
                self._durable(page, entry)
        self._requests[cookie] = ended

    def _submit_zeroes(self, client):
        """Of whole blocks, which read as zeroes from then on."""
        first = self._random.randrange(self._pages // self._block_pages) * self._block_pages
        pages = range(first, first + self._block_pages)
        if not self._busy.isdisjoint(pages):
            return
        entries = [(page, self._add(page, 0)) for page in pages]
        command = self._random.choice(self._zeroing)
        cookie = client.submit(command, first * PAGE, len(pages) * PAGE)

        def ended(_):
            for page, entry in entries:
                entry.ended = True
                self._busy.discard(page)
        self._requests[cookie] = ended

    def _submit_read(self, client, page):
        self._busy.add(page)
        value = self._history[page][-1].value if page in self._history else 0
        cookie = client.submit(nbd.READ, page * PAGE, PAGE)

        def ended(data):
            self._busy.discard(page)
            if data != content(value, page):
                raise DataLost(f"page {page}: {describe(data, page)}; written {value}")
        self._requests[cookie] = ended

    def _submit_flush(self, client):
        marks = {}
        for page in self._unflushed:
            done = [entry for entry in self._history[page] if entry.ended]
            if done:
                marks[page] = done[-1]
        cookie = client.submit(nbd.FLUSH)

        def ended(_):
            self.flushes += 1
            for page, entry in marks.items():
                self._durable(page, entry)
        self._requests[cookie] = ended

    def _add(self, page, value):
        entry = Entry(value, False)
        self._history.setdefault(page, [Entry(0, True)]).append(entry)
        self._busy.add(page)
        self._unflushed.add(page)
        return entry

    def _durable(self, page, entry):
        history = self._history[page]
        if entry in history:     # else a later one is durable already
            del history[:history.index(entry)]
        if len(history) == 1:
            self._unflushed.discard(page)

    def _reap(self, client):
        cookie, error, data = client.reap()
        if error:
            raise nbd.NbdError(error, "a request of the load failed")
        self._requests.pop(cookie)(data)


def read_pages(client, pages, stretch=256):
    """(page, bytes) of each of `pages`, in order, read in long stretches."""
    held, start = b"", 0
    for page in sorted(pages):
        at = (page - start) * PAGE
        if at >= len(held):
            start, at = page, 0
            held = client.read_at(page * PAGE, min(stretch * PAGE, client.size - page * PAGE))
        yield page, held[at:at + PAGE]


def verify_pages(client, pages):
    """Reads back {page: value}, exactly."""
    for page, data in read_pages(client, pages):
        if data != content(pages[page], page):
            raise DataLost(f"page {page}: {describe(data, page)}; should be {pages[page]}")


def content(value, page):
    return blockio.pattern(value, page * PAGE, PAGE) if value else ZERO


def describe(data, page):
    """What a wrong page holds, in words."""
    if data == ZERO:
        return "reads as zeroes"
    if data[:64] * (PAGE // 64) != data:
        return "is torn or foreign"
    return "holds another write"
