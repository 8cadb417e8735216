#!/usr/bin/env python3
"""Filters > Restore in GIMP 3: what GIMP starts; everything else lies in the folders beside it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scanmend_gimp3.procedures import main

main()
