"""A TCP relay on loopback that answers later: what a distant API server feels like.

Run it as `python -m benchmarks.relay PORT MILLISECONDS`. It prints the port that it listens on.
"""

import asyncio
import sys
from functools import partial

_CHUNK = 1 << 16


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    while data := await source.read(_CHUNK):
        if delay_s:
            loop.call_later(delay_s, sink.write, data)
        else:
            sink.write(data)
    await asyncio.sleep(delay_s)
    sink.close()


async def _relay(
    port: int, delay_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(
        _pass_on(reader, there_writer, 0), _pass_on(there_reader, writer, delay_s), return_exceptions=True
    )


async def main(port: int, delay_ms: int) -> None:
    """Relay to this port until killed, each answer this much later."""
    server = await asyncio.start_server(partial(_relay, port, delay_ms / 1000), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
