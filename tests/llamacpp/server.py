"""Serves a model on loopback until it is killed: `python server.py MODEL PORT SETTINGS`, the last as JSON.

Run by the Python of the environment that holds the package xllamacpp.
"""

import json
import signal
import sys

import xllamacpp


def serve(model: str, port: int, settings: dict[str, object]) -> None:
    """:param settings: of llama.cpp's common_params."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.cpuparams.n_threads = 1
    for name, value in {"n_ctx": 4096, "n_parallel": 2, **settings}.items():
        setattr(params, name, value)
    running = xllamacpp.Server(params)
    print(running.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
