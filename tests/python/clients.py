"""Clients from PyPI against a plain echo: python clients.py URL quick|large

Takes each client through what its interface can do, prints a line for each, and ends with 0 if everything came back
as it went. `large` are messages of 16 and 100 MiB, `quick` is all the rest.
"""

import asyncio
import socket
import struct
import sys
from importlib.metadata import version

import aiohttp
import picows
import picows.websockets.asyncio.client
import pycurl
import websocket
import websockets.asyncio.client
import websockets.sync.client

# How long anything may take before a test gives up. Never a measure of speed.
PATIENCE_SECONDS = 60
SIZES = [0, 1, 125, 126, 127, 16_384, 16_385, 65_535, 65_536, 70_000, 1 << 20]
CLOSES = [(1000, "bye"), (1001, ""), (3000, "é" * 61), (4999, "x")]
# What a million equal letters may take on the wire where they are compressed.
COMPRESSED_BYTES_MAX = 20_000


class Websockets:
    """`websockets` on asyncio. `picows` offers the same interface, too."""

    package, deflates, fragments = "websockets", True, True
    # Whether all of a message is written before anything is read.
    writes_first, largest = False, 100 << 20
    module = websockets.asyncio.client

    async def connect(self, url, subprotocols, deflate):
        host, port = url.removeprefix("ws://").rstrip("/").split(":")
        self.socket = socket.create_connection((host, int(port)))
        await self.open(url, sock=self.socket, subprotocols=subprotocols, compression="deflate" if deflate else None)
        self.subprotocol = self.connection.subprotocol
        self.extensions = self.connection.response.headers.get("Sec-WebSocket-Extensions", "")

    async def open(self, url, **options):
        self.connection = await self.module.connect(url, max_size=None, **options)

    async def send(self, message):
        await self.connection.send(message)

    async def send_fragments(self, parts):
        await self.connection.send(parts)

    async def receive(self):
        return await self.connection.recv()

    # Returns the code that the server answers.
    async def close(self, code, reason):
        await self.connection.close(code, reason)
        return self.connection.close_code


class PicowsAsWebsockets(Websockets):
    package, module = "picows", picows.websockets.asyncio.client


class WebsocketsSync(Websockets):
    """Takes nothing in while it sends, so that its largest message is what the server keeps for one peer."""

    writes_first, largest = True, 32 << 20

    async def open(self, url, **options):
        connect = websockets.sync.client.connect
        self.connection = await asyncio.to_thread(connect, url, max_size=None, **options)

    async def send(self, message):
        await asyncio.to_thread(self.connection.send, message)

    send_fragments = send

    async def receive(self):
        return await asyncio.to_thread(self.connection.recv)

    async def close(self, code, reason):
        await asyncio.to_thread(self.connection.close, code, reason)
        return self.connection.close_code


class Picows(picows.WSListener):
    """Its own interface, frame by frame and without compression."""

    package, deflates, fragments = "picows", False, True
    writes_first, largest = False, 100 << 20

    async def connect(self, url, subprotocols, deflate):
        self.messages, self.parts = asyncio.Queue(), []
        offer = {"Sec-WebSocket-Protocol": ", ".join(subprotocols)} if subprotocols else {}
        self.transport, _ = await picows.ws_connect(
            lambda: self, url, max_frame_size=1 << 30, extra_headers=offer
        )
        self.subprotocol = self.transport.response.headers.get("Sec-WebSocket-Protocol")

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == picows.WSMsgType.CLOSE:
            self.code = frame.get_close_code()
            transport.disconnect()
            return
        self.parts.append((frame.msg_type, frame.get_payload_as_bytes()))
        if frame.fin:
            (kind, _), data = self.parts[0], b"".join(data for _, data in self.parts)
            self.messages.put_nowait(data.decode() if kind == picows.WSMsgType.TEXT else data)
            self.parts.clear()

    async def send(self, message):
        is_text = isinstance(message, str)
        kind = picows.WSMsgType.TEXT if is_text else picows.WSMsgType.BINARY
        self.transport.send(kind, message.encode() if is_text else message)

    async def send_fragments(self, parts):
        for number, part in enumerate(parts):
            kind = picows.WSMsgType.CONTINUATION if number else picows.WSMsgType.TEXT
            self.transport.send(kind, part.encode(), fin=number == len(parts) - 1)

    async def receive(self):
        return await self.messages.get()

    async def close(self, code, reason):
        self.transport.send_close(code, reason.encode())
        await self.transport.wait_disconnected()
        return self.code


