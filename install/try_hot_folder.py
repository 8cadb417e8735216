"""Drops a scan into a hot folder of an installed Scanmend: `python try_hot_folder.py BIN SCAN`.

Standard library only, as the environment under trial has no development tools.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_END_ENGINE = (
    "import os, signal; from scanmend.serve.client import Engine; "
    "os.kill(Engine().health()['pid'], signal.SIGTERM)"
)


def main() -> int:
    """Watches until the scan is done; 0 where its result stands."""
    programs, scan = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="sm-") as home:  # short, for a socket's path
        places = {"XDG_STATE_HOME": home, "XDG_RUNTIME_DIR": home}
        environment = {**os.environ, **places}
        inbox = Path(home) / "Scans"
        inbox.mkdir()
        shutil.copy(scan, inbox)
        watch = [str(programs / "scanmend"), "watch", str(inbox), "--once"]
        code = subprocess.run(watch, env=environment, check=False).returncode
        subprocess.run([str(programs / "python"), "-c", _END_ENGINE], env=environment, check=False)
        result = Path(home) / "Scans-restored" / f"{scan.stem}_restored{scan.suffix}"
        return code or int(not result.exists())


if __name__ == "__main__":
    sys.exit(main())
