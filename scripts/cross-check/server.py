"""A WebSocket echo server whose delays are known, on the `websockets` library.

    server.py PORT holds    holds nine replies in ten for 5 ms, nine in a hundred for 20 ms, and one in a
                            hundred for 80 ms, drawn from a fixed seed
    server.py PORT stalls   answers at once, but stands still for a second, two seconds after the first message

On SIGINT it prints, as one line of JSON, for how many milliseconds it really held the replies.
"""

import asyncio
import random
import signal
import sys
import time

from figures import line
from websockets.asyncio.server import serve

HOLDS_SECONDS = ((0.90, 0.005), (0.99, 0.020), (1.0, 0.080))
STALL_AFTER_SECONDS = 2.0
STALL_SECONDS = 1.0


async def main(port, mode):
    drawn = random.Random(1)
    held = []
    loop = asyncio.get_running_loop()

    async def echo(connection):
        async for message in connection:
            began = time.perf_counter()
            if mode == "holds":
                chance = drawn.random()
                await asyncio.sleep(next(hold for share, hold in HOLDS_SECONDS if chance < share))
            elif not held:
                # One thread does everything here, so that it sleeps is a stall of everything.
                loop.call_later(STALL_AFTER_SECONDS, time.sleep, STALL_SECONDS)
            held.append(time.perf_counter() - began)
            await connection.send(message)

    stop = loop.create_future()
    loop.add_signal_handler(signal.SIGINT, stop.set_result, None)
    async with serve(echo, "127.0.0.1", port, compression=None):
        await stop
    print(line("held by the server", held))


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
