"""A small NBD client: fixed newstyle over a Unix socket, several requests in flight.

`submit` sends a request and returns its cookie; `reap` waits for one reply. The plain verbs do both.
A server that goes away raises ServerGone; an error reply raises NbdError from the plain verbs.
"""

import socket
import struct

READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES = range(7)
FLAG_FUA = 1
FLAG_NO_HOLE = 2

_OPTION_MAGIC = b"IHAVEOPT"
_OPT_EXPORT_NAME, _OPT_ABORT, _OPT_LIST, _, _, _OPT_INFO, _OPT_GO = range(1, 8)
_INFO_BLOCK_SIZE = 3
_REP_ACK, _REP_SERVER, _REP_INFO = 1, 2, 3
_OPTION_REPLY_MAGIC = 0x3E889045565A9
_REQUEST_MAGIC = 0x25609513
_REPLY_MAGIC = 0x67446698


class NbdError(OSError):
    """The server answered with an error, or broke the protocol."""


class ServerGone(NbdError):
    """The connection ended."""


class Client:
    def __init__(self, path, name=""):
        self.size = 0
        self.flags = 0
        self.minimum = 1     # what offsets and lengths must be multiples of
        self._sizes = {}     # cookie -> bytes of data that a good reply carries
        self._next = 1
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        if self._receive(16) != b"NBDMAGIC" + _OPTION_MAGIC:
            raise NbdError("no newstyle greeting")
        server_flags, = struct.unpack(">H", self._receive(2))
        self._send(struct.pack(">I", server_flags & 3))   # fixed newstyle, no zeroes
        self._go(name.encode())

    def _go(self, name):
        data = struct.pack(">I", len(name)) + name + struct.pack(">HH", 1, _INFO_BLOCK_SIZE)
        self._send(_OPTION_MAGIC + struct.pack(">II", _OPT_GO, len(data)) + data)
        while True:
            magic, option, kind, length = struct.unpack(">QIII", self._receive(20))
            data = self._receive(length)
            if magic != _OPTION_REPLY_MAGIC or option != _OPT_GO:
                raise NbdError("bad option reply")
            if kind == _REP_ACK:
                return
            if kind & 1 << 31:
                raise NbdError(f"no export {name.decode()!r}: {data.decode(errors='replace')}")
            if kind == _REP_INFO and data[:2] == b"\0\0":
                self.size, self.flags = struct.unpack(">QH", data[2:12])
            if kind == _REP_INFO and data[:2] == struct.pack(">H", _INFO_BLOCK_SIZE):
                self.minimum, _, _ = struct.unpack(">III", data[2:14])

    def submit(self, command, offset=0, length=0, data=b"", flags=0):
        """Sends a request; the cookie its reply will carry."""
        cookie = self._next
        self._next += 1
        self._sizes[cookie] = length if command == READ else 0
        self._send(struct.pack(">IHHQQI", _REQUEST_MAGIC, flags, command, cookie, offset,
                               length or len(data)) + data)
        return cookie

    def reap(self):
        """One reply: (cookie, error number, data)."""
        magic, error, cookie = struct.unpack(">IIQ", self._receive(16))
        if magic != _REPLY_MAGIC or cookie not in self._sizes:
            raise NbdError("bad reply")
        size = self._sizes.pop(cookie)
        return cookie, error, b"" if error else self._receive(size)

    def in_flight(self):
        return len(self._sizes)

    def _call(self, *request, **named):
        wanted = self.submit(*request, **named)
        cookie, error, data = self.reap()
        if cookie != wanted:
            raise NbdError("reply to another request")
        if error:
            raise NbdError(error, f"command {request[0]}")
        return data

    def read_at(self, offset, length):
        return self._call(READ, offset, length)

    def write_at(self, offset, data, flags=0):
        self._call(WRITE, offset, data=data, flags=flags)

    def write_zeroes(self, offset, length, flags=0):
        self._call(WRITE_ZEROES, offset, length, flags=flags)

    def trim(self, offset, length):
        self._call(TRIM, offset, length)

    def flush(self):
        self._call(FLUSH)

    def close(self):
        try:
            self._send(struct.pack(">IHHQQI", _REQUEST_MAGIC, 0, DISC, 0, 0, 0))
        except ServerGone:
            pass     # and nothing is left to say
        self._socket.close()

    def _send(self, data):
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ServerGone(str(error)) from error

    def _receive(self, size):
        data = bytearray()
        while len(data) < size:
            try:
                part = self._socket.recv(size - len(data))
            except OSError as error:
                raise ServerGone(str(error)) from error
            if not part:
                raise ServerGone("end of stream")
            data += part
        return bytes(data)
