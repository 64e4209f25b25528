"""What a server does with frames that RFC 6455 forbids: for `check --violations`. It tells, and judges nobody.

Each case is sent on a connection of its own, with a good text after it. The outcome is the code of the close that
came back (the RFC wants 1002, and 1007 for text that is not UTF-8), `cut` if the connection ended without one, or
`taken` if the good text was echoed, so the bad frame did no harm to the sender.
"""

import websocket_client as ws

PROBE = b"the text after it"


def close_with(payload):
    return ws.frame(ws.CLOSE, payload)


def with_first_byte(byte):
    good = bytearray(ws.frame(ws.TEXT, b"x"))
    good[0] = byte
    return bytes(good)


def long_length(payload):
    """A short frame whose length is written in two bytes all the same."""
    short = ws.frame(ws.TEXT, payload)
    return bytes([short[0], 0x80 | 126]) + len(payload).to_bytes(2, "big") + short[2:]


CASES = [
    ("unmasked", lambda: bytes([0x81, 1]) + b"x"),
    ("reserved bit", lambda: with_first_byte(0xC1)),
    ("opcode 3", lambda: with_first_byte(0x83)),
    ("long length", lambda: long_length(b"x")),
    ("ping > 125", lambda: ws.frame(ws.PING, b"x" * 126)),
    ("cut ping", lambda: ws.frame(ws.PING, b"x", fin=False)),
    ("no start", lambda: ws.frame(ws.CONTINUATION, b"x")),
    ("new start", lambda: ws.frame(ws.TEXT, b"x", fin=False) + ws.frame(ws.TEXT, b"y")),
    ("not UTF-8", lambda: ws.frame(ws.TEXT, b"\xff\xfe")),
    ("close 999", lambda: close_with((999).to_bytes(2, "big"))),
    ("close of 1", lambda: close_with(b"\x03")),
]


def outcome(dial, case):
    """One word."""
    with dial() as client:
        client.stream.settimeout(3)
        try:
            client.send_bytes(case() + ws.frame(ws.TEXT, PROBE))
            while True:
                _, opcode, payload = client.receive_frame()
                if opcode == ws.CLOSE:
                    return str(int.from_bytes(payload[:2], "big")) if payload else "no code"
                if payload == PROBE:
                    return "taken"
        except TimeoutError:
            return "silence"
        except (ws.ProtocolError, OSError):
            return "cut"


def outcomes(dial):
    """The outcome of each case, by its name."""
    return {name: outcome(dial, case) for name, case in CASES}
