"""Run a program that cannot outlive whoever started it: python -I -S leash.py PARENT SIGNAL USER PROGRAM ARGS...

The kernel sends SIGNAL to the program when its parent dies, however it dies, so not even SIGKILL of the
supervisor leaves an orphan. A script of its own, because code between fork and exec in a process with
threads can deadlock. USER is `-` or whom to run as: PostgreSQL refuses to be root. Only Linux knows how to
do this; elsewhere a program ends with the supervisor's orderly stop.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def become(user: str) -> None:
    account = pwd.getpwnam(user)
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def main() -> None:
    parent, parting_signal, user, program, *arguments = sys.argv[1:]
    if user != "-":
        become(user)
    if sys.platform == "linux":
        # After the change of user: the kernel forgets the setting with the old identity.
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(parting_signal), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
        if os.getppid() != int(parent):
            # The parent died before the setting was in force; nobody would ever end us.
            os.kill(os.getpid(), signal.SIGKILL)
    os.execvp(program, [program, *arguments])


if __name__ == "__main__":
    main()
