"""Measures echoes of 32 bytes with the `websockets` library, and compares every reply.

    client.py URL CONNECTIONS SECONDS          closed loop, one in flight per connection: from just before
                                               a send to just after the receive that completed the reply
    client.py URL CONNECTIONS SECONDS RATE     open loop, evenly spaced over all connections: from when a
                                               message was due to its reply

Prints the round trips, in milliseconds, as one line of JSON.
"""

import asyncio
import os
import sys
import time

from figures import line
from websockets.asyncio.client import connect

BYTES = 32


async def closed(connection, seconds, times):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        message = os.urandom(BYTES)
        began = time.perf_counter()
        await connection.send(message)
        reply = await connection.recv()
        times.append(time.perf_counter() - began)
        if reply != message:
            sys.exit("a reply differs from what was sent")


async def opened(connection, start, distance, count, times):
    pending = asyncio.Queue()

    async def send():
        for number in range(count):
            due = start + number * distance
            await asyncio.sleep(due - time.perf_counter())
            message = os.urandom(BYTES)
            pending.put_nowait((due, message))
            await connection.send(message)

    async def receive():
        for _ in range(count):
            reply = await connection.recv()
            due, message = pending.get_nowait()
            times.append(time.perf_counter() - due)
            if reply != message:
                sys.exit("a reply differs from what was sent")

    await asyncio.gather(send(), receive())


async def main(url, count, seconds, rate):
    times = []
    connections = [await connect(url, compression=None) for _ in range(count)]
    start = time.perf_counter()
    loads = []
    for number, connection in enumerate(connections):
        if rate:
            begins, distance = start + number / rate, count / rate
            loads.append(opened(connection, begins, distance, int(seconds / distance), times))
        else:
            loads.append(closed(connection, seconds, times))
    await asyncio.gather(*loads)
    for connection in connections:
        await connection.close()
    print(line("websockets", times))


arguments = sys.argv[1:]
rate = float(arguments[3]) if len(arguments) > 3 else None
asyncio.run(main(arguments[0], int(arguments[1]), float(arguments[2]), rate))
