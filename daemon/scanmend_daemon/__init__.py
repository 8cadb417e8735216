"""The hot folder: watches folders, restores every scan dropped into them, and never loses one."""
