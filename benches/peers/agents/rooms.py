"""What the peers without a worker of their own have in common: one process that is told on its input which rooms to join.

Each line is an object with `url`, `room` and `token`; a room's work runs beside that of the others, and ends when the room
does. `ready` is printed once lines are read. This is less than a worker has to do, whom the server asks for a job first.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable

Work = Callable[[str, str, str], Awaitable[None]]
"""What is done in a room: its server's address, its name, and a token for it."""


async def serve(work: Work) -> None:
    async def guarded(url: str, room: str, token: str) -> None:
        try:
            await work(url, room, token)
        except Exception:
            traceback.print_exc()
            print(f"failed in {room}", flush=True)

    loop, lines, tasks = asyncio.get_running_loop(), asyncio.StreamReader(), set()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    while line := await lines.readline():
        task = asyncio.create_task(guarded(**json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
