"""What the kernel's device-mapper answers to an operator's sequences of actions.

QUESTIONS and ANSWERS are files in the guest's folder. The questions are JSON, a sequence a line:
{"settings": {...}, "actions": [...], "pending": [...], "ended": [[...], ...]}. An action is what
same_answers_tool.cc takes; the other two say which actions ours left pending, and which that were
pending had ended after each: here they get that much more, or less, time. The answers get a line for
each sequence, a list of what the tool prints for each action.
"""

import errno
import fcntl
import json
import mmap
import os
import re
import struct
import subprocess
import threading
import time

from harness import device_mapper as dm

import system_calls

PAGE = 4096
BLKGETSIZE64 = 0x80081272
LOOP_SET_CAPACITY = 0x4C07
# As in same_answers_tool.cc.
DISKS = {"meta": (4096, 0), "data": (8192, 0), "spare": (8192, 0), "origin": (1048, 77)}
PATIENCE = 10     # seconds for what has to end
HANGS = 20        # and by when nothing will that has not
GLANCE = 0.12     # and for what ours waits with
NO_SPACE_TIMEOUT = "/sys/module/dm_thin_pool/parameters/no_space_timeout"

OUTCOMES = {
    errno.EINVAL: "invalid", errno.EBUSY: "busy", errno.EEXIST: "exists", errno.EIO: "io_error",
    errno.ENODATA: "not_found", errno.ENODEV: "not_found", errno.ENXIO: "not_found",
    errno.ENOENT: "not_found", errno.EOPNOTSUPP: "not_supported", errno.ENOSPC: "no_space",
    errno.EPERM: "not_permitted", errno.EILSEQ: "corrupt", errno.ENOTBLK: "corrupt",
}


class Disks:
    """Loop devices over files in memory, which take discards of any length."""

    def __init__(self):
        self.numbers = {}
        for index, (name, (sectors, _)) in enumerate(DISKS.items()):
            path = f"/mnt/{name}"
            with open(path, "wb") as file:
                file.truncate(sectors * 512)
            device = f"/dev/loop{index}"
            if not os.path.exists(device):
                os.mknod(device, 0o60600, os.makedev(7, index))
            subprocess.run(["losetup", device, path], check=True)
            self.numbers[name] = f"7:{index}"

    def make_new(self):
        for index, (name, (sectors, fill)) in enumerate(DISKS.items()):
            with open(f"/mnt/{name}", "r+b") as file:
                file.truncate(0)
                file.truncate(sectors * 512)
                if fill:
                    file.write(bytes([fill]) * (sectors * 512))
            descriptor = os.open(f"/dev/loop{index}", os.O_RDWR)
            fcntl.ioctl(descriptor, LOOP_SET_CAPACITY)
            os.close(descriptor)


def describe(data):
    """Pages by the byte that each is full of, equal neighbours together."""
    runs = []
    for at in range(0, len(data), PAGE):
        page = data[at:at + PAGE]
        found = str(page[0]) if page == page[:1] * len(page) else "mixed"
        if runs and runs[-1][0] == found:
            runs[-1][1] += 1
        else:
            runs.append([found, 1])
    return " ".join(f"{found}x{count}" for found, count in runs)


