"""Puts Scanmend where the system starts it: services for the hot folder."""
