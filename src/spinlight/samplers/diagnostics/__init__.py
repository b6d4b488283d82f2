"""What draws are worth: how many independent ones, at which temperature, how far from the exact law."""
