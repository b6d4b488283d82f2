"""Continuous stand-ins for binary latents, through which gradients flow; one file each."""
