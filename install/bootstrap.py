"""Makes a private Python environment with Scanmend in it, then runs the demo or the tests there.

    python3 install/bootstrap.py demo [SCAN...]       a sample, aged and restored; your own scans as well
    python3 install/bootstrap.py test [PYTEST ARGS]   the fast tests, or what pytest is asked for
    python3 install/bootstrap.py venv                 only the environment

Standard library only, so that any Python from 3.10 on can run it on a machine where
nothing is installed yet. What is already right is left alone: a stamp in the environment
says which requirements it was made from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "install" / "constraints.txt"
OLDEST = (3, 10)
NEEDED_BYTES = 2 * 10**9  # torch for CPUs with everything else is 1.5 GB unpacked
STAMP = "scanmend-stamp.json"
LOG = "scanmend-install.log"
EXTRAS = {"demo": ("demo",), "test": ("demo", "dev"), "venv": ()}

# The first of these that stands in pip's own words names the reason in ours.
PIP_REASONS = (
    ("No space left on device", "the disk is full: free about 2 GB, then run this again"),
    ("not enough space", "the disk is full: free about 2 GB, then run this again"),
    ("Permission denied", "a folder may not be written to: {log} names it"),
    ("NewConnectionError", "the package index cannot be reached: is this machine online?"),
    ("NameResolutionError", "the package index cannot be reached: is this machine online?"),
    ("Temporary failure in name resolution", "the package index cannot be reached: is this machine online?"),
    ("ConnectTimeoutError", "the package index does not answer: is this machine online, or behind a proxy?"),
    ("ProxyError", "the proxy refuses: check HTTPS_PROXY"),
    ("SSLError", "the package index's certificate is not trusted: set PIP_CERT to your network's own"),
    ("No matching distribution", "a library has no build for this Python or machine: {log} names it"),
    ("ResolutionImpossible", "install/constraints.txt contradicts pyproject.toml: {log} says where"),
)


class BootstrapError(Exception):
    """One sentence that says what is wrong and what to do."""


class Stamp(NamedTuple):
    """What an environment was made from: a digest of the requirements, and the extras."""

    fingerprint: str = ""
    extras: frozenset[str] = frozenset()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code, 1 where the environment could not be made."""
    try:
        arguments, rest = parser().parse_known_args(argv)
        check_python(sys.version_info[:2])
        extras = {*EXTRAS[arguments.command], *filter(None, arguments.extras.split(","))}
        python = prepare(arguments.venv.absolute(), extras)
        return run(python, arguments.command, rest)
    except BootstrapError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"bootstrap: {error.filename or 'this machine'}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bootstrap: stopped; run it again to go on", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line; arguments it does not know go to the demo or to pytest."""
    found = argparse.ArgumentParser(
        prog="bootstrap.py",
        description=(__doc__ or "").split("\n", 1)[0],
        epilog="Other arguments go to the demo (scans to restore as well) or to pytest.",
        allow_abbrev=False,
    )
    found.add_argument("command", choices=sorted(EXTRAS))
    found.add_argument("--venv", type=Path, default=ROOT / ".venv", help="where the environment lies (.venv)")
    found.add_argument("--extras", default="", help="what else to install: demo, dev, bench, openvino")
    return found


def check_python(version: tuple[int, ...]) -> None:
    """Refuses a Python that is too old, or that cannot make environments."""
    if version < OLDEST:
        raise BootstrapError(
            f"Scanmend needs Python 3.10 or newer and this is {version[0]}.{version[1]}:"
            " install a newer one and run this script with it"
        )
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian ships Python without these two
        import venv  # noqa: F401, PLC0415
    except ImportError as error:
        raise BootstrapError(
            f"this Python cannot make environments ({error.name} is missing):"
            " on Debian and Ubuntu run `sudo apt install python3-venv`"
        ) from error


def prepare(venv: Path, extras: set[str]) -> Path:
    """Brings the environment up to date and returns its Python.

    Raises:
        BootstrapError: it cannot be made or filled.
    """
    if venv.exists() and not venv.is_dir():
        raise BootstrapError(f"{venv} is a file: name a folder with --venv")
    python = interpreter(venv)
    have, current = read_stamp(venv), fingerprint()
    if have.fingerprint == current:
        if extras <= have.extras and works(python):
            return python
        extras |= have.extras
    check_disk(venv.parent)
    started = time.monotonic()
    create(venv)
    fill(python, venv, extras)
    write_stamp(venv, Stamp(current, frozenset(extras)))
    print(f"Environment ready in {venv}, {time.monotonic() - started:.0f} s.", flush=True)
    return python


def interpreter(venv: Path) -> Path:
    """Where an environment's own Python lies."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def fingerprint() -> str:
    """A digest of all that decides what goes into the environment."""
    digest = hashlib.sha256()
    for part in ((ROOT / "pyproject.toml").read_bytes(), CONSTRAINTS.read_bytes()):
        digest.update(hashlib.sha256(part).digest())
    # An editable install holds this checkout's path; a minor version of Python, its libraries'.
    digest.update(f"{ROOT}\0{sys.version_info[:2]}\0{sys.platform}".encode())
    return digest.hexdigest()


