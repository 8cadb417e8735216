"""Takes blur out of scans, fast: see card.toml and README.md."""
