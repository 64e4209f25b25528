"""A plain echo on picows' core API, in the form of its README and of its guide on fragmented messages.

    python server.py [--port N] [--tls-cert FILE --tls-key FILE]

The port is on 127.0.0.1; 0, the default, lets the kernel choose one. The core API has no permessage-deflate,
and does not look whether text is UTF-8.
"""

import argparse
import ssl
import sys

import uvloop
from picows import WSListener, WSMsgType, ws_create_server

HOST = "127.0.0.1"
# The same as Ringback's listen backlog, so that a storm of connections meets equal conditions.
BACKLOG = 4096
MESSAGE_BYTES_MAX = 64 * 1024 * 1024

CONTINUATION, PING, PONG, CLOSE = WSMsgType.CONTINUATION, WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE


class Echo(WSListener):
    """One connection."""

    def __init__(self):
        self.kind = None  # of a message of which a part has come
        self.parts = bytearray()

    def on_ws_frame(self, transport, frame):
        kind = frame.msg_type
        if kind == CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif kind in (PING, PONG):
            pass  # picows answers pings by itself
        elif frame.fin and kind != CONTINUATION:
            transport.send(kind, frame.get_payload_as_memoryview())
        else:
            self.collect(transport, frame)

    def collect(self, transport, frame):
        """Takes a part of a message; sends the message back when it was the last."""
        if frame.msg_type != CONTINUATION:
            self.kind = frame.msg_type
        self.parts += frame.get_payload_as_memoryview()
        if len(self.parts) > MESSAGE_BYTES_MAX:
            transport.disconnect(False)
        elif frame.fin:
            transport.send(self.kind, self.parts)
            self.parts = bytearray()


def tls_context(cert, key):
    if cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


async def main(options):
    server = await ws_create_server(
        lambda request: Echo(),
        HOST,
        options.port,
        ssl=tls_context(options.tls_cert, options.tls_key),
        max_frame_size=MESSAGE_BYTES_MAX,
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
