"""What is measured of one side in one round."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

import processes
import sounds
from caller import Caller
from contenders import DEAF, Agent, Contender, Setting
from livekit_server import Failure, Server

CLICK = (12_000 * np.sin(2 * np.pi * 1_000 * np.arange(2 * sounds.FRAME) / sounds.RATE)).astype(np.int16)
"""20 ms of a tone."""

CLICK_LOUD = 3_000

CLICK_S = 3.0
"""A click that is later is lost."""

PATIENCE_S = 30.0
"""How long an agent's first sound is waited for."""

SETTLING_S = 3.0
"""Buffers find their size, and what begins has begun."""

QUIET_S = 0.7
"""An agent that is not heard for so long is silent; the clip that it speaks has no such pause."""

NOT_INTERRUPTED_S = 6.0

SESSIONS = 5

PACKETS_A_SECOND = 50


@dataclass
class Length:
    """How much is measured in a round."""

    calls: int = 3
    """In each of which clicks are said: within a call, the clocks of client and agent keep their distance."""
    clicks: int = 12
    window_s: float = 10.0
    trials: int = 6


SHORT = Length(calls=2, clicks=6, window_s=5.0, trials=2)

Figures = dict[str, list[float]]

Seen = TypeVar("Seen")


@dataclass
class Round:
    """What one round has found of one side: values by the name of the measure."""

    figures: Figures = field(default_factory=dict)
    realtime: bool = False

    def add(self, name: str, *values: float) -> None:
        self.figures.setdefault(name, []).extend(values)


