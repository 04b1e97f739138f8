#!/usr/bin/python3 -IS
"""PID 1 of a user-mode Linux guest whose root is the host's own / through hostfs.

The runner (harness/kernel.py) passes KSCRIPT, KWD and KLIB on the kernel's command line, from where they
arrive as environment. What a script writes below KWD lands on the host; /dev, /proc, /sys, /run and
/mnt are the guest's own. A Python script runs in this process, as in such a guest another one costs a
tenth of a second; any other is bash's, and finds the modules of thin pools and caches loaded.
"""

import os
import sys
import time
import traceback

sys.path[:0] = [os.environ["KLIB"], os.path.dirname(os.environ["KLIB"])]
import system_calls


def prepare():
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LANG="C", DM_DISABLE_UDEV="1")
    for kind, where in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run"), ("tmpfs", "/mnt")):
        system_calls.mount(kind, where)
    if not os.path.exists("/dev/null"):
        system_calls.mount("devtmpfs", "/dev")
    if not os.path.lexists("/dev/fd"):
        os.symlink("/proc/self/fd", "/dev/fd")
    with open("/proc/sys/kernel/printk", "w", encoding="ascii") as level:
        level.write("4")


def run(script):
    """Its exit status."""
    if not script.endswith(".py"):
        import subprocess
        system_calls.load_modules("dm-thin-pool", "dm-cache", "dm-cache-smq")
        return subprocess.run(["bash", script], check=False).returncode
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec")
    try:
        exec(code, {"__name__": "__main__", "__file__": script})
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, flush=True)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def main():
    status = 1
    try:
        prepare()
        print("GUEST-BEGIN", flush=True)
        os.chdir(os.environ["KWD"])
        status = run(os.environ["KSCRIPT"])
    except BaseException:   # whatever it was, the runner is told and the guest ends
        traceback.print_exc(file=sys.stdout)
    print(f"GUEST-END {status}", flush=True)
    os.sync()
    with open("/proc/sysrq-trigger", "w", encoding="ascii") as trigger:
        trigger.write("o")
    time.sleep(10)


main()
