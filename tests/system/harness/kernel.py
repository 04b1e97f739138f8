"""Runs scripts in the real Linux kernel, as a user-mode guest that boots in a second.

The guest's root is the host's /, its disks are host files (ubd1 is /dev/ubdb, ubd2 /dev/ubdc, ...).
Needs no privileges and no KVM. What a guest prints after its start is what the caller gets. Scripts are
Python (guest/), which runs in the guest's first process (uml/guest_init.py), or bash's.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
GUEST_INIT = HERE.parent / "uml" / "guest_init.py"
GUEST_SCRIPTS = HERE.parent / "guest"


class GuestFailed(Exception):
    """The guest did not run its script to a zero exit; carries all that it printed."""


def available():
    """Whether this machine has the user-mode kernel."""
    return shutil.which("linux.uml") is not None


def program():
    """The user-mode kernel itself."""
    return pathlib.Path(shutil.which("linux.uml"))


def memory_folder(megabytes):
    """Where the guest's memory file goes: a tmpfs with room, or a plain folder."""
    shm = pathlib.Path("/dev/shm")
    try:
        stat = os.statvfs(shm)
    except OSError:
        return tempfile.gettempdir()
    room = stat.f_bavail * stat.f_frsize >= 2 * megabytes << 20
    return str(shm) if room and not stat.f_flag & os.ST_NOEXEC else tempfile.gettempdir()


class Guest:
    """One boot. Iterate over `lines()` to follow it, then `wait()`, or `kill()` at any time."""

    def __init__(self, script, folder, disks=(), env=None, megabytes=256):
        script = pathlib.Path(script)
        if not script.is_absolute() and (GUEST_SCRIPTS / script).exists():
            script = GUEST_SCRIPTS / script
        folder = pathlib.Path(folder).resolve()
        self.status = None
        self.output = []
        self._uml_dir = tempfile.mkdtemp(prefix="uml-")
        words = {"KSCRIPT": script.resolve(), "KWD": folder, "KLIB": GUEST_SCRIPTS}
        words.update(env or {})
        command = [
            "linux.uml", f"mem={megabytes}M", "root=/dev/root", "rootfstype=hostfs",
            "rootflags=/", "rw", "quiet", f"uml_dir={self._uml_dir}", f"init={GUEST_INIT}",
            # 256 old-style terminals and 64 serial lines would take it longer than all the rest.
            "con=null", "con0=fd:0,fd:1", "ssl=none", "pty.legacy_count=0",
        ]
        for number, disk in enumerate(disks, start=1):
            command.append(f"ubd{number}={pathlib.Path(disk).resolve()}")
        for name, value in words.items():
            if any(c.isspace() for c in str(value)):
                raise ValueError(f"{name}: a word of the kernel's command line holds no blanks")
            command.append(f"{name}={value}")
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
            env=dict(os.environ, TMPDIR=memory_folder(megabytes)))

    def lines(self):
        """The script's lines, as they come."""
        begun = False
        for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.output.append(line)
            if line.startswith("GUEST-END "):
                self.status = int(line.split()[1])
            elif begun:
                yield line
            begun = begun or line == "GUEST-BEGIN"

    def kill(self):
        """Ends the guest as a lost power supply would: nothing more reaches the host's files."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        for _ in self.lines():
            pass
        self._reap()

    def wait(self, timeout=300):
        """All of the script's remaining lines; GuestFailed unless it ended with status 0."""
        timer = _Alarm(timeout, self)
        with timer:
            found = list(self.lines())
        self._reap()
        if timer.fired or self.status != 0:
            why = f"longer than {timeout} s" if timer.fired else f"exit status {self.status}"
            raise GuestFailed(f"guest: {why}\n" + "\n".join(self.output))
        return found

    def _reap(self):
        self._process.wait()
        self._process.stdout.close()
        shutil.rmtree(self._uml_dir, ignore_errors=True)


class _Alarm:
    """Kills a guest that takes too long."""

    def __init__(self, seconds, guest):
        import threading
        self.fired = False
        self._guest = guest
        self._timer = threading.Timer(seconds, self._fire)

    def _fire(self):
        self.fired = True
        try:
            os.killpg(self._guest._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def __enter__(self):
        self._timer.start()
        return self

    def __exit__(self, *_):
        self._timer.cancel()


def run(script, folder, disks=(), env=None, timeout=300, megabytes=256):
    """Boots, runs `script` in `folder`, powers off; the lines it printed."""
    return Guest(script, folder, disks, env, megabytes).wait(timeout)


def main(arguments):
    if not arguments:
        sys.exit("usage: kuml SCRIPT [NAME=VALUE ...] [ubdN=FILE ...]")
    pairs = dict(argument.split("=", 1) for argument in arguments[1:])
    disks = [pairs.pop(f"ubd{n}") for n in range(1, 8) if f"ubd{n}" in pairs]
    guest = Guest(pathlib.Path(arguments[0]).resolve(), ".", disks, pairs,
                  int(pairs.pop("KMEM", 256)))
    for line in guest.lines():
        print(line, flush=True)
    guest._reap()
    sys.exit(99 if guest.status is None else guest.status)


if __name__ == "__main__":
    main(sys.argv[1:])