class Bench:
    """Measures sides on a server, one after the other."""

    def __init__(self, server: Server, setting: Setting, length: Length, seed: int) -> None:
        self.server, self.setting, self.length = server, setting, length
        self.random = random.Random(seed)
        self.rooms = 0
        self.talk, self.barge = sounds.talk(sounds.RATE), sounds.barge_in()

    # ---- The two kinds of agents ------------------------------------------------------------------------------------

    async def echo(self, contender: Contender, number: int, found: Round) -> None:
        """Latency, processor and memory of an echo."""
        async with self._agent(contender, number) as agent:
            await self._settle()
            self._memory(found, "memory_base", agent)
            for _ in range(self.length.calls):
                async with self._callers(agent, 1) as callers:
                    await self._settle()
                    found.add("echo", *await self._clicks(agent, callers[0]))
            async with self._callers(agent, 1) as callers:
                found.realtime = processes.is_realtime(agent.pid)
                await callers[0].say(self.talk, again=True)
                await self._heard(agent, callers)
                found.add("cpu_1", await self._cpu(agent))
                self._memory(found, "memory_1", agent)
                async with self._callers(agent, SESSIONS - 1) as more:
                    for caller in more:
                        await caller.say(self.talk, again=True)
                    await self._heard(agent, [*callers, *more])
                    found.add("cpu_5", await self._cpu(agent) / SESSIONS)
                    self._memory(found, "memory_5", agent)
        one, all_ = found.figures["memory_1"][-1], found.figures["memory_5"][-1]
        found.add("memory_further", (all_ - one) / (SESSIONS - 1))

    async def speak(self, contender: Contender, number: int, found: Round) -> None:
        """Start, barge-in and pacing of an agent that speaks."""
        async with self._agent(contender, number) as agent:
            await self._settle()
            for _ in range(self.length.trials):
                await self._trial(agent, found)
            # What the trials have left behind comes to its end.
            await self._settle()
            async with self._callers(agent, SESSIONS) as callers:
                await self._speaking(agent, callers)
                await self._pacing(agent, found, "idle")
                with busy():
                    await asyncio.sleep(1)
                    await self._pacing(agent, found, "busy")

    # ---- Measures ---------------------------------------------------------------------------------------------------

    async def _clicks(self, agent: Agent, caller: Caller) -> list[float]:
        """From handing over a click until it is heard, in milliseconds; the gaps differ, so that no side's tick is met at
        the same place every time."""
        times = []
        for _ in range(self.length.clicks):
            said = await caller.say(CLICK)
            # Waited for, however late it is: the next one must not be taken for it.
            heard = await until(partial(caller.first_loud, said, CLICK_LOUD), CLICK_S)
            if heard:
                times.append((heard - said) * 1_000)
            await asyncio.sleep(0.35 + 0.01 * self.random.randrange(10))
        if len(times) < self.length.clicks * 0.8:
            raise agent.silent(f"gave back {len(times)} of {self.length.clicks} clicks")
        return times

    async def _cpu(self, agent: Agent) -> float:
        """Percent of a core that the whole tree of processes takes."""
        begun, before = time.monotonic(), processes.ran_s(agent.pid)
        await asyncio.sleep(self.length.window_s)
        after, ended = processes.ran_s(agent.pid), time.monotonic()
        return processes.ran_between(before, after) / (ended - begun) * 100

    def _memory(self, found: Round, name: str, agent: Agent) -> None:
        memory = processes.memory(agent.pid)
        found.add(name, memory.whole_mb)
        found.add(f"{name}_anonymous", memory.anonymous_mb)

    async def _trial(self, agent: Agent, found: Round) -> None:
        """A call: from asking for the agent to its first sound, and, while it speaks, from the first sample of voice that
        is handed over until its last sound."""
        self.rooms += 1
        caller = Caller(f"trial-{self.rooms}")
        try:
            await caller.join(self.server.url, self.server.token(caller.name, "caller"))
            await asyncio.sleep(0.5)
            asked = time.monotonic()
            await agent.join(caller.name)
            first = await until(lambda: caller.first_loud(asked), PATIENCE_S)
            if first is None:
                raise agent.silent(f"was not heard within {PATIENCE_S:.0f} s of being asked")
            found.add("start", (first - asked) * 1_000)
            if agent.contender.side == DEAF:
                return
            await self._speaking(agent, [caller])
            await asyncio.sleep(1 + self.random.random())
            begun = await caller.say(self.barge)
            silent = await until(lambda: caller.silent_for() > QUIET_S, NOT_INTERRUPTED_S)
            last = caller.last_loud()
            if silent and last:
                found.add("barge_in", (last - begun) * 1_000)
            else:
                found.add("not_interrupted", 1)
        finally:
            await caller.leave()
            await self.server.close(caller.name)

    async def _speaking(self, agent: Agent, callers: list[Caller]) -> None:
        """Has the agent speak its clip to all of them: the others begin by themselves, Antiphon when it is told to."""
        if agent.contender.side == "Antiphon":
            for caller in callers:
                await until(partial(caller.first_loud, 0.0), PATIENCE_S)
                await caller.type("speak")
        for caller in callers:
            if not await until(caller.is_spoken_to, PATIENCE_S):
                raise agent.silent("does not speak")

    async def _pacing(self, agent: Agent, found: Round, load: str) -> None:
        """The gaps between packets of the agent's streams on their way to the server."""
        ports = processes.udp_ports(agent.pid)
        words = [sys.executable, str(Path(__file__).with_name("wire.py")), str(self.server.udp)]
        process = await asyncio.create_subprocess_exec(
            *words, str(self.length.window_s), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        said, complaint = await process.communicate()
        if process.returncode:
            raise Failure(f"packets cannot be seen:\n{complaint.decode()[-500:]}")
        streams = {
            name: times for name, times in json.loads(said).items() if int(name.partition("/")[0]) in ports
        }
        gaps = [gap for times in streams.values() for gap in np.diff(times)]
        if not gaps:
            raise agent.silent("sent no audio that could be seen on the wire")
        # Who cannot keep up sends less, which no gap between two packets tells as well.
        due = SESSIONS * self.length.window_s * PACKETS_A_SECOND
        found.add(f"pace_{load}_sent", sum(map(len, streams.values())) / due * 100)
        found.add(f"pace_{load}_p99", float(np.percentile(gaps, 99)))
        found.add(f"pace_{load}_max", max(gaps))

    # ---- Rooms ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _agent(self, contender: Contender, number: int) -> AsyncIterator[Agent]:
        agent = Agent(contender, self.setting, self.server, number)
        try:
            await agent.ready()
            yield agent
        finally:
            agent.stop()

    @asynccontextmanager
    async def _callers(self, agent: Agent, count: int) -> AsyncIterator[list[Caller]]:
        """So many more people in rooms of their own, into each of which the agent is asked."""
        callers = []
        try:
            for _ in range(count):
                self.rooms += 1
                caller = Caller(f"room-{self.rooms}")
                callers.append(caller)
                await caller.join(self.server.url, self.server.token(caller.name, "caller"))
                await agent.join(caller.name)
            for caller in callers:
                if not await until(caller.hears, PATIENCE_S):
                    raise agent.silent(f"did not come into {caller.name} within {PATIENCE_S:.0f} s")
            yield callers
        finally:
            for caller in callers:
                await caller.leave()
                await self.server.close(caller.name)

    async def _heard(self, agent: Agent, callers: list[Caller]) -> None:
        """Everybody hears an echo of their talk."""
        await self._settle()
        for caller in callers:
            if not await until(caller.is_spoken_to, PATIENCE_S):
                raise agent.silent(f"gives nothing back in {caller.name}")

    async def _settle(self) -> None:
        await asyncio.sleep(SETTLING_S)


async def until(look: Callable[[], Seen], patience_s: float) -> Seen:
    """Looks every few milliseconds, until it sees something or has no patience left."""
    end = time.monotonic() + patience_s
    while not (seen := look()) and time.monotonic() < end:
        await asyncio.sleep(0.005)
    return seen


@contextmanager
def busy() -> Iterator[None]:
    """A process a core that computes all the time, of the ordinary class."""
    words = [sys.executable, "-c", "while True: pass"]
    spinners = [subprocess.Popen(words) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
