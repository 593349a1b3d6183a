"""Run a program that ends when its parent dies: python -I -S end_with_parent.py PARENT SIGNAL USER PROGRAM ARGS...

The kernel sends SIGNAL to the program when the parent dies for any reason, so even SIGKILL of the supervisor leaves no
orphan. This is a separate script, because code between fork and exec can deadlock in a process with threads. USER is the
account that runs the program, or `-` for the current one: PostgreSQL refuses to run as root. Only Linux has this feature; on
other systems the program ends when the supervisor stops in order.
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
        # After the change of user, because that change resets the setting.
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(parting_signal), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
        if os.getppid() != int(parent):
            # The parent died before the setting took effect, so the kernel would never send the signal.
            os.kill(os.getpid(), signal.SIGKILL)
    os.execvp(program, [program, *arguments])


if __name__ == "__main__":
    main()
