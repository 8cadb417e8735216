"""What both plug-ins share: settings, words, and the talk with the engine; the standard library alone."""