class Aiohttp:
    package, deflates, fragments = "aiohttp", True, False
    writes_first, largest = False, 100 << 20

    async def connect(self, url, subprotocols, deflate):
        self.session = aiohttp.ClientSession()
        self.connection = await self.session.ws_connect(
            url, protocols=subprotocols, compress=15 if deflate else 0, max_msg_size=0
        )
        self.subprotocol = self.connection.protocol
        self.extensions = "permessage-deflate" if self.connection.compress else ""
        self.socket = self.connection.get_extra_info("socket")

    async def send(self, message):
        is_text = isinstance(message, str)
        await (self.connection.send_str if is_text else self.connection.send_bytes)(message)

    async def receive(self):
        return (await self.connection.receive()).data

    async def close(self, code, reason):
        await self.connection.close(code=code, message=reason.encode())
        await self.session.close()
        return self.connection.close_code


class WebsocketClient:
    package, deflates, fragments = "websocket-client", False, True
    writes_first, largest = True, 100 << 20

    async def connect(self, url, subprotocols, deflate):
        self.connection = await asyncio.to_thread(
            websocket.create_connection, url, subprotocols=subprotocols, timeout=PATIENCE_SECONDS
        )
        self.subprotocol = self.connection.subprotocol

    async def send(self, message):
        kind = websocket.ABNF.OPCODE_TEXT if isinstance(message, str) else websocket.ABNF.OPCODE_BINARY
        await asyncio.to_thread(self.connection.send, message, kind)

    async def send_fragments(self, parts):
        for number, part in enumerate(parts):
            kind = websocket.ABNF.OPCODE_CONT if number else websocket.ABNF.OPCODE_TEXT
            frame = websocket.ABNF.create_frame(part, kind, int(number == len(parts) - 1))
            await asyncio.to_thread(self.connection.send_frame, frame)

    async def receive(self):
        return await asyncio.to_thread(self.connection.recv)

    async def close(self, code, reason):
        await asyncio.to_thread(self.connection.close, code, reason)
        return int.from_bytes(self.connection.close_frame.data[:2], "big")


class Libcurl:
    """As it is published, by `pycurl`. It reads only when it is told to, and knows no compression."""

    package, deflates, fragments = "pycurl", False, True
    writes_first, largest = True, 100 << 20

    async def connect(self, url, subprotocols, deflate):
        self.curl = pycurl.Curl()
        head = []
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.CONNECT_ONLY, 2)
        self.curl.setopt(pycurl.HEADERFUNCTION, lambda line: head.append(line.decode().strip()))
        if subprotocols:
            self.curl.setopt(pycurl.HTTPHEADER, ["Sec-WebSocket-Protocol: " + ", ".join(subprotocols)])
        await asyncio.to_thread(self.curl.perform)
        fields = dict(line.lower().split(": ", 1) for line in head if ": " in line)
        self.subprotocol = fields.get("sec-websocket-protocol")

    async def retry(self, call, *args):
        while True:
            try:
                return call(*args)
            except BlockingIOError:
                await asyncio.sleep(0.001)

    async def send(self, message, flags=None):
        data = message.encode() if isinstance(message, str) else message
        if flags is None:
            flags = pycurl.WS_TEXT if isinstance(message, str) else pycurl.WS_BINARY
        sent = await self.retry(self.curl.ws_send, data, flags)
        while sent < len(data):
            sent += await self.retry(self.curl.ws_send, memoryview(data)[sent:], flags)

    async def send_fragments(self, parts):
        for part in parts[:-1]:
            await self.send(part, pycurl.WS_TEXT | pycurl.WS_CONT)
        await self.send(parts[-1], pycurl.WS_TEXT)

    async def receive(self):
        parts = []
        while True:
            data, frame = await self.retry(self.curl.ws_recv, 1 << 20)
            parts.append(data)
            if frame.bytesleft == 0 and not frame.flags & pycurl.WS_CONT:
                whole = b"".join(parts)
                return whole.decode() if frame.flags & pycurl.WS_TEXT else whole

    async def close(self, code, reason):
        await self.retry(self.curl.ws_close, code, reason)
        answer = await self.receive()
        self.curl.close()
        return int.from_bytes(answer[:2], "big")


