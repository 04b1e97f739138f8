"""What a guest asks of its kernel that Python has no call for."""

import ctypes
import errno
import fcntl
import os
import struct

BLKDISCARD = 0x1277
FINIT_MODULE = {"x86_64": 313, "i686": 350}
LIBC = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(kind, where):
    checked(LIBC.mount(kind.encode(), where.encode(), kind.encode(), 0, None), where)


def load_modules(*names):
    """Each with what it depends on. The package keeps its modules under /usr/lib/uml."""
    system = os.uname()
    folder = f"/usr/lib/uml/modules/{system.release}"
    needs = {}   # name -> paths, what it depends on last
    with open(f"{folder}/modules.dep", encoding="ascii") as file:
        for line in file:
            path, rest = line.split(":")
            name = path.rsplit("/", 1)[-1].removesuffix(".ko")
            if name in names:
                needs[name] = [path, *rest.split()]
    for name in names:
        for path in reversed(needs[name]):
            module = os.open(f"{folder}/{path}", os.O_RDONLY)
            try:
                checked(LIBC.syscall(FINIT_MODULE[system.machine], module, b"", 0), path)
            except OSError as error:
                if error.errno != errno.EEXIST:
                    raise
            finally:
                os.close(module)


def size_of(path):
    """Bytes, of a disk or a file."""
    descriptor = os.open(path, os.O_RDONLY)
    size = os.lseek(descriptor, 0, os.SEEK_END)
    os.close(descriptor)
    return size


def sectors(path):
    return size_of(path) // 512


def discard(device, offset, length):
    """Of an open device, bytes."""
    fcntl.ioctl(device, BLKDISCARD, struct.pack("=QQ", offset, length))


def discard_of(path, offset, length):
    device = os.open(path, os.O_RDWR)
    discard(device, offset, length)
    os.close(device)
