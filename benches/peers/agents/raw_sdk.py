#!/usr/bin/env python3
"""The raw SDK's agents, all rooms in one process: the least that Python can do with LiveKit.

    raw_sdk.py echo     says back the first microphone of the room, as directly as the SDK can
    raw_sdk.py speak    speaks a clip without end; nothing hears whether somebody interrupts
"""

import asyncio
import sys

import rooms
from livekit import rtc

QUEUE_MS = 100
"""What an audio source may hold: ten frames; a shorter queue drops audio when the process is late."""

ECHO_RATE = 48_000


async def reflect(track: rtc.Track, source: rtc.AudioSource) -> None:
    async for event in rtc.AudioStream(track, sample_rate=ECHO_RATE, num_channels=1):
        await source.capture_frame(event.frame)


async def speak(source: rtc.AudioSource) -> None:
    import speech

    for piece in speech.pieces(10):
        await source.capture_frame(rtc.AudioFrame(piece, speech.RATE, 1, len(piece) // 2))


def rate(does: str) -> int:
    if does == "echo":
        return ECHO_RATE
    import speech

    return speech.RATE


async def work(does: str, url: str, name: str, token: str) -> None:
    room, over, tasks = rtc.Room(), asyncio.Event(), []
    source = rtc.AudioSource(rate(does), 1, queue_size_ms=QUEUE_MS)

    @room.on("track_subscribed")
    def _(track: rtc.Track, *_: object) -> None:
        if does == "echo" and track.kind == rtc.TrackKind.KIND_AUDIO:
            tasks.append(asyncio.create_task(reflect(track, source)))

    room.on("disconnected", lambda _: over.set())
    room.on("participant_disconnected", lambda _: over.set())
    await room.connect(url, token)
    track = rtc.LocalAudioTrack.create_audio_track("agent", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await room.local_participant.publish_track(track, options)
    if does == "speak":
        tasks.append(asyncio.create_task(speak(source)))
    await over.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await room.disconnect()
    await source.aclose()


if __name__ == "__main__":
    asyncio.run(rooms.serve(lambda url, room, token: work(sys.argv[1], url, room, token)))
