"""`python -m dynocheck`."""

import sys

from dynocheck.cli import main

sys.exit(main())
