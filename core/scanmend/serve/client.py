"""The engine's client for front ends: one file, the standard library alone, Python 2.7 and 3.9+.

    engine = Engine.connect(command=["scanmend", "serve"])     # starts it where it does not run
    job = engine.submit({"source": {"path": "/scans/a.tif"}, "target": {"path": "/scans/a.part"}})
    for event in engine.events(job):
        print(event["state"])

Every failure is an EngineFault: one sentence, a hint, and a kind that says whose fault it is. The
types stand beside it in client.pyi, so that hosts on Python 2.7 can read this file.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import contextlib
import errno
import json
import os
import select
import socket
import stat
import subprocess
import sys
import threading
import time

try:
    import http.client as http
    from urllib.parse import quote
except ImportError:  # Python 2.7
    http = __import__("httplib")
    quote = __import__("urllib").quote

__all__ = [
    "ENDS",
    "HEADER",
    "PROTOCOL",
    "Engine",
    "EngineFault",
    "Keeper",
    "clean_environment",
    "default_address",
]

PROTOCOL = "1"
HEADER = "Scanmend-Protocol"
ENDS = ("done", "failed", "cancelled")
"""The states after which a job says nothing more."""

_LEADING_ASTRAY = ("LD_LIBRARY_PATH", "LD_PRELOAD", "GI_TYPELIB_PATH", "GIO_EXTRA_MODULES", "GIO_MODULE_DIR")
_PIECE = 1 << 20
_BROKEN = (OSError, IOError, http.HTTPException)


class EngineFault(Exception):
    """Something went wrong between a front end and the engine.

    Attributes:
        sentence: what is wrong.
        hint: what to do about it; may be empty.
        kind: "unreachable" (nobody answers, or no longer), "protocol" (another version, or no engine
            at all) or "refused" (the engine says no).
        error: for "refused" the engine's own values: class, message, hint, exit_code; else {}.
        status: the HTTP status of a refusal, else 0.
    """

    def __init__(self, sentence, hint="", kind="unreachable", error=None, status=0):
        # What str() gives is bytes in Python 2.7.
        Exception.__init__(self, sentence if sys.version_info[0] > 2 else sentence.encode("utf-8"))
        self.sentence = sentence
        self.hint = hint
        self.kind = kind
        self.error = error or {}
        self.status = status


class Engine(object):
    """An engine process that may or may not be running; each call makes a connection of its own.

    Args:
        address: the path of its Unix socket, or of its token file (.json) on loopback TCP; the usual
            place if not given.
        timeout: seconds of silence after which it counts as gone.
    """

    def __init__(self, address=None, timeout=30.0):
        self.address = address or default_address()
        self.timeout = timeout

    @classmethod
    def connect(  # noqa: PLR0917 - Python 2.7 has no arguments by name alone
        cls, address=None, command=None, timeout=30.0, wait=60.0, log=None, environment=None
    ):
        """An engine that answers: the running one, or one that `command` starts.

        Args:
            address: as for the class.
            command: arguments that start it, for instance [sys.executable, "-m", "scanmend", "serve"];
                the address is added. None only looks for a running one.
            timeout: as for the class.
            wait: seconds that a new one may take to answer.
            log: an open file for what it says; nowhere if not given.
            environment: as `start` takes it.

        Raises:
            EngineFault: it does not run, and cannot be started.
        """
        engine = cls(address, timeout)
        try:
            engine.health()
        except EngineFault as fault:
            if fault.kind != "unreachable" or command is None:
                raise
            engine.start(command, wait, log, environment)
        return engine

    def start(self, command, wait=60.0, log=None, environment=None):
        """Starts an engine that outlives this program, and waits until it answers.

        Of several that are started at once one stays; the others end by themselves.

        Args:
            command: as for `connect`.
            wait: as for `connect`.
            log: as for `connect`.
            environment: its variables; this program's if not given, without those by which hosts such as
                GIMP turn a Python or its libraries into their own.

        Returns:
            The process that was started.

        Raises:
            EngineFault: it ended, or did not answer in time.
        """
        words = list(command)
        if not self._is_tcp():
            words += ["--socket", self.address]
        process = _spawn(words, log, clean_environment() if environment is None else environment)
        waiting = threading.Thread(target=process.wait)  # no zombie, whenever it ends
        waiting.daemon = True
        waiting.start()
        deadline = _now() + wait
        while True:
            try:
                self.health()
            except EngineFault as fault:
                if fault.kind != "unreachable":
                    raise
                code = process.poll()
                if code not in (None, 0):  # 0: another one was faster, and is about to answer
                    raise EngineFault(
                        "the engine could not be started: it ended with status %d" % code,
                        "start it by hand to see why: " + " ".join(words),
                    )
                if _now() > deadline:
                    process.terminate()
                    raise EngineFault("the engine was started and does not answer", fault.sentence)
                time.sleep(0.02)  # its first sign of life is the socket itself
            else:
                return process

    def health(self):
        """What the engine says about itself: version, device, networks, workers, queue."""
        return self._ask("GET", "/v1/health")

    def submit(self, job):
        """Hands over a job; returns its id.

        Paths are absolute text; names that are no UTF-8 are surrogate-escaped, as os.fsdecode gives them.
        """
        return self._ask("POST", "/v1/jobs", json.dumps(job).encode("ascii"))["job"]

    def events(self, job):
        """Yields what happens to a job, as dicts, at least one a second, until its state is in ENDS.

        Raises:
            EngineFault: the engine went away before the job had ended, or does not know the job.
        """
        connection, answer = self._open("GET", "/v1/jobs/%s/events" % job)
        try:
            while True:
                line = self._line(answer)
                if not line.endswith(b"\n"):
                    raise EngineFault(
                        "the engine went away while it was at work: its answer broke off",
                        "the job may be given again",
                    )
                event = json.loads(line.decode("ascii"))
                yield event
                if event["state"] in ENDS:
                    return
        finally:
            answer.close()
            connection.close()

    def cancel(self, job):
        """Stops a job within a tile; one that has ended stays as it is."""
        self._ask("DELETE", "/v1/jobs/%s" % job)

    def profiles(self):
        """All profiles, and what they may hold.

        Returns:
            A dict: version (of Scanmend), keys (of all settings, such as "noise.strength"), default (the
            name of a profile), folder (of the user's own), profiles (the default first: dicts of name,
            purpose, settings, own, and error, a sentence about a file that is not valid, or None).
        """
        return self._ask("GET", "/v1/profiles")

    def save_profile(self, name, settings, replace=False, purpose=""):
        """Writes settings to the user's folder as a profile; returns the file's path.

        Raises:
            EngineFault: with status 409 where there is one of that name and `replace` is false; with 400
                where the name or a setting is not valid, as `error` says.
        """
        values = {"settings": settings, "replace": replace, "purpose": purpose}
        text = name if isinstance(name, bytes) else name.encode("utf-8")  # str is bytes in Python 2.7
        path = "/v1/profiles/" + quote(text, safe=str(""))
        return self._ask("PUT", path, json.dumps(values).encode("ascii"))["path"]

    def keep(self):
        """Keeps the engine running, and its networks loaded, until the Keeper is closed."""
        connection, answer = self._open("GET", "/v1/keep")
        return Keeper(connection, answer)

    def put_pixels(self, job, pixels):
        """Sends a picture's samples: bytes or a memoryview, or pieces of bytes.

        In all they are as many as the job has announced.
        """
        if isinstance(pixels, (bytes, bytearray, memoryview)):
            pixels = _pieces(pixels)
        size = self._size(job)
        connection = self._connection()
        try:
            connection.putrequest("PUT", "/v1/jobs/%s/pixels" % job)
            for name, value in self._headers().items():
                connection.putheader(name, value)
            connection.putheader(str("Content-Length"), str(size))
            with _hearing_refusals(connection):
                connection.endheaders()
                for piece in pixels:
                    connection.send(piece)
            self._read(connection.getresponse())
        except _BROKEN as error:
            raise EngineFault("the engine did not take the pixels: %s" % error)
        finally:
            connection.close()

    def get_pixels(self, job, plane="pixels"):
        """The result's samples as bytes, little-endian, rows first.

        They have the shape and type that were sent; those of the plane "removed" are float32.
        """
        return b"".join(self.read_pixels(job, plane))

    def read_pixels(self, job, plane="pixels", size=4 << 20):
        """Yields what `get_pixels` gives in pieces of `size` bytes, the last one shorter."""
        connection, answer = self._open("GET", "/v1/jobs/%s/%s" % (job, plane))
        left = int(answer.getheader("Content-Length"))
        try:
            while left:
                piece = answer.read(min(size, left))
                left -= len(piece)
                if not piece:
                    raise EngineFault("the engine went away while it sent the pixels: they broke off")
                yield piece
        except _BROKEN as error:
            raise EngineFault("the engine went away while it sent the pixels: %s" % error)
        finally:
            answer.close()
            connection.close()

    # --- underneath ----------------------------------------------------------------------

    def _size(self, job):
        return self._ask("GET", "/v1/jobs/%s" % job)["bytes"]

    def _ask(self, method, path, body=None):
        connection, answer = self._open(method, path, body)
        try:
            text = answer.read()
            return json.loads(text.decode("utf-8")) if text else {}
        except _BROKEN + (ValueError,) as error:
            raise EngineFault("the engine's answer broke off: %s" % error)
        finally:
            answer.close()
            connection.close()

    def _open(self, method, path, body=None):
        """Sends a request; the connection, and the answer with its body unread."""
        connection = self._connection()
        try:
            with _hearing_refusals(connection):
                connection.request(method, path, body, self._headers())
            answer = connection.getresponse()
            try:
                return connection, self._read(answer)
            except BaseException:
                answer.close()
                raise
        except http.HTTPException as error:
            connection.close()
            raise EngineFault(
                "%s does not answer as an engine does: %s" % (self.address, type(error).__name__),
                kind="unreachable" if isinstance(error, http.BadStatusLine) else "protocol",
            )
        except (OSError, IOError) as error:
            connection.close()
            raise EngineFault("the engine does not answer: %s" % error, "start it with: scanmend serve")
        except EngineFault:
            connection.close()
            raise

    def _read(self, answer):
        """The answer, where it is a good one of the right protocol."""
        spoken = answer.getheader(HEADER)
        if spoken is None and answer.status != 503:  # the web server itself refuses too many
            raise EngineFault("%s is no engine of Scanmend" % self.address, kind="protocol")
        if answer.status < 300 and spoken == PROTOCOL:
            return answer
        error = _error_in(answer.read(_PIECE))
        if answer.status == 426 or spoken not in (PROTOCOL, None):
            raise EngineFault(
                error.get("message", "the engine speaks protocol %s, not %s" % (spoken, PROTOCOL)),
                "install the same version of Scanmend on both sides, and end the running engine",
                kind="protocol",
                status=answer.status,
            )
        sentence = error.get("message", "the engine refuses: status %d" % answer.status)
        raise EngineFault(sentence, error.get("hint", ""), "refused", error, answer.status)

    def _line(self, answer):
        try:
            return answer.readline() if hasattr(answer, "readline") else _line_by_bytes(answer)
        except _BROKEN + (ValueError,) as error:
            raise EngineFault("the engine went away while it was at work: %s" % error)

    def _headers(self):
        headers = {str(HEADER): str(PROTOCOL), str("Connection"): str("close")}
        if self._is_tcp():
            headers[str("Authorization")] = str("Bearer %s") % self._door()["token"]
        return headers

    def _is_tcp(self):
        return self.address.endswith(".json")

    def _connection(self):
        if self._is_tcp():
            return http.HTTPConnection("127.0.0.1", self._door()["port"], timeout=self.timeout)
        return _UnixConnection(self.address, self.timeout)

    def _door(self):
        """Port and token of an engine on loopback TCP."""
        try:
            with open(self.address, "rb") as file:
                values = json.loads(file.read(4096).decode("utf-8"))
            return {"port": int(values["port"]), "token": str(values["token"])}
        except (OSError, IOError) as error:
            raise EngineFault("the engine does not run: %s" % error, "start it with: scanmend serve")
        except (ValueError, KeyError, TypeError):
            raise EngineFault("%s names no engine" % self.address, kind="protocol")


class Keeper(object):
    """As long as one is open, the engine does not end for idleness."""

    def __init__(self, connection, answer):
        self._connection = connection
        self._answer = answer
        # Read past the buffers of the HTTP client: all that counts is bytes coming, or the end.
        self._socket = connection.sock or _socket_of(answer)

    def fileno(self):
        """For select: readable at every heartbeat, and when the engine has gone."""
        return self._socket.fileno()

    def alive(self):
        """Whether the engine is still there; never waits."""
        try:
            while select.select([self._socket], [], [], 0)[0]:
                if not self._socket.recv(65536):
                    return False
        except (OSError, IOError, ValueError, select.error):
            return False
        return True

    def close(self):
        """Lets the engine go."""
        try:
            self._socket.close()
        finally:
            self._answer.close()
            self._connection.close()


class _UnixConnection(http.HTTPConnection):
    def __init__(self, path, timeout):
        http.HTTPConnection.__init__(self, "localhost", timeout=timeout)
        self._path = path

    def connect(self):
        _check_owner(self._path)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(self.timeout)
            made.connect(self._path)
        except BaseException:
            made.close()
            raise
        self.sock = made


@contextlib.contextmanager
def _hearing_refusals(connection):
    """Goes on to the answer where the engine has stopped listening before all was sent: it has said why."""
    try:
        yield
    except (OSError, IOError) as error:
        if error.errno not in (errno.EPIPE, errno.ECONNRESET) or connection.sock is None:
            raise


def default_address():
    """Where the engine of this user listens, as `scanmend.places` names it."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(os.path.expanduser("~"), "AppData", "Local")
        return os.path.join(base, "Temp", "scanmend", "engine.json")
    if sys.platform == "darwin":
        base = os.path.join(os.path.expanduser("~"), "Library", "Caches", "TemporaryItems")
        return os.path.join(base, "scanmend", "engine.sock")
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not os.path.isabs(base):
        base = "/run/user/%d" % os.getuid()
        if not os.access(base, os.W_OK):
            state = os.environ.get("XDG_STATE_HOME", "").strip()
            if not state:
                state = os.path.join(os.path.expanduser("~"), ".local", "state")
            base = os.path.join(state, "scanmend", "run")
    return os.path.join(base, "scanmend", "engine.sock")


