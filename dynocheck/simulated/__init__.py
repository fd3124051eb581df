"""A simulated inference engine with an OpenAI-compatible API and fixed answers.

`dynocheck demo` uses it to work without a GPU. It identifies itself in /v1/models, in the header `Server` and
in its answers. Its latencies follow a simple rule, so that results are predictable.

    with serve(SimulatedEngine()) as url:   # on threads of this process
        ...
    with serve_in_subprocess() as url:      # for load tests
        ...
"""

from dynocheck.simulated.engine import RequestError, SimulatedEngine
from dynocheck.simulated.server import serve, serve_in_subprocess

__all__ = ["RequestError", "SimulatedEngine", "serve", "serve_in_subprocess"]
