"""An engine that is none: it answers as an OpenAI-compatible server does, with words by rote.

It is there for `dynocheck demo`, so that the tour needs no GPU, and says what it is wherever it can: in
/v1/models, in the header `Server`, in its answers. Its times follow a simple rule, so that what is measured
of it can be known beforehand.

    with serving(Engine()) as url:      # on threads of this process
        ...
    with apart() as url:                # in a process of its own, to be measured
        ...
"""

from dynocheck.simulated.engine import RequestError, SimulatedEngine
from dynocheck.simulated.server import serve, serve_in_subprocess

__all__ = ["RequestError", "SimulatedEngine", "serve", "serve_in_subprocess"]
