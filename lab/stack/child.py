"""Becomes another program that dies with its parent: child.py PARENT_PID DEATH_SIGNAL USER NICE PROGRAM [ARGUMENT...]

A program of its own, because no Python may run in the fork of a process with threads.
USER, where not empty, is whom root becomes. NICE is the nice value of its session, where it may have that.
"""

import ctypes
import os
import pwd
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP = 28, 1 << 2
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def become(user: str) -> None:
    """Give up root, but not the right to pass through folders: the checkout may lie where only root may enter."""
    account = pwd.getpwnam(user)
    libc = ctypes.CDLL(None, use_errno=True)
    # Without it setuid drops all capabilities, and access(), by which PostgreSQL looks for its own files, ignores them.
    kept = libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if kept:
        only = 1 << CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        # Effective, permitted, inheritable: of the capabilities 0 to 31, then of 32 to 63.
        if libc.capset(header, (ctypes.c_uint32 * 6)(only, only, only, 0, 0, 0)):
            raise OSError(ctypes.get_errno(), "capset")
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def set_priority(nice: str) -> None:
    """Where Linux shares the CPU between sessions first, a process's own nice value counts within its session alone."""
    with suppress(OSError):  # a lower value than 0 is for root; and not every kernel has such groups
        Path("/proc/self/autogroup").write_text(nice)


def ask_for_signal(number: int) -> None:
    """Be sent the signal when the parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def main(parent: str, death_signal: str, user: str, nice: str, *command: str) -> None:
    if nice != "0":
        set_priority(nice)
    if user and os.geteuid() == 0:
        become(user)
    ask_for_signal(int(death_signal))  # after the change of user, which clears it
    if os.getppid() == int(parent):  # else it died before we asked to be told
        os.execvp(command[0], command)  # noqa: S606 - it has no need of a shell


if __name__ == "__main__":
    main(*sys.argv[1:])
