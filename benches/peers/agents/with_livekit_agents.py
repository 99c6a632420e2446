"""livekit-agents' agents, in its worker as it comes: `python -m livekit.agents start`, a process for each job.

BENCH_DOES says which:

    echo      says back the first microphone of the room within a job, without the framework's session
    session   the same through an AgentSession: its input, its speech, its output, as they come
    speak     an AgentSession that speaks a clip and is interrupted by voice after BENCH_CONFIRM_MS

The session's voice detection is the one that it takes by itself, Silero's, which comes with the package. What it can wait
for that is no part of the measure is taken away: the three seconds after its first word in which it does not listen.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, AutoSubscribe, JobContext
from livekit.agents.voice import io

DOES = os.environ["BENCH_DOES"]
CONFIRM_S = int(os.environ["BENCH_CONFIRM_MS"]) / 1_000

ECHO_RATE = 48_000
QUEUE_MS = 100

# A busy machine is part of the bench: without this the worker refuses jobs above 0.7.
server = AgentServer(load_fnc=lambda: 0.0, port=0)


async def entry(ctx: JobContext) -> None:
    ctx.room.on("participant_disconnected", lambda _: ctx.shutdown("alone"))
    await {"echo": echo, "session": echo_through_session, "speak": speak}[DOES](ctx)


server.rtc_session(entry, agent_name=os.environ["BENCH_NAME"])


async def echo(ctx: JobContext) -> None:
    source = rtc.AudioSource(ECHO_RATE, 1, queue_size_ms=QUEUE_MS)
    tasks: list[asyncio.Task[None]] = []

    async def reflect(track: rtc.Track) -> None:
        async for event in rtc.AudioStream(track, sample_rate=ECHO_RATE, num_channels=1):
            await source.capture_frame(event.frame)

    @ctx.room.on("track_subscribed")
    def _(track: rtc.Track, *_: object) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            tasks.append(asyncio.create_task(reflect(track)))

    await ctx.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
    track = rtc.LocalAudioTrack.create_audio_track("agent", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await ctx.room.local_participant.publish_track(track, options)


class Tee(io.AudioInput):
    """An input that keeps what passes through it, to be said again."""

    def __init__(self, source: io.AudioInput) -> None:
        super().__init__(label="Tee", source=source)
        self.heard: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await super().__anext__()
        self.heard.put_nowait(frame)
        return frame

    async def again(self) -> AsyncIterator[rtc.AudioFrame]:
        while True:
            yield await self.heard.get()


async def echo_through_session(ctx: JobContext) -> None:
    session = AgentSession(vad=None, aec_warmup_duration=None, user_away_timeout=None)
    await session.start(Agent(instructions=""), room=ctx.room)
    assert session.input.audio is not None
    tee = Tee(session.input.audio)
    session.input.audio = tee
    session.say("echo", audio=tee.again(), allow_interruptions=False, add_to_chat_ctx=False)


async def speak(ctx: JobContext) -> None:
    import speech

    async def frames() -> AsyncIterator[rtc.AudioFrame]:
        async for piece in speech.synthesised():
            yield rtc.AudioFrame(piece, speech.RATE, 1, len(piece) // 2)

    interruption = {"mode": "vad", "min_duration": CONFIRM_S}
    session = AgentSession(
        turn_handling={"interruption": interruption}, aec_warmup_duration=None, user_away_timeout=None
    )
    await session.start(Agent(instructions=""), room=ctx.room)
    session.say("speech", audio=frames(), add_to_chat_ctx=False)
