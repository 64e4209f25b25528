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
import time

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
takes_over = how == "hangs once it has taken over"
say({"Ready": {"room": room, "unused": [0] if takes_over else []}})
hear()
if how == "ends once it is to accept":
    sys.exit(7)
if takes_over:
    print("the successor is to accept", file=sys.stderr, flush=True)
    time.sleep(0.5)
    while hear()[0] == b"c":
        say({"Taken": {"without": []}})
    hang()
kind, _, descriptors = hear()
assert kind == b"c", kind
if how == "ends with connections":
    sys.exit(7)
if how == "hangs with connections":
    hang()
if how == "talks too much":
    # At once, so that it is all there when the first of it is heard.
    word = b'{"Taken":{"without":[0,1,2,3,4,5,6,7,8,9]}}'
    frames = [b"w" + struct.pack(">I", len(it)) + it for it in [b'"Sockets"'] + [word] * 500]
    line.sendall(b"".join(frames))
    line.recv(1)
    print("the successor is alone", file=sys.stderr, flush=True)
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
