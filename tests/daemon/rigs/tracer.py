"""Runs a command and strikes at exactly the N-th change that it makes below a folder.

    python tracer.py SPEC

A process of its own: only the thread that started a process may trace it, and it has to reap whatever ends.
strace could inject as well, but it counts for each thread apart, so that in a process with many threads
most points are never reached. Here all threads share one count. The kernel stops the process (a seccomp
filter) only at calls that can change a disk; of these, only those below the given folders count.

SPEC is JSON:
    command     list of words
    below       folders; a call counts when one of its paths lies there
    at          the call to strike at, from 1; 0 only records
    until       the last call to strike at, for errors; default `at`
    do          kill (before the call), torn (after half of a write), error (instead of the call),
                squat (a foreign file takes the name that the call is about to give), or
                freeze (as kill, but first "frozen" is written to standard output and a line awaited)
    foreign     the foreign file's text
    errno       for errors
    only        calls' names that count; default all
    log         file that takes a JSON line for each call that counted, and a last one about the end
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import signal
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TRACEME, CONT, GETREGS, SETREGS, SYSCALL, SETOPTIONS = 0, 7, 12, 13, 24, 0x4200
TRACE_CLONE, TRACE_EXEC, TRACE_SECCOMP, EXIT_KILL = 0x8, 0x10, 0x80, 0x100000
EVENT_SECCOMP = 7
ALL_KINDS = 0x40000000  # __WALL: threads as well
AT_CWD = -100

# What can change a disk on x86-64: number -> name and the arguments that name files.
# f: a descriptor, p: a path, ap: a folder's descriptor and a path below it.
CALLS = {
    1: ("write", "f0"), 18: ("pwrite64", "f0"), 20: ("writev", "f0"), 296: ("pwritev", "f0"),
    2: ("open", "p0"), 257: ("openat", "a0"), 85: ("creat", "p0"), 74: ("fsync", "f0"),
    75: ("fdatasync", "f0"), 77: ("ftruncate", "f0"), 285: ("fallocate", "f0"), 91: ("fchmod", "f0"),
    326: ("copy_file_range", "f2"), 40: ("sendfile", "f0"), 76: ("truncate", "p0"), 90: ("chmod", "p0"),
    83: ("mkdir", "p0"), 84: ("rmdir", "p0"), 87: ("unlink", "p0"), 258: ("mkdirat", "a0"),
    263: ("unlinkat", "a0"), 280: ("utimensat", "a0"), 268: ("fchmodat", "a0"), 82: ("rename", "p0 p1"),
    264: ("renameat", "a0 a2"), 316: ("renameat2", "a0 a2"), 86: ("link", "p0 p1"),
    265: ("linkat", "a0 a2"), 88: ("symlink", "p1"), 266: ("symlinkat", "a1"),
}  # fmt: skip
_REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi",
    "orig_rax", "rip",
)  # fmt: skip
_ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
_ALL_REGISTERS = 27  # struct user_regs_struct
_CHANGES_FILE = os.O_CREAT | os.O_TRUNC

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def usable() -> str:
    """Why this machine cannot trace; empty where it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "the tracer knows Linux on x86-64 only"
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if scope.exists() and scope.read_text().strip() == "3":
        return "this system forbids tracing (ptrace_scope is 3)"
    return ""


def ptrace(request: int, pid: int, address: object = None, data: object = None) -> None:
    if libc.ptrace(request, pid, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


# --- in the child ------------------------------------------------------------------------


def _install_filter() -> None:
    """Has the kernel stop this process, and all its threads, at the calls of the table."""
    load_number = struct.pack("HBBI", 0x20, 0, 0, 0)
    stop, allow = struct.pack("HBBI", 0x06, 0, 0, 0x7FF00000), struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
    count = len(CALLS)
    jumps = b"".join(
        struct.pack("HBBI", 0x15, count - place, 0, number) for place, number in enumerate(CALLS)
    )
    code = load_number + jumps + allow + stop
    program = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(program))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if libc.prctl(22, 2, ctypes.create_string_buffer(head, len(head)), 0, 0):  # PR_SET_SECCOMP
        os._exit(126)


