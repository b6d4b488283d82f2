"""The hot loops: plain arrays in and out."""
