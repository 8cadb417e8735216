"""Takes blur out of scans as well as we can: MIMO-UNet+."""
