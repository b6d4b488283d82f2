"""`python -m spinlight` is the command line."""

import sys

from spinlight.cli import main

sys.exit(main())
