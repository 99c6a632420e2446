"""The sides that are compared: how each is started, and how it is asked into a room."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from livekit_server import Failure, Server, Shortfall

AGENTS = Path(__file__).resolve().parent / "agents"

READY_S = 60.0
"""How long a side may take until it can be asked into a room: importing the frameworks takes seconds."""

GOODBYE_S = 10.0

REMEDY = "scripts/setup.sh peers installs what the bench needs; --keep leaves the log"


@dataclass(frozen=True)
class Contender:
    """A side of the comparison."""

    name: str
    does: str
    """echo or speak, and variants of the former."""
    side: str
    """antiphon, livekit-agents, pipecat or raw SDK."""

    @property
    def is_worker(self) -> bool:
        """Whether the server asks it for a job, as in production; the others are told of rooms by the bench."""
        return self.side in ("Antiphon", "livekit-agents")


ECHOES = [
    Contender("Antiphon", "echo", "Antiphon"),
    Contender("raw SDK", "echo", "raw SDK"),
    Contender("livekit-agents, no session", "echo", "livekit-agents"),
    Contender("livekit-agents, AgentSession", "session", "livekit-agents"),
    Contender("pipecat", "echo", "pipecat"),
    Contender("pipecat, tuned", "tuned", "pipecat"),
]

SPEAKERS = [
    Contender("Antiphon", "speak", "Antiphon"),
    Contender("raw SDK", "speak", "raw SDK"),
    Contender("livekit-agents", "speak", "livekit-agents"),
    Contender("pipecat", "speak", "pipecat"),
]

DEAF = "raw SDK"
"""It has no voice detection, so nothing interrupts it."""


@dataclass
class Setting:
    """What all sides are given."""

    antiphon: Path
    folder: Path
    speech: Path
    confirm_ms: int


class Agent:
    """A contender's process, from its start to its end."""

    def __init__(self, contender: Contender, setting: Setting, server: Server, number: int) -> None:
        self.contender, self.server = contender, server
        self.name = f"{contender.side.replace(' ', '-').lower()}-{contender.does}-{number}"
        self.log = setting.folder / f"{self.name}.log"
        environment = {
            **os.environ,
            **server.environment(),
            "BENCH_NAME": self.name,
            "BENCH_DOES": contender.does,
            "BENCH_CONFIRM_MS": str(setting.confirm_ms),
            "BENCH_SPEECH": str(setting.speech),
        }
        with self.log.open("wb") as out:
            try:
                self.process = subprocess.Popen(
                    self._command(setting), env=environment, stdin=subprocess.PIPE, stdout=out,
                    stderr=subprocess.STDOUT, cwd=setting.folder, start_new_session=True,
                )
            except OSError as error:
                raise self._failure(f"cannot be started: {error}") from error

    def _command(self, setting: Setting) -> list[str]:
        does = self.contender.does
        match self.contender.side:
            case "Antiphon":
                config = setting.folder / f"{self.name}.yaml"
                text = (AGENTS / f"{does}.yaml").read_text()
                text = text.replace("${CONFIRM_MS}", str(setting.confirm_ms))
                config.write_text(text.replace("${SPEECH}", str(setting.speech)))
                options = ["--json", "--http", "0", "--agent-name", self.name]
                return [str(setting.antiphon), "start", *options, str(config)]
            case "livekit-agents":
                program = AGENTS / "with_livekit_agents.py"
                return [sys.executable, "-m", "livekit.agents", "start", str(program)]
            case "pipecat":
                return [sys.executable, str(AGENTS / "with_pipecat.py"), does]
            case _:
                return [sys.executable, str(AGENTS / "raw_sdk.py"), does]

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ready(self) -> None:
        """Waits until it can be asked into a room."""
        signs = {"Antiphon": '"worker.registered"', "livekit-agents": "registered worker"}
        sign = signs.get(self.contender.side, "ready\n")
        loop = asyncio.get_running_loop()
        end = loop.time() + READY_S
        while sign not in self.log.read_text(errors="replace"):
            if self.process.poll() is not None:
                raise self._failure(f"ended with status {self.process.returncode} before it was ready")
            if loop.time() > end:
                raise self._failure(f"was not ready within {READY_S:.0f} s")
            await asyncio.sleep(0.05)

    async def join(self, room: str) -> None:
        """Asks it into a room."""
        if self.contender.is_worker:
            await self.server.dispatch(room, self.name)
            return
        token = self.server.token(room, "agent")
        line = json.dumps({"url": self.server.url, "room": room, "token": token})
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise self._failure("has ended") from error

    def stop(self) -> None:
        """Ends it and its children, which are of its own group: in good order, if it does not take long."""
        self.process.terminate()
        try:
            self.process.wait(GOODBYE_S)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def silent(self, what: str) -> Shortfall:
        """It runs, and does not do what it should."""
        return Shortfall(f"{self.contender.name} ({self.contender.does}) {what}")

    def _failure(self, what: str) -> Failure:
        said = self.log.read_text(errors="replace")[-2_000:].strip() if self.log.exists() else ""
        tail = f"; the end of its log:\n{said}" if said else ", and it said nothing"
        return Failure(f"{self.contender.name} ({self.contender.does}) {what}{tail}\n{REMEDY}")
