"""A small WebSocket client for `check`, on nothing but the standard library.

Every frame from the server is held to RFC 6455: no mask, no reserved bits but that of an agreed permessage-deflate, whole
control frames, shortest lengths.
"""

import base64
import hashlib
import os
import select
import socket
import zlib

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1 = 0x40

TIMEOUT_SECONDS = 20
# What fits into the buffers of any two sockets.
LARGE_BYTES = 100_000
HEAD_BYTES_MAX = 16 * 1024
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class ProtocolError(Exception):
    """What the server did wrong, in one sentence."""


def frame(opcode, payload, fin=True, rsv1=False):
    """A masked frame with a fresh key."""
    head = bytearray([opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)])
    size = len(payload)
    if size < 126:
        head.append(0x80 | size)
    elif size < 1 << 16:
        head.append(0x80 | 126)
        head += size.to_bytes(2, "big")
    else:
        head.append(0x80 | 127)
        head += size.to_bytes(8, "big")
    key = os.urandom(4)
    return bytes(head) + key + masked(payload, key)


def deflated(message):
    """As RFC 7692, section 7.2.1, has it, without context takeover."""
    deflate = zlib.compressobj(wbits=-15)
    return (deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def inflated(payload):
    return zlib.decompressobj(wbits=-15).decompress(payload + b"\x00\x00\xff\xff")


def masked(payload, key):
    """XOR as one long number: fast enough for 16 MiB."""
    size = len(payload)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")


class Client:
    """One connection, open after the handshake."""

    def __init__(self, port, headers="", tls=None):
        self.pongs = []
        self.buffer = bytearray()
        self.is_tls = tls is not None
        self.stream = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        try:
            self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.stream = tls.wrap_socket(self.stream, server_hostname="127.0.0.1")
            self.headers = self.shake_hands(port, headers)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()

    def shake_hands(self, port, headers):
        key = base64.b64encode(os.urandom(16))
        request = (
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key.decode()}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        )
        self.send_bytes(request.encode())
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > HEAD_BYTES_MAX:
                raise ProtocolError("the answer to the handshake does not end")
            self.read_more("the answer to the handshake")
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer = bytearray(rest)
        status, *lines = head.decode("latin-1").split("\r\n")
        if not status.startswith("HTTP/1.1 101 "):
            raise ProtocolError(f"the handshake was answered with {status!r}")
        pairs = (line.partition(":") for line in lines)
        answer = {name.strip().lower(): value.strip() for name, _, value in pairs}
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        if answer.get("sec-websocket-accept") != accept:
            raise ProtocolError("Sec-WebSocket-Accept is wrong")
        return answer

    def send_bytes(self, data):
        if self.is_tls or len(data) < LARGE_BYTES:
            self.stream.sendall(data)
            return
        # A server that streams a large message back holds no more of it than the sockets do.
        rest = memoryview(data)
        while rest:
            readable, writable, _ = select.select([self.stream], [self.stream], [], TIMEOUT_SECONDS)
            if not readable and not writable:
                raise TimeoutError("timed out while a large message was sent")
            if readable:
                self.read_more("a large message")
            if writable:
                rest = rest[self.stream.send(rest) :]

    def send(self, opcode, payload, fin=True, rsv1=False):
        self.send_bytes(frame(opcode, payload, fin, rsv1))

    def send_fragments(self, opcode, parts):
        for index, part in enumerate(parts):
            self.send(opcode if index == 0 else CONTINUATION, part, fin=index == len(parts) - 1)

    def read_more(self, what):
        data = self.stream.recv(1 << 18)
        if not data:
            raise ProtocolError(f"the connection ended within {what}")
        self.buffer += data

    def take(self, count, what):
        while len(self.buffer) < count:
            self.read_more(what)
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def receive_frame(self):
        """(fin, opcode, payload); a compressed message's first frame has its RSV1 in the opcode"""
        first, second = self.take(2, "a frame")
        fin, opcode, size = bool(first & 0x80), first & 0x0F, second & 0x7F
        may_compress = "sec-websocket-extensions" in self.headers and opcode in (TEXT, BINARY)
        if first & (0x30 if may_compress else 0x70):
            raise ProtocolError("a frame has reserved bits set")
        if second & 0x80:
            raise ProtocolError("a frame is masked")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise ProtocolError(f"a frame has opcode {opcode}")
        if opcode >= CLOSE and (size > 125 or not fin):
            raise ProtocolError("a control frame is too long or in fragments")
        if size == 126:
            size = int.from_bytes(self.take(2, "a frame"), "big")
            shortest = size >= 126
        elif size == 127:
            size = int.from_bytes(self.take(8, "a frame"), "big")
            shortest = size >= 1 << 16
        else:
            shortest = True
        if not shortest:
            raise ProtocolError("a length is not in its shortest form")
        if size > MESSAGE_BYTES_MAX:
            raise ProtocolError(f"a frame of {size} bytes")
        return fin, opcode | first & RSV1, self.take(size, "a frame")

    def receive_message(self):
        """(opcode, payload) of the next message; pongs are kept, pings answered."""
        kind, parts = None, []
        while True:
            fin, opcode, payload = self.receive_frame()
            if opcode == PONG:
                self.pongs.append(payload)
            elif opcode == PING:
                self.send(PONG, payload)
            elif opcode == CLOSE:
                raise ProtocolError(f"it closed the connection: {payload!r}")
            elif (opcode == CONTINUATION) != (kind is not None):
                raise ProtocolError("fragments are out of order")
            else:
                kind = opcode if kind is None else kind
                parts.append(payload)
                if fin:
                    message = b"".join(parts)
                    return kind & ~RSV1, inflated(message) if kind & RSV1 else message

    def receive_close(self):
        """The code of the close that comes next, None if it has none."""
        fin, opcode, payload = self.receive_frame()
        if opcode != CLOSE:
            raise ProtocolError(f"a frame of opcode {opcode} came after the close")
        return int.from_bytes(payload[:2], "big") if payload else None

    def expect_end(self):
        """The server, not the client, ends the connection after the closing handshake."""
        if self.buffer or self.stream.recv(1):
            raise ProtocolError("bytes came after the close")
