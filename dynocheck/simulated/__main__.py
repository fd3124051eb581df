"""`python -m dynocheck.simulated`: serve until standard input ends, and say first where."""

import sys

from dynocheck.simulated import SimulatedEngine, serve

with serve(SimulatedEngine()) as url:
    print(url, flush=True)
    sys.stdin.read()
