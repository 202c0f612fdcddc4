"""`python -m velodrome` is the same as `velodrome`."""

import sys

from velodrome.cli import main

sys.exit(main())