def _start(command: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        ptrace(TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        _install_filter()
        os.execvp(command[0], command)  # noqa: S606 - the harness names it
    finally:
        os._exit(127)


# --- in the tracer -----------------------------------------------------------------------


@dataclass
class Tracer:
    """One traced run."""

    spec: dict[str, Any]
    pid: int = 0
    count: int = 0
    fired: int = 0
    status: int = 0
    _cut: int | None = None  # the thread whose write is halved
    _seen: set[int] = field(default_factory=set)

    def run(self) -> None:
        self.pid = _start(self.spec["command"])
        os.waitpid(self.pid, ALL_KINDS)
        ptrace(SETOPTIONS, self.pid, None, TRACE_CLONE | TRACE_EXEC | TRACE_SECCOMP | EXIT_KILL)
        self._seen.add(self.pid)
        with Path(self.spec["log"]).open("w", encoding="utf-8") as log:
            ptrace(CONT, self.pid)
            while self._step(log):
                pass
            end = {"calls": self.count, "fired": self.fired, "status": self.status}
            log.write(json.dumps(end) + "\n")

    def _step(self, log: Any) -> bool:
        thread, status = os.waitpid(-1, ALL_KINDS)
        if not os.WIFSTOPPED(status):
            if thread == self.pid:
                self.status = os.waitstatus_to_exitcode(status)
                return False
            return True
        number, event = os.WSTOPSIG(status), status >> 16
        try:
            if event == EVENT_SECCOMP:
                self._stopped(thread, log)
            elif thread == self._cut and number == signal.SIGTRAP and not event:
                self._kill()
            else:
                quiet = event or number == signal.SIGTRAP or thread not in self._seen
                self._seen.add(thread)
                ptrace(CONT, thread, None, 0 if quiet else number)
        except ProcessLookupError:  # another thread has ended the process meanwhile
            pass
        return True

    def _stopped(self, thread: int, log: Any) -> None:
        registers = (ctypes.c_ulonglong * _ALL_REGISTERS)()
        ptrace(GETREGS, thread, None, registers)
        values = dict(zip(_REGISTERS, registers, strict=False))
        name, paths = self._call(thread, values)
        if not paths:
            ptrace(CONT, thread)
            return
        self.count += 1
        log.write(json.dumps({"n": self.count, "call": name, "paths": paths}) + "\n")
        if not self._is_meant(name, paths):
            ptrace(CONT, thread)
            return
        self.fired += 1
        getattr(self, f"_{self.spec['do']}")(thread, registers, name, paths)

    def _is_meant(self, name: str, paths: list[str]) -> bool:
        """A call is meant by its number, or by what it does: threads take turns as they like."""
        if "meant" in self.spec:
            return not self.fired and [name, paths[-1]] == self.spec["meant"]
        at = self.spec.get("at", 0)
        return at <= self.count <= self.spec.get("until", at)

    def _call(self, thread: int, values: dict[str, int]) -> tuple[str, list[str]]:
        """The call's name and its paths below the folders; none where it is none of ours."""
        name, places = CALLS.get(values["orig_rax"], ("", ""))
        arguments = [values[key] for key in _ARGUMENTS]
        if name in ("open", "openat") and not arguments[1 if name == "open" else 2] & _CHANGES_FILE:
            return name, []
        if not name or name not in self.spec.get("only", (name,)):
            return name, []
        paths = [self._path(thread, place, arguments) for place in places.split()]
        if not any(path.startswith(tuple(self.spec["below"])) for path in paths):
            return name, []
        return name, paths

    def _path(self, thread: int, place: str, arguments: list[int]) -> str:
        kind, index = place[0], int(place[1:])
        try:
            if kind == "f":
                return _link(f"/proc/{thread}/fd/{ctypes.c_int(arguments[index]).value}")
            if kind == "p":
                return self._joined(thread, AT_CWD, arguments[index])
            return self._joined(thread, ctypes.c_int(arguments[index]).value, arguments[index + 1])
        except OSError:
            return ""

    def _joined(self, thread: int, folder: int, address: int) -> str:
        link = f"/proc/{thread}/cwd" if folder == AT_CWD else f"/proc/{thread}/fd/{folder}"
        if not address:  # utimensat on a descriptor
            return _link(link)
        with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
            memory.seek(address)
            text = b""
            while b"\0" not in text and len(text) < 8192:
                text += memory.read(min(256, 4096 - (address + len(text)) % 4096))
        path = os.fsdecode(text.split(b"\0")[0])
        return os.path.normpath(path if path.startswith("/") else f"{_link(link)}/{path}")

    # --- striking ------------------------------------------------------------------------

    def _kill(self, *_ignored: object) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def _freeze(self, *_ignored: object) -> None:
        print("frozen", flush=True)
        sys.stdin.readline()
        os.kill(self.pid, signal.SIGKILL)

    def _squat(self, thread: int, _registers: Any, _name: str, paths: list[str]) -> None:
        with contextlib.suppress(FileExistsError), open(paths[-1], "x", encoding="utf-8") as file:  # noqa: PTH123
            file.write(self.spec["foreign"])
        ptrace(CONT, thread)

    def _torn(self, thread: int, registers: Any, name: str, _paths: list[str]) -> None:
        if name not in ("write", "pwrite64"):
            self._kill()
            return
        registers[_REGISTERS.index("rdx")] //= 2
        ptrace(SETREGS, thread, None, registers)
        self._cut = thread
        ptrace(SYSCALL, thread)  # stops once more when half of it is written

    def _error(self, thread: int, registers: Any, _name: str, _paths: list[str]) -> None:
        registers[_REGISTERS.index("orig_rax")] = 2**64 - 1  # the kernel leaves the call out
        registers[_REGISTERS.index("rax")] = 2**64 - self.spec["errno"]
        ptrace(SETREGS, thread, None, registers)
        ptrace(CONT, thread)


def _link(path: str) -> str:
    return os.readlink(path)  # noqa: PTH115 - called for every change on disk


if __name__ == "__main__":
    Tracer(json.loads(sys.argv[1])).run()
