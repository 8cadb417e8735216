"""`python -m scanmend` is the `scanmend` command."""

from __future__ import annotations

from scanmend.cli import main

if __name__ == "__main__":
    main()
