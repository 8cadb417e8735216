"""Filters > Restore for GIMP 2.10."""
