"""What `scanmend plugin check` has a GIMP run: asks its procedures, and tries the way to the engine.

`ASKED` is put in before it is run: the plug-in's folder, the file for the answer, a pattern of procedures.
Python 2.7 and 3.9+ run it.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import io
import json
import os
import shutil
import signal
import sys
import tempfile


def procedures(pattern):
    """The names in GIMP's procedure database that fit."""
    if sys.version_info[0] == 2:
        from gimpfu import pdb  # noqa: PLC0415 - GIMP 2.10's

        return list(pdb.gimp_procedural_db_query(str(pattern), *[str(".*")] * 6)[1])
    import gi  # noqa: PLC0415 - GIMP 3's

    gi.require_version("Gimp", "3.0")
    from gi.repository import Gimp  # noqa: PLC0415 - after its version was said

    return list(Gimp.get_pdb().query_procedures(pattern, *[".*"] * 7))


def engine(folder):
    """How the plug-in there comes to an engine."""
    sys.path.insert(0, folder)
    import scanmend_client as client  # noqa: PLC0415 - the plug-in's own
    from scanmend_front import faults, session, setup  # noqa: PLC0415

    try:
        installation = setup.installed()
        for address in installation.addresses:
            try:
                health = client.Engine(address, 10.0).health()
            except client.EngineFault as fault:
                if fault.kind != "unreachable":
                    return {"sentence": fault.sentence, "hint": fault.hint}
            else:
                return {"running": address, "version": health.get("version", "")}
        return started(session, installation)
    except faults.Trouble as trouble:
        return {"sentence": trouble.sentence, "hint": trouble.hint}


def started(session, installation):
    """Starts an engine of its own as the plug-in would, in a folder of its own, and has it end again."""
    folder = tempfile.mkdtemp(prefix="scanmend-")
    try:
        address, command = os.path.join(folder, "engine.sock"), list(installation.command)
        if sys.platform == "win32":
            address = os.path.join(folder, "engine.json")
            command += ["--socket", address]
        installation.addresses, installation.command = (address,), tuple(command + ["--idle-exit", "1"])
        talk = session.Session(installation)
        talk.open()
        talk.close()
        os.kill(talk.health["pid"], signal.SIGTERM)  # or it would load its networks first, for nobody
        return {"started": command[0], "version": talk.health["version"]}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sandbox():
    """What keeps this GIMP apart from the rest of the system; empty where nothing does."""
    if os.path.exists("/.flatpak-info"):
        return "Flatpak"
    return "Snap" if os.environ.get("SNAP") else ""


def answer(asked):
    """All answers, in one file that is there whole or not at all."""
    said = {"python": sys.version.split()[0], "sandbox": sandbox()}
    try:
        said["procedures"] = procedures(asked["pattern"])
        said["engine"] = engine(asked["folder"])
    except Exception as error:  # noqa: BLE001 - whatever it is, it goes to the person who asked
        said["raised"] = "%s: %s" % (type(error).__name__, error)
    with io.open(asked["answer"] + ".part", "wb") as file:
        file.write(json.dumps(said).encode("ascii"))
    os.rename(asked["answer"] + ".part", asked["answer"])


answer(ASKED)  # noqa: F821 - put in before this is run
