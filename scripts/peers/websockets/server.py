"""A plain echo on the asyncio server of websockets, in the form of its README.

    python server.py [--port N] [--tls-cert FILE --tls-key FILE]

The port is on 127.0.0.1; 0, the default, lets the kernel choose one.
"""

import argparse
import logging
import ssl
import sys

import uvloop
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

try:
    import websockets.speedups  # noqa: F401
except ImportError:
    sys.exit("server.py: websockets has no C extension for this machine")

HOST = "127.0.0.1"
# The same as Ringback's listen backlog, so that a storm of connections meets equal conditions.
BACKLOG = 4096
MESSAGE_BYTES_MAX = 64 * 1024 * 1024


async def echo(connection):
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass  # a client that goes away in the middle is its own affair


def tls_context(cert, key):
    if cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


async def main(options):
    # Nothing is said of single connections.
    logging.getLogger("websockets").addHandler(logging.NullHandler())
    logging.getLogger("websockets").propagate = False
    server = await serve(
        echo,
        HOST,
        options.port,
        ssl=tls_context(options.tls_cert, options.tls_key),
        max_size=MESSAGE_BYTES_MAX,
        # No pings of its own and no end to silent connections: no peer here has them.
        ping_interval=None,
        backlog=BACKLOG,
    )
    scheme = "ws" if options.tls_cert is None else "wss"
    print(f"listening on {scheme}://{HOST}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def parse_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    options = parser.parse_args()
    if not 0 <= options.port <= 65535:
        parser.error(f"the port must be a whole number from 0 to 65535, not {options.port}")
    if (options.tls_cert is None) != (options.tls_key is None):
        parser.error("--tls-cert and --tls-key go together")
    return options


if __name__ == "__main__":
    try:
        uvloop.run(main(parse_options()))
    except OSError as error:
        sys.exit(f"server.py: cannot serve: {error}")