def _check_owner(path):
    """Refuses another user's socket: it could read what is sent."""
    found = os.lstat(path)
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid not in (os.getuid(), 0):
        raise EngineFault("%s is not an engine's socket of yours" % path, kind="protocol")


def clean_environment():
    """This program's variables without those that lead another Python astray, as hosts set them."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _LEADING_ASTRAY and not name.startswith(("PYTHON", "DYLD_"))
    }


def _spawn(words, log, environment):
    """Starts a program that does not end with this one."""
    options = {"close_fds": True, "env": dict(environment)}
    if sys.platform == "win32":
        options["creationflags"] = 0x00000208  # DETACHED_PROCESS, CREATE_NEW_PROCESS_GROUP
    elif sys.version_info[0] > 2:
        options["start_new_session"] = True
    else:
        options["preexec_fn"] = os.setsid
    try:
        with open(os.devnull, "r+b") as nothing:
            sink = nothing if log is None else log
            return subprocess.Popen(words, stdin=nothing, stdout=sink, stderr=sink, **options)
    except (OSError, IOError) as error:
        raise EngineFault("the engine could not be started: %s: %s" % (words[0], error.strerror))


def _pieces(pixels):
    view = memoryview(pixels)
    if sys.version_info[0] > 2:
        view = view.cast("B")
        return (view[at : at + _PIECE] for at in range(0, len(view), _PIECE))
    whole = view.tobytes()
    return (whole[at : at + _PIECE] for at in range(0, len(whole), _PIECE))


def _socket_of(answer):
    """The socket under an answer that closes its connection, from where each Python keeps it."""
    file = answer.fp
    raw = getattr(file, "raw", None)
    return raw._sock if raw is not None else file._sock  # noqa: SLF001 - there is no public way


def _line_by_bytes(answer):
    """Python 2.7's answers have only read, which waits for as much as it is asked for."""
    line = b""
    while not line.endswith(b"\n"):
        piece = answer.read(1)
        if not piece:
            break
        line += piece
    return line


def _error_in(text):
    try:
        values = json.loads(text.decode("utf-8"))
        return values if isinstance(values, dict) else {}
    except ValueError:
        return {}


def _now():
    return time.time() if sys.version_info[0] == 2 else time.monotonic()
