"""The kernel's device-mapper, by the ioctls that dmsetup makes of its commands.

dmsetup tells of an error what the C library calls it; here it is the error itself. Nor does it cost
a process each.
"""

import errno
import fcntl
import functools
import os
import re
import struct

HEAD = struct.Struct("=3I I I I i I I I Q 128s 129s 7x")   # struct dm_ioctl
TARGET = struct.Struct("=QQiI16s")                         # struct dm_target_spec
(CREATE, REMOVE, RENAME, SUSPEND, STATUS, LOAD, CLEAR, TABLE, MESSAGE) = (3, 4, 5, 6, 7, 9, 10, 12,
                                                                          14)
SUSPEND_FLAG, STATUS_TABLE_FLAG = 1 << 1, 1 << 4
ACTIVE_FLAG, INACTIVE_FLAG, NOFLUSH_FLAG = 1 << 5, 1 << 6, 1 << 11
SIZE = 16384


@functools.cache
def control():
    return os.open("/dev/mapper/control", os.O_RDWR)


def call(number, name, flags=0, payload=b"", targets=0):
    """One ioctl: (fields of the head, what follows it). OSError as the kernel has it."""
    buffer = bytearray(SIZE)
    HEAD.pack_into(buffer, 0, 4, 0, 0, SIZE, HEAD.size, targets, 0, flags, 0, 0, 0, name.encode(),
                   b"")
    buffer[HEAD.size:HEAD.size + len(payload)] = payload
    fcntl.ioctl(control(), 3 << 30 | HEAD.size << 16 | 0xFD << 8 | number, buffer, True)
    head = HEAD.unpack_from(buffer)
    return head, bytes(buffer[head[4]:])


def create(name):
    """The number of the new device, as tables write it."""
    head, _ = call(CREATE, name)
    return number_of(head)


def number_of(head):
    return f"{os.major(head[10])}:{os.minor(head[10])}"


def load(name, lines):
    """`lines`: (begin, sectors, type, arguments)."""
    payload = b""
    for begin, sectors, kind, arguments in lines:
        text = arguments.encode() + b"\0"
        size = (TARGET.size + len(text) + 7) // 8 * 8
        payload += TARGET.pack(begin, sectors, 0, size, kind.encode())
        payload += text.ljust(size - TARGET.size, b"\0")
    call(LOAD, name, payload=payload, targets=len(lines))


def clear(name):
    call(CLEAR, name)


def suspend(name, noflush=False):
    call(SUSPEND, name, SUSPEND_FLAG | (NOFLUSH_FLAG if noflush else 0))


def resume(name, noflush=False):
    call(SUSPEND, name, NOFLUSH_FLAG if noflush else 0)


def remove(name):
    call(REMOVE, name)


def rename(name, new):
    call(RENAME, name, payload=new.encode() + b"\0")


def message(name, sector, text):
    call(MESSAGE, name, payload=struct.pack("=Q", sector) + text.encode() + b"\0")


def lines_of(name, flags):
    """Of the active table: "<begin> <sectors> <type> <what the target says>" each."""
    head, data = call(TABLE, name, flags)
    lines, at = [], 0
    for _ in range(head[5]):
        begin, sectors, _, after, kind = TARGET.unpack_from(data, at)
        said = data[at + TARGET.size:].split(b"\0", 1)[0].decode()
        lines.append(f"{begin} {sectors} {kind.rstrip(bytes(1)).decode()} {said}")
        at = after
    return lines


def status(name, noflush=False):
    return lines_of(name, NOFLUSH_FLAG if noflush else 0)


def table(name):
    return lines_of(name, STATUS_TABLE_FLAG)


def info(name):
    """(number, flags, open count, events)"""
    head, _ = call(STATUS, name)
    return number_of(head), head[7], head[6], head[8]


class Log:
    """What the kernel has said since the last look."""

    def __init__(self):
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._fd, 0, os.SEEK_END)

    def read(self):
        lines = []
        while True:
            try:
                lines.append(os.read(self._fd, 8192).decode(errors="replace").split(";", 1)[-1])
            except BlockingIOError:
                return lines
            except OSError as error:   # EPIPE: some were overwritten before they were read
                if error.errno != errno.EPIPE:
                    raise

    def table_refusal(self):
        """Why a table was refused: the target's own words, or none."""
        for line in self.read():
            found = re.match(r"device-mapper: table: \d+:\d+: [^:]+: (.*) \(-?\w+\)$",
                             line.split("\n")[0])
            if found:
                return found[1]
        return ""
