"""`websockets` over TLS: python over_tls.py URL CA. Ends with 0 if everything comes back as it went."""

import ssl
import sys

from websockets.sync.client import connect

url, authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
    context.minimum_version = context.maximum_version = version
    with connect(url, ssl=context, max_size=None) as websocket:
        for size in [0, 1, 125, 126, 16_384, 70_000, 1 << 20]:
            for message in ["é" * (size // 2), b"n" * size]:
                websocket.send(message)
                assert websocket.recv() == message, size
        for number in range(500):
            websocket.send(f"message {number}")
        for number in range(500):
            assert websocket.recv() == f"message {number}"
print("all came back")
