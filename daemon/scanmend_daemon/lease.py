"""Whether somebody on this machine has a file open for writing."""

from __future__ import annotations

import errno
import signal
import sys


def writer_of(fd: int) -> bool | None:
    """Asks the kernel for a read lease on a file opened read-only, and gives it back at once.

    Writers on other machines, or behind a FUSE mount, stay unseen: True holds a file back, False
    alone does not make it finished.

    Returns:
        True: some process has it open for writing. False: none on this machine has. None: the
        system, the disk or the file's owner gives no answer.
    """
    if not sys.platform.startswith("linux"):
        return None
    import fcntl  # noqa: PLC0415 - not there on Windows

    try:
        # Whoever opens the file for writing in between breaks the lease, and the kernel sends us a
        # signal: SIGIO unless told otherwise, whose default is to end the process. SIGURG's is nothing.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno in {errno.EAGAIN, errno.EWOULDBLOCK} else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
