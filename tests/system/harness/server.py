"""Servers under test: `wavetankd serve`, and qemu-nbd to prove the tests themselves.

What is expected of wavetankd:
  serve --metadata F --data F --block-size BYTES --thin ID:BYTES[:NAME] ... --listen unix:PATH
        [--control unix:PATH] [--message TEXT ...]
It formats an all-zero metadata file, applies each message, makes each --thin that the pool does not
have, then listens; an export is named NAME. SIGTERM commits and ends with status 0.
The control socket takes one pool message a line and answers `ok[ TEXT]` or `error TEXT`.
"""

import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from harness import case


class ServerFailed(Exception):
    """The server did not start, or ended badly; carries what it wrote."""


class Server:
    """A process that exports volumes over a Unix socket at `self.socket`."""

    def __init__(self, command, folder, socket_path, limits=None):
        """`limits`: called in the new process, to set its own."""
        self.command = command
        self.socket = pathlib.Path(socket_path)
        self._log = pathlib.Path(folder) / "server.log"
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
                                             stdin=subprocess.DEVNULL, preexec_fn=limits)
        self._await_listening()

    def _await_listening(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise ServerFailed(f"ended with {self._process.returncode}:\n{self.log()}")
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(self.socket))
                return
            except OSError:
                time.sleep(0.01)
        self.kill()
        raise ServerFailed(f"not listening after {seconds} s:\n{self.log()}")

    def log(self):
        return self._log.read_text(errors="replace")

    def uri(self, name=""):
        return f"nbd+unix:///{name}?socket={self.socket}"

    def copy_out(self, name, path):
        """nbdcopy of one export into a file."""
        subprocess.run(["nbdcopy", self.uri(name), str(path)], check=True, timeout=300)

    def kill(self):
        """SIGKILL: no chance to write anything more."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.socket.parent, ignore_errors=True)

    def signal(self, number):
        self._process.send_signal(number)

    def pid(self):
        return self._process.pid

    def processor_seconds(self):
        """What it has used so far, by its own and the kernel's count."""
        words = pathlib.Path(f"/proc/{self.pid()}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK")

    def running(self):
        return self._process.poll() is None

    def stop(self, timeout=30):
        """SIGTERM, and a clean end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired as late:
            self.kill()
            raise ServerFailed(f"did not stop within {timeout} s:\n{self.log()}") from late
        shutil.rmtree(self.socket.parent, ignore_errors=True)
        if status != 0:
            raise ServerFailed(f"ended with {status}:\n{self.log()}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.kill()


class Wavetankd(Server):
    """Serves the thin volumes `thins` {id: bytes} of a pool; exports are named by id."""

    def __init__(self, folder, meta, data, thins, block_sectors=128, messages=(), extra=(),
                 limits=None):
        folder = pathlib.Path(folder)
        # A socket's path has 107 bytes at most; test folders are deeper than that.
        self._sockets = short_folder(folder)
        self.control_path = self._sockets / "control"
        listen = self._sockets / "nbd"
        command = [case.program("wavetankd"), "serve", "--metadata", meta, "--data", data,
                   "--block-size", str(block_sectors * 512), "--listen", f"unix:{listen}",
                   "--control", f"unix:{self.control_path}"]
        for thin_id, size in thins.items():
            command += ["--thin", f"{thin_id}:{size}:{thin_id}"]
        for message in messages:
            command += ["--message", message]
        super().__init__([str(word) for word in [*command, *extra]], folder, listen, limits)

    def control(self, message):
        """Sends one pool message; its answer's text."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(30)
            peer.connect(str(self.control_path))
            peer.sendall(message.encode() + b"\n")
            answer = peer.makefile().readline().rstrip("\n")
        word, _, text = answer.partition(" ")
        if word != "ok":
            raise ServerFailed(f"{message}: {answer or 'no answer'}")
        return text


class WavetankdRaw(Server):
    """Our front end and rings on a plain file, with no engine between."""

    def __init__(self, folder, image, reactors=2):
        listen = short_folder(pathlib.Path(folder)) / "nbd"
        super().__init__([str(case.program("wavetankd")), "serve", "--raw", f"0={image}",
                          "--reactors", str(reactors), "--listen", f"unix:{listen}"],
                         folder, listen)


class QemuNbd(Server):
    """A raw file served by qemu-nbd, with the volumes' interface as far as one file goes."""

    def __init__(self, folder, image):
        listen = short_folder(pathlib.Path(folder)) / "nbd"
        super().__init__(["qemu-nbd", "--persistent", "--shared=64", "--format=raw", "--cache=none",
                          "--discard=unmap", f"--socket={listen}", "--export-name=0", str(image)],
                         folder, listen)


class CachedVolume(Wavetankd):
    """One cached volume, exported as `name`, on the files meta.img, fast.img and origin.img."""

    def __init__(self, folder, name, more=""):
        folder = pathlib.Path(folder)
        self._sockets = short_folder(folder)
        self.control_path = self._sockets / "control"
        listen = self._sockets / "nbd"
        files = ",".join(f"{role}={folder / file}.img" for role, file in
                         (("metadata", "meta"), ("fast", "fast"), ("origin", "origin")))
        command = [case.program("wavetankd"), "serve", "--cache", f"{name}:{files}{more}",
                   "--listen", f"unix:{listen}", "--control", f"unix:{self.control_path}",
                   "--reactors", "2"]
        Server.__init__(self, [str(word) for word in command], folder, listen)


def short_folder(folder):
    """A folder under /tmp for the sockets of one test folder, gone when its server is."""
    path = pathlib.Path("/tmp") / f"wt-{hashlib.md5(str(folder).encode()).hexdigest()[:12]}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def check_thin(image):
    """`wavetank check thin IMAGE`: (exit status, what it said). 0 clean, 1 leaks only, 2 damaged."""
    done = subprocess.run([case.program("wavetank"), "check", "thin", str(image)],
                          capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr
