"""Becomes a child program whose life is tied to the server's: run as a script, never imported.

    python -I -S tether.py --parent PID --signal N [--user UID GID] -- PROGRAM ARGUMENT…

On Linux the kernel sends the signal when the parent dies, however it dies. Elsewhere nothing does;
there the child watches its standard input, or the next `jan up` ends what was left behind.
"""

from __future__ import annotations

import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Drop to the user, ask for the signal, and become the program."""
    own, program = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    parent = int(own[own.index("--parent") + 1])
    signal_number = int(own[own.index("--signal") + 1])
    library = None
    if sys.platform == "linux":
        # Before the change of user, who may not be able to read this Python.
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
    if "--user" in own:
        at = own.index("--user")
        user, group = int(own[at + 1]), int(own[at + 2])
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    if library is not None:
        # After the change of user, which would clear the request.
        library.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the server is gone")
    try:
        os.execvp(program[0], program)  # noqa: S606
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
