"""Filters > Restore for GIMP 3."""
