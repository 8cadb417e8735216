"""MIMO-UNet, a coarse-to-fine deblurring network, and what all networks of its family share."""
