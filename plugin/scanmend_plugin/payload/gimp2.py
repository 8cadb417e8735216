#!/usr/bin/env python2
# -*- coding: utf-8 -*-
"""Filters > Restore for GIMP 2.10: the file that GIMP starts."""

from __future__ import absolute_import, division, print_function, unicode_literals

import os
import sys

sys.dont_write_bytecode = True  # the folder may belong to somebody else, and stays as it was installed
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from scanmend_gimp2 import procedures  # noqa: E402 - the path comes first

procedures.main()
