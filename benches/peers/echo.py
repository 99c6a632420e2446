#!/usr/bin/env python3
"""The raw SDK's echo agent: hears the first microphone of the room and says it again, as directly as the SDK can.

    echo.py URL TOKEN

Prints `ready` once its track is published, and runs until it is killed.
"""

import asyncio
import sys

from livekit import rtc

QUEUE_MS = 100
"""What its audio source may hold: ten frames; a shorter queue drops audio when the process is late."""


async def main(url, token):
    room = rtc.Room()
    source = rtc.AudioSource(48_000, 1, queue_size_ms=QUEUE_MS)
    tasks = []

    async def reflect(track):
        async for event in rtc.AudioStream(track, sample_rate=48_000, num_channels=1):
            await source.capture_frame(event.frame)

    @room.on("track_subscribed")
    def _(track, _publication, _participant):
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            tasks.append(asyncio.ensure_future(reflect(track)))

    await room.connect(url, token)
    track = rtc.LocalAudioTrack.create_audio_track("echo", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await room.local_participant.publish_track(track, options)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
