"""What a participant says and hears: a microphone that always captures, and recordings of what others send.

Needs nothing but numpy and the client's own resampler. Everything is 16-bit and mono.
"""

import asyncio
import time
import wave
from collections import deque
from pathlib import Path

import numpy as np
from livekit import rtc

RATE = 48_000
"""Of the microphone: what browsers capture with, and what Opus has inside."""

FRAME = RATE // 100
"""Samples of 10 ms, WebRTC's own step."""

QUEUE_MS = 100
"""What the client's source holds before it makes the pump wait: enough for a busy machine, and short."""

BLOCK_MS = 100
"""Of a `level` event."""

CLIP_S_MAX = 600
"""A clip of more is not read."""

FLOOR_DBFS = -120.0
"""What the level of digital silence is called."""


def now_ms():
    """The monotonic clock, which all processes of a machine share."""
    return time.monotonic_ns() / 1e6


def read_clip(path):
    """A WAV file as samples at the microphone's rate."""
    with wave.open(str(path), "rb") as file:
        rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
        if width != 2 or file.getnframes() > CLIP_S_MAX * rate:
            raise ValueError(f"{path}: only 16-bit WAV of at most {CLIP_S_MAX} s is played")
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    samples = samples.reshape(-1, channels).mean(axis=1).astype(np.int16)
    if rate == RATE:
        return samples
    resampler = rtc.AudioResampler(rate, RATE, quality=rtc.AudioResamplerQuality.HIGH)
    frames = resampler.push(bytearray(samples.tobytes())) + resampler.flush()
    return np.concatenate([np.frombuffer(frame.data, dtype=np.int16) for frame in frames])


class Microphone:
    """A published track into which frames flow from the first moment on: clips, a bed of noise, or silence."""

    def __init__(self, emit, go):
        self.emit, self.go = emit, go
        self.source = rtc.AudioSource(RATE, 1, queue_size_ms=QUEUE_MS)
        self.publication = None
        self.track = None
        self._clips = deque()
        self._at = 0
        self._bed = None
        self._bed_at = 0
        self._pump = None

    async def publish(self, participant, name, red, dtx):
        self.track = rtc.LocalAudioTrack.create_audio_track(name, self.source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, red=red, dtx=dtx)
        self.publication = await participant.publish_track(self.track, options)
        self._pump = self.go(self._flow())

    def play(self, path):
        """Queues a clip; `playing` and `played` tell when it leaves the source."""
        self._clips.append((str(path), read_clip(path)))

    def noise(self, path, gain_db):
        """Lays a loop under everything, or takes it away."""
        gain = 10 ** (gain_db / 20)
        self._bed = read_clip(path).astype(np.float32) * gain if path else None
        self._bed_at = 0

    def hush(self):
        """Drops what is queued, and the bed."""
        self._clips.clear()
        self._at, self._bed = 0, None
        self.source.clear_queue()

    async def close(self):
        if self._pump:
            self._pump.cancel()
        await self.source.aclose()

    async def _flow(self):
        while True:
            await self.source.capture_frame(rtc.AudioFrame(self._next(), RATE, 1, FRAME))

    def _next(self):
        mix = np.zeros(FRAME, dtype=np.float32)
        if self._clips:
            path, clip = self._clips[0]
            if self._at == 0:
                self._tell("playing", path)
            part = clip[self._at : self._at + FRAME]
            mix[: len(part)] += part
            self._at += FRAME
            if self._at >= len(clip):
                self._clips.popleft()
                self._at = 0
                self._tell("played", path)
        if self._bed is not None:
            mix += np.take(self._bed, np.arange(self._bed_at, self._bed_at + FRAME), mode="wrap")
            self._bed_at = (self._bed_at + FRAME) % len(self._bed)
        return np.clip(mix, -32_768, 32_767).astype(np.int16).tobytes()

    def _tell(self, event, path):
        """When what is captured now leaves the queue."""
        delay = self.source.queued_duration
        asyncio.get_running_loop().call_later(delay, lambda: self.emit(event, wav=path))


async def record(emit, track, sid, identity, folder, rate):
    """Writes what a track sends, and tells its level; ends with the track, and its file is whole at every block."""
    path = Path(folder) / f"{identity}-{sid}.wav"
    block = rate * BLOCK_MS // 1_000
    stream = rtc.AudioStream(track, sample_rate=rate, num_channels=1, frame_size_ms=10)
    # `wave` mends the header with every block that is written, so that a reader never finds a half.
    with open(path, "wb") as raw, wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        pending, written = [], 0
        try:
            async for event in stream:
                if not written and not pending:
                    emit("recording", identity=identity, sid=sid, file=str(path), rate=rate)
                pending.append(np.frombuffer(event.frame.data, dtype=np.int16))
                if sum(map(len, pending)) < block:
                    continue
                samples = np.concatenate(pending)
                pending = []
                file.writeframes(samples.tobytes())
                raw.flush()
                written += len(samples)
                power = float(np.mean(samples.astype(np.float64) ** 2)) / 32_768**2
                dbfs = max(10 * np.log10(power), FLOOR_DBFS) if power else FLOOR_DBFS
                emit("level", identity=identity, sid=sid, until_ms=written * 1_000 // rate, dbfs=round(dbfs, 1))
        finally:
            if pending:
                file.writeframes(np.concatenate(pending).tobytes())
            await stream.aclose()
            emit("recorded", identity=identity, sid=sid, file=str(path))
