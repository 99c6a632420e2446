#!/usr/bin/env python3
"""Says clicks into a room and notes when they come back, from the official Python client.

    clicks.py URL TOKEN COUNT

A click is 20 ms of a tone every 500 ms, in noise that nobody hears. Its time is from handing it to the client until the
client gives a frame in which it is loud: the client's own buffers, both ways, are part of it. Prints the times in
milliseconds, as a JSON list.
"""

import array
import asyncio
import json
import math
import random
import sys
import time

from livekit import rtc

RATE = 48_000
FRAME = RATE // 100
EVERY = 50
"""Frames of 10 ms between two clicks."""

SETTLING = 200
"""Frames before the first click: buffers have found their size by then."""

LOUD = 3_000
"""A sample that is no noise."""


def loud(frame):
    return max(map(abs, array.array("h", bytes(frame.data)))) > LOUD


async def main(url, token, count):
    room = rtc.Room()
    source = rtc.AudioSource(RATE, 1, queue_size_ms=20)
    heard, tasks, subscribed = [], [], asyncio.Event()

    async def listen(track):
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            if loud(event.frame):
                heard.append(time.monotonic())

    @room.on("track_subscribed")
    def _(track, _publication, _participant):
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            tasks.append(asyncio.ensure_future(listen(track)))
            subscribed.set()

    await room.connect(url, token)
    track = rtc.LocalAudioTrack.create_audio_track("clicks", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
    await room.local_participant.publish_track(track, options)
    await asyncio.wait_for(subscribed.wait(), 15)

    click = array.array("h", (round(12_000 * math.sin(2 * math.pi * 1_000 * n / RATE)) for n in range(FRAME))).tobytes()
    noise = random.Random(1)
    times, said = [], None
    for frame in range(SETTLING + count * EVERY):
        since = frame - SETTLING
        if since >= 0 and since % EVERY == 0:
            said = time.monotonic()
            heard.clear()
        loudly = since >= 0 and since % EVERY < 2
        data = click if loudly else array.array("h", (noise.randrange(-30, 30) for _ in range(FRAME))).tobytes()
        await source.capture_frame(rtc.AudioFrame(data, RATE, 1, FRAME))
        if said is not None and heard:
            times.append(round((heard[0] - said) * 1_000, 1))
            said = None
    print(json.dumps(times), flush=True)
    await room.disconnect()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
