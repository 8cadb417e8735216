"""What GIMP's menu says of Scanmend, and how its procedures are called in scripts: alike in both GIMPs."""

from __future__ import absolute_import, division, print_function, unicode_literals

from scanmend_front.words import N_

RESTORE = "plug-in-scanmend-restore"
AGAIN = "plug-in-scanmend-restore-again"
AS = "plug-in-scanmend-restore-as-"
"""Begins the procedures that restore with a profile; its name follows."""

PLACE = "<Image>/Filters"
FOLDER, PROFILES = N_("Restore"), N_("With a Profile")
"""The menu below PLACE, and the one in it for the profiles, which GIMP would sort among the entries."""

LABEL = N_("_Restore...")
BLURB = N_("Removes noise and grain from a scanned photograph; measures first, and keeps the rest.")
AGAIN_LABEL = N_("Restore with _Last Settings")
AGAIN_BLURB = N_("Restores a scanned photograph as the last time, without asking.")
HELP = N_("Works on the active layer, within the selection, at the layer's own precision.")