async def messages(open_client):
    client = await open_client()
    for size in SIZES:
        for message in ["é" * (size // 2) + "x" * (size % 2), bytes(index * 31 & 0xFF for index in range(size))]:
            await comes_back(client, message)
    for number in range(500):
        await client.send(f"message {number}")
    for number in range(500):
        assert await soon(client.receive()) == f"message {number}"
    await soon(client.close(1000, ""))


async def fragments(open_client):
    client = await open_client()
    await client.send_fragments(["one ", "", "two"])
    assert await soon(client.receive()) == "one two"
    await soon(client.close(1000, ""))


async def closes(open_client):
    for code, reason in CLOSES:
        client = await open_client()
        answer = await soon(client.close(code, reason))
        assert answer == code, f"{answer} in answer to {code}"


async def subprotocols(open_client):
    for offered, agreed in [(["chat", "superchat"], "chat"), ([], None)]:
        client = await open_client(subprotocols=offered)
        assert client.subprotocol == agreed, client.subprotocol
        await comes_back(client, "agreed")
        await soon(client.close(1000, ""))


async def deflate(open_client):
    client = await open_client(deflate=True)
    assert "permessage-deflate" in client.extensions, f"agreed to: {client.extensions!r}"
    for message in ["", "hello", b"", b"hello", "é" * 70_000, bytes(range(256)) * 300]:
        await comes_back(client, message)
    before = wire_bytes(client.socket)
    for message in ["x" * 1_000_000, b"x" * 1_000_000]:
        await comes_back(client, message)
    for taken in [now - then for then, now in zip(before, wire_bytes(client.socket))]:
        assert 0 < taken < COMPRESSED_BYTES_MAX, f"{taken} bytes on the wire"
    await soon(client.close(1000, ""))


async def large(open_client):
    client = await open_client()
    letters = b"sixteen letters." * (1 << 20)
    if client.writes_first:
        await soon(client.send(letters))
        assert await soon(client.receive()) == letters, "what was written first differs"
    await comes_back(client, letters.decode())
    await comes_back(client, (letters * 7)[: client.largest])
    await soon(client.close(1000, ""))


async def comes_back(client, message):
    _, echo = await soon(asyncio.gather(client.send(message), client.receive()))
    assert type(echo) is type(message) and echo == message, f"{len(message)} long, {len(echo)} came back"


def wire_bytes(stream):
    """What its TCP has had acknowledged and has received: tcpi_bytes_acked and tcpi_bytes_received (Linux 4.1)."""
    return struct.unpack_from("=QQ", stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 120)


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, PATIENCE_SECONDS)


async def main():
    url, which = sys.argv[1:]
    for kind in [Websockets, WebsocketsSync, Aiohttp, WebsocketClient, Picows, PicowsAsWebsockets, Libcurl]:
        scenarios = [large]
        if which == "quick":
            scenarios = [messages, closes, subprotocols]
            scenarios += [fragments] if kind.fragments else []
            scenarios += [deflate] if kind.deflates else []

        async def open_client(subprotocols=(), deflate=False):
            client = kind()
            await soon(client.connect(url, subprotocols, deflate))
            return client

        for scenario in scenarios:
            try:
                await scenario(open_client)
            except Exception as error:
                error.add_note(f"{kind.__name__}, {kind.package} {version(kind.package)}: {scenario.__name__}")
                raise
        names = ", ".join(scenario.__name__ for scenario in scenarios)
        print(f"{kind.__name__}, {kind.package} {version(kind.package)}: {names}", flush=True)


asyncio.run(main())
