"""A successor that is no good: it does what it should up to some point, and then something else.

It speaks as docs/decisions/restart.md has it, from which it is written: frames of a kind, a length and what follows,
with descriptors beside the first byte.
"""

import json
import os
import signal
import socket
import struct
import sys

how = sys.argv[1]
line = socket.socket(fileno=int(os.environ["RINGBACK_SUCCEED"]))


def say(word):
    text = json.dumps(word).encode()
    line.sendall(b"w" + struct.pack(">I", len(text)) + text)


def hear():
    head, descriptors = b"", []
    while len(head) < 5:
        more, ancillary, _, _ = line.recvmsg(5 - len(head), socket.CMSG_SPACE(253 * 4))
        if not more:
            sys.exit(0)
        head += more
        for _, _, data in ancillary:
            descriptors += struct.unpack(f"{len(data) // 4}i", data)
    (length,) = struct.unpack(">I", head[1:])
    rest = b""
    while len(rest) < length:
        more = line.recv(length - len(rest))
        if not more:
            sys.exit(0)
        rest += more
    return head[:1], rest, descriptors


def hang():
    print("the successor hangs", file=sys.stderr, flush=True)
    while True:
        signal.pause()


protocol, encoding = int(sys.argv[2]), int(sys.argv[3])
if how == "says garbage":
    line.sendall(b"GET / HTTP/1.1\r\n\r\n")
    hang()
if how == "has another version":
    protocol += 1
if how == "has another encoding":
    encoding -= 1
say({"Hello": {"protocol": protocol, "encoding": encoding, "version": "of the test"}})
hear()
if how == "ends once it has listeners":
    sys.exit(7)
if how == "says a word out of turn":
    say({"Taken": {"without": []}})
    hang()
room = 5 if how == "has room for five" else None
say({"Ready": {"room": room, "unused": []}})
hear()
if how == "ends once it is to accept":
    sys.exit(7)
kind, _, descriptors = hear()
assert kind == b"c", kind
if how == "ends with connections":
    sys.exit(7)
if how == "hangs with connections":
    hang()
if how == "refuses all":
    say({"Taken": {"without": list(range(len(descriptors)))}})
    while True:
        hear()
if how == "ends with connections that are its own":
    say({"Taken": {"without": []}})
    print(f"taken: {len(descriptors)}", file=sys.stderr, flush=True)
    hear()
    sys.exit(7)
