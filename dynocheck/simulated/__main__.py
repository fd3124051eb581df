"""`python -m dynocheck.simulated`: prints its URL, and serves until standard input ends."""

import sys

from dynocheck.simulated import SimulatedEngine, serve

with serve(SimulatedEngine()) as url:
    print(url, flush=True)
    sys.stdin.read()
