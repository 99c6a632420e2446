"""The measuring client, the same for all sides: a participant on the official SDK who speaks and listens.

Times are the monotonic clock's, from the moment before a frame of 10 ms is handed to the client, and until the client hands
one out: its own buffers, both ways, are part of every figure, and alike for all.
"""

import asyncio
import time
from collections import deque

import numpy as np
from livekit import rtc

from sounds import FRAME, RATE

QUEUE_MS = 20

NOISE = 30
"""The peak of what a microphone gives in silence; nobody hears it, and no side may save itself the work."""

LOUD = 400
"""A peak of a frame that is sound."""

SECOND = 100
"""Frames of a second."""

SPEAKING = 0.6
"""The share of them that are sound while an agent speaks: one that a busy machine makes stutter does speak."""

KEPT = 3_000
"""Frames of which it is known how loud they were: half a minute."""


class Caller:
    """Somebody in a room."""

    def __init__(self, room: str) -> None:
        self.name = room
        self.room = rtc.Room()
        self.heard: deque[tuple[float, int]] = deque(maxlen=KEPT)
        """When each frame of the agent's was heard, and its peak."""
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=QUEUE_MS)
        self._noise = np.random.default_rng(1).integers(-NOISE, NOISE, RATE, dtype=np.int16)
        self._at = 0
        self._clip: np.ndarray | None = None
        self._clip_at, self._again = 0, False
        self._begun: asyncio.Future[float] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, url: str, token: str) -> None:
        self.room.on("track_subscribed", self._subscribed)
        await self.room.connect(url, token)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        await self.room.local_participant.publish_track(track, options)
        self._tasks.append(asyncio.create_task(self._flow()))

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()
        await self._source.aclose()

    async def type(self, text: str) -> None:
        await self.room.local_participant.send_text(text, topic="lk.chat")

    async def say(self, clip: np.ndarray, again: bool = False) -> float:
        """Speaks a clip, or without end; the moment before its first frame is handed over."""
        self._begun = asyncio.get_running_loop().create_future()
        self._clip, self._clip_at, self._again = clip, 0, again
        return await self._begun

    def hush(self) -> None:
        self._clip = None

    def first_loud(self, since: float, loud: int = LOUD) -> float | None:
        return next((when for when, peak in self.heard if when > since and peak > loud), None)

    def last_loud(self) -> float | None:
        return next((when for when, peak in reversed(self.heard) if peak > LOUD), None)

    def silent_for(self) -> float:
        """Seconds since the agent was last heard."""
        return time.monotonic() - (self.last_loud() or 0.0)

    def hears(self) -> bool:
        """Whether an agent is there."""
        return bool(self.heard)

    def is_spoken_to(self) -> bool:
        """Whether the agent speaks, and has for a second."""
        recent = list(self.heard)[-SECOND:]
        return sum(peak > LOUD for _, peak in recent) > SPEAKING * SECOND

    def _subscribed(self, track: rtc.Track, *_: object) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._tasks.append(asyncio.create_task(self._listen(track)))

    async def _listen(self, track: rtc.Track) -> None:
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=10):
            samples = np.frombuffer(event.frame.data, dtype=np.int16)
            self.heard.append((time.monotonic(), int(np.abs(samples.astype(np.int32)).max())))

    async def _flow(self) -> None:
        while True:
            data = self._next()
            if self._begun and not self._begun.done() and self._clip_at == FRAME:
                self._begun.set_result(time.monotonic())
            await self._source.capture_frame(rtc.AudioFrame(data.tobytes(), RATE, 1, FRAME))

    def _next(self) -> np.ndarray:
        if self._clip is not None:
            part = self._clip[self._clip_at : self._clip_at + FRAME]
            self._clip_at += FRAME
            if len(part) == FRAME:
                return part
            if self._again:
                self._clip_at = FRAME
                return self._clip[:FRAME]
            self._clip = None
        self._at = (self._at + FRAME) % (len(self._noise) - FRAME)
        return self._noise[self._at : self._at + FRAME]