def read_stamp(venv: Path) -> Stamp:
    """What the environment was made from; nothing where that is unknown."""
    try:
        found = json.loads((venv / STAMP).read_text(encoding="utf-8"))
        return Stamp(str(found["fingerprint"]), frozenset(map(str, found["extras"])))
    except (OSError, ValueError, KeyError, TypeError):
        return Stamp()


def write_stamp(venv: Path, stamp: Stamp) -> None:
    """Written last and in one step, so that an interrupted install leaves none."""
    fresh = venv / (STAMP + ".new")
    text = json.dumps({"fingerprint": stamp.fingerprint, "extras": sorted(stamp.extras)})
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(venv / STAMP)


def check_disk(folder: Path) -> None:
    """Refuses to begin where the libraries cannot fit."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise BootstrapError(
            f"{folder} has {free / 1e9:.1f} GB free and the libraries take about {NEEDED_BYTES / 1e9:.0f} GB:"
            " free some space, or name another place with --venv"
        )


def create(venv: Path) -> None:
    """Makes an empty environment; one that works is kept, and only loses its stamp."""
    if works(interpreter(venv)):
        (venv / STAMP).unlink(missing_ok=True)
        return
    if venv.exists() and not (venv / "pyvenv.cfg").is_file() and any(venv.iterdir()):
        raise BootstrapError(f"{venv} is a folder of something else: name another with --venv")
    print(f"Making an environment in {venv} ...", flush=True)
    # Without --clear an environment whose Python has gone would be kept, dead links and all.
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        said = (made.stderr or made.stdout).strip().splitlines()
        reason = said[-1] if said else "no reason given"
        raise BootstrapError(f"the environment cannot be made in {venv}: {reason}")


def works(python: Path) -> bool:
    """Whether an environment's Python starts and is of our own version."""
    if not python.exists():
        return False
    probe = subprocess.run(
        [str(python), "-c", "import sys; print(*sys.version_info[:2])"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return probe.stdout.split() == [str(part) for part in sys.version_info[:2]]


def fill(python: Path, venv: Path, extras: set[str]) -> None:
    """Installs the package, editable, with its libraries."""
    wanted = f"{ROOT}[{','.join(sorted(extras))}]" if extras else str(ROOT)
    print("Installing Scanmend and its libraries (torch is large; this takes minutes, once) ...", flush=True)
    quiet = (
        () if sys.stdout.isatty() else ("--quiet", "--progress-bar", "off")
    )  # pip's bars are for people who watch
    log = venv / LOG
    done = subprocess.run(
        [
            str(python), "-m", "pip", "install", *quiet,
            "--disable-pip-version-check", "--log", str(log),
            "--constraint", str(CONSTRAINTS), "--editable", wanted,
        ],
        stderr=subprocess.PIPE, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        raise BootstrapError(explain(done.stderr, log))


def explain(said: str, log: Path) -> str:
    """One sentence for what pip wrote to its error stream."""
    for words, reason in PIP_REASONS:
        if words.lower() in said.lower():
            return reason.format(log=log)
    errors = [line for line in said.splitlines() if line.startswith("ERROR:")]
    last = errors[-1].removeprefix("ERROR:").strip() if errors else "pip did not say why"
    return f"the libraries cannot be installed: {last} (all of pip's words are in {log})"


def run(python: Path, command: str, rest: Sequence[str]) -> int:
    """Runs the demo or pytest in the environment."""
    if command == "venv":
        return 0
    if command == "demo":
        # Scans are named relative to where the person stands, so the folder does not change.
        return subprocess.run([str(python), str(ROOT / "install" / "demo.py"), *rest], check=False).returncode
    words = [str(python), "-m", "pytest", "-m", "not slow", *rest]  # a later -m takes the place of this one
    return subprocess.run(words, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