def sectors_of(number):
    """0 as long as it never had a table."""
    try:
        with open(f"/sys/dev/block/{number}/size", encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return 0


class Refused(Exception):
    """An outcome that no errno names."""


def resume_if_suspended(name):
    if dm.info(name)[1] & dm.SUSPEND_FLAG:
        dm.resume(name)


def settle(name):
    """Until nothing in the cache is dirty, but not for ever. Tells how much is."""
    for attempt in range(400):
        if attempt:
            time.sleep(0.02)
        words = " ".join(dm.status(name, noflush=True)).split()
        if len(words) <= 13:
            return "no cache"
        if words[13] == "0":
            break
    return words[13]


class Watchdog:
    """Ends the guest where an action takes longer than anything may: nobody could stop it."""

    def __init__(self, told):
        self._told = told
        self._since = None
        threading.Thread(target=self._watch, daemon=True).start()

    def begins(self, action):
        self._since = (time.monotonic(), action)

    def is_over(self):
        self._since = None

    def _watch(self):
        while True:
            time.sleep(0.5)
            since = self._since
            if since and time.monotonic() - since[0] > HANGS:
                self._told.write(json.dumps({"answers": None, "stuck": since[1]}) + "\n")
                self._told.flush()
                with open("/proc/sysrq-trigger", "w", encoding="ascii") as trigger:
                    trigger.write("o")     # a process that hangs in the kernel cannot be ended


class Operator:
    """One sequence on fresh disks."""

    def __init__(self, disks, log, watchdog):
        self._disks = disks
        self._log = log
        self._watchdog = watchdog
        self._numbers = {}     # of mapped devices
        self._waiting = {}     # (thread, answer) of actions, by index, until it has been told

    # --- Actions.

    def act_and_tell(self, index, line, pending, ended):
        """What the tool prints for one action; `pending` and `ended`: what ours did."""
        answer = {"outcome": "pending", "text": "", "reason": ""}
        earlier = list(self._waiting)
        if pending:     # a thread costs more than most actions
            thread = threading.Thread(target=self._act, args=(line, answer), daemon=True)
            thread.start()
            thread.join(GLANCE)
            if thread.is_alive():
                self._waiting[index] = (thread, answer)
                answer = dict(answer)
        else:
            self._watchdog.begins(line)
            self._act(line, answer)
            self._watchdog.is_over()
        return {**answer, "ended": self._ended_since(earlier, ended)}

    def _ended_since(self, earlier, ended_there):
        found = {}
        for number in earlier:
            thread, answer = self._waiting[number]
            thread.join(PATIENCE if number in ended_there else 0.02)
            if not thread.is_alive():
                del self._waiting[number]
                found[str(number)] = answer["outcome"]
        return found

    def _act(self, line, answer):
        if line.startswith("load "):
            self._log.read()
        try:
            answer["text"] = self._do(line) or ""
            answer["outcome"] = "ok"
        except OSError as error:
            answer["outcome"] = OUTCOMES.get(error.errno, errno.errorcode.get(error.errno, "?"))
        except Refused as refused:
            answer["outcome"] = str(refused)
        if line.startswith("load ") and answer["outcome"] != "ok":
            answer["reason"] = self._log.table_refusal()

    def _do(self, line):
        words = line.split()
        verb, noflush = words[0], words[-1] == "noflush"
        if verb == "wait":
            time.sleep(int(words[1]) / 1000)
            return None
        name = words[1]
        if verb == "create":
            self._numbers[name] = dm.create(name)
            return None
        if verb == "load":
            return dm.load(name, self._table(line.split(" ", 2)[2]))
        if verb == "rename":
            dm.rename(name, words[2])
            self._numbers[words[2]] = self._numbers.pop(name)
            return None
        if verb == "message":
            parts = line.split(" ", 3)
            return dm.message(name, int(parts[2]), parts[3] if len(parts) > 3 else "")
        if verb in ("suspend", "resume"):
            return getattr(dm, verb)(name, noflush)
        if verb == "clear":
            return dm.clear(name)
        if verb == "remove":
            dm.remove(name)
            del self._numbers[name]
            return None
        if verb == "status":
            return "|".join(dm.status(name, noflush))
        if verb == "table":
            return "|".join(self._with_names(each) for each in dm.table(name))
        if verb == "info":
            return self._info(name)
        if verb == "settle":
            return settle(name)
        return self._request(verb, name, words)

    def _info(self, name):
        number, flags, open_count, events = dm.info(name)
        return (("SUSPENDED" if flags & dm.SUSPEND_FLAG else "ACTIVE") +
                (" LIVE" if flags & dm.ACTIVE_FLAG else "") +
                (" INACTIVE" if flags & dm.INACTIVE_FLAG else "") +
                f" open={open_count} events={events} sectors={sectors_of(number)}")

    def _request(self, verb, name, words):
        if name not in self._numbers:
            raise Refused("not_found")
        first, pages = map(int, words[2:4]) if verb != "flush" else (0, 0)
        try:
            descriptor = os.open(f"/dev/dm-{self._numbers[name].split(':')[1]}",
                                 os.O_RDWR | os.O_DIRECT)
        except FileNotFoundError as never_had_a_table:
            raise Refused("beyond_the_end") from never_had_a_table
        try:
            if verb == "flush":
                return os.fsync(descriptor)
            # Not lseek(), which waits for a discard that is under way.
            size = struct.unpack("=Q", fcntl.ioctl(descriptor, BLKGETSIZE64, bytes(8)))[0]
            if (first + pages) * PAGE > size:
                raise Refused("beyond_the_end")
            if verb == "discard":
                system_calls.discard(descriptor, first * PAGE, pages * PAGE)
                return None
            buffer = mmap.mmap(-1, pages * PAGE)
            if verb == "write":
                buffer[:] = bytes([int(words[4])]) * (pages * PAGE)
                os.pwritev(descriptor, [buffer], first * PAGE)
                return None
            os.preadv(descriptor, [buffer], first * PAGE)
            return describe(bytes(buffer))
        finally:
            os.close(descriptor)

    # --- Names.

    def _table(self, text):
        lines = []
        for line in text.split("|"):
            begin, sectors, kind, *arguments = line.split()
            known = {**self._disks.numbers, **self._numbers}
            lines.append((int(begin), int(sectors), kind,
                          " ".join(known.get(word, word) for word in arguments)))
        return lines

    def _with_names(self, line):
        names = {number: name for name, number in
                 [*self._disks.numbers.items(), *self._numbers.items()]}
        return re.sub(r"\b\d+:\d+\b", lambda found: names.get(found[0], found[0]), line)

    # --- The end.

    def leave(self):
        """Removes all devices, whatever waits on them. True: all are gone."""
        end = time.monotonic() + PATIENCE
        for name in self._numbers:     # those below first, and with the tables that they have
            self._try(dm.clear, name)
            self._try(resume_if_suspended, name)
        if self._waiting:
            for name in self._numbers:     # what waits comes to an error target
                self._try(self._replace_by_error, name)
        while time.monotonic() < end:
            for name in list(self._numbers):
                if self._try(dm.remove, name) != "busy":
                    self._numbers.pop(name)
            if not self._numbers:
                break
            time.sleep(0.01)
        threads = [thread for thread, _ in self._waiting.values()]
        for thread in threads:
            thread.join(max(0, end - time.monotonic()))
        return not self._numbers and not any(thread.is_alive() for thread in threads)

    def _replace_by_error(self, name):
        if any(" thin " in line for line in dm.table(name)):
            begin, size = map(int, dm.table(name)[-1].split()[:2])
            dm.load(name, [(0, begin + size, "error", "")])
            dm.suspend(name, noflush=True)
            dm.resume(name, noflush=True)

    def _try(self, action, name):
        self._watchdog.begins(f"the end of {name}")
        try:
            action(name)
            return "ok"
        except OSError as error:
            return OUTCOMES.get(error.errno)
        finally:
            self._watchdog.is_over()


def set_no_space_timeout(seconds):
    with open(NO_SPACE_TIMEOUT, "w", encoding="ascii") as file:
        file.write(str(seconds))


def main(questions, answers):
    disks, log = Disks(), dm.Log()
    with open(questions, encoding="utf-8") as asked, open(answers, "w", encoding="utf-8") as told:
        watchdog = Watchdog(told)
        for question in map(json.loads, asked):
            set_no_space_timeout(question["settings"].get("no_space_timeout", 60))
            disks.make_new()
            subject = Operator(disks, log, watchdog)
            steps = zip(question["actions"], question["pending"], question["ended"])
            given = [subject.act_and_tell(index, *step) for index, step in enumerate(steps)]
            gone = subject.leave()
            told.write(json.dumps({"answers": given, "stuck": "" if gone else "its end"}) + "\n")
            told.flush()
            if not gone:
                return   # nothing of what follows would have fresh devices


system_calls.load_modules("loop", "dm-thin-pool", "dm-cache", "dm-cache-smq", "dm-zero")
main(os.environ["QUESTIONS"], os.environ["ANSWERS"])
