"""Filters > Restore: what can be tested without GIMP, and what only a real GIMP shows."""
