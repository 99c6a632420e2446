"""A livekit-server of the bench's own on loopback, and what opens it."""

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

from livekit import api

ROOT = Path(__file__).resolve().parents[2]

UP_S = 20.0


class Failure(Exception):
    """The bench cannot go on: what happened, and what to do."""


class Shortfall(Exception):
    """A side has not done in time what is measured: a finding, which does not end the run."""


def program() -> str:
    """The order in which the project's tests look for it."""
    named = os.environ.get("LIVEKIT_SERVER")
    own = ROOT / ".tools/bin/livekit-server"
    found = named or shutil.which("livekit-server") or (str(own) if own.exists() else None)
    if not found or not shutil.which(found):
        raise Failure("no livekit-server: run scripts/setup.sh peers, or name one in LIVEKIT_SERVER")
    return found


def free_ports() -> tuple[int, int, int]:
    held = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = tuple(one.getsockname()[1] for one in held)
    for one in held:
        one.close()
    return ports


class Server:
    """Started with `start`, ended with `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.secret = folder, secrets.token_hex(24)
        self.port, self.tcp, self.udp = free_ports()
        self.url = f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        config, log = self.folder / "livekit.yaml", self.folder / "livekit.log"
        config.write_text(
            f"port: {self.port}\nbind_addresses: [127.0.0.1]\nkeys: {{ bench: {self.secret} }}\n"
            "logging: { level: warn }\nrtc:\n  node_ip: 127.0.0.1\n  enable_loopback_candidate: true\n"
            "  use_external_ip: false\n  interfaces: { includes: [lo, lo0] }\n"
            f"  tcp_port: {self.tcp}\n  udp_port: {self.udp}\n"
        )
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [program(), "--config", str(config)], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        loop = asyncio.get_running_loop()
        end = loop.time() + UP_S
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                break
            except OSError:
                if self.process.poll() is not None or loop.time() > end:
                    self.stop()
                    raise Failure(f"the livekit-server does not come up; it said:\n{log.read_text()[-1_500:]}") from None
                await asyncio.sleep(0.05)
        self.api = api.LiveKitAPI(self.url.replace("ws", "http"), "bench", self.secret)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def token(self, room: str, identity: str) -> str:
        token = api.AccessToken("bench", self.secret).with_identity(identity)
        if identity == "agent":
            token = token.with_kind("agent")
        return token.with_grants(api.VideoGrants(room_join=True, room=room)).to_jwt()

    def environment(self) -> dict[str, str]:
        return {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": "bench", "LIVEKIT_API_SECRET": self.secret}

    async def dispatch(self, room: str, agent: str) -> None:
        await self.api.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(room=room, agent_name=agent))

    async def close(self, room: str) -> None:
        """Ends a room, and thereby what agents do in it."""
        try:
            await self.api.room.delete_room(api.DeleteRoomRequest(room=room))
        except api.TwirpError as error:
            if error.code != "not_found":
                raise


def version() -> str:
    said = subprocess.run([program(), "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    return said.split()[-1] if said.split() else "of unknown version"
