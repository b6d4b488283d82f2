"""`python -m spinlight` is the command line."""

from spinlight.cli import console

console()
