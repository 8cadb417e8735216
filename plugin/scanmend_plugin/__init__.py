"""Brings Filters > Restore into a person's GIMPs: finds them, installs the plug-in, checks it, removes it.

What runs inside GIMP lies in `payload` and is copied as it stands: `scanmend_front` (shared, the standard
library of Python 2.7 and 3.9+), `scanmend_gimp3`, `scanmend_gimp2`, and the two files that GIMP starts.
"""
