#!/usr/bin/env python3
"""Says a melody into a room and looks for it in what the agent says, from the official Python client.

    melody.py URL TOKEN NUMBER

The melody has five tones, 400 ms each, and no pauses; which ones depends on the number, so that rooms can be told apart.
An echo brings it back. It goes on until its input ends; then it prints an object: how many pieces of 100 ms it has heard
(`heard`), how many of them are a tone of its own melody that follows on the one before (`right`), and how long all of it
was (`seconds`).
"""

import asyncio
import json
import sys

import numpy as np
from livekit import rtc

RATE = 48_000
FRAME = RATE // 100
TONES = [350, 450, 580, 740, 950, 1_200, 1_500, 1_900]
"""Hz; none is another's harmonic, nearly."""

TONE = 400
"""Milliseconds of a tone."""

PIECE = RATE // 10

SETTLING = 30
"""Pieces that are not judged: buffers find their size."""

CLEAR = 0.5
"""The share of a piece's power that its tone has."""


def melody(number):
    """Five of the tones, in an order that two small numbers do not share, and no tone twice in a row."""
    return [(number * 3 + step * (1 + 2 * (number % 2))) % len(TONES) for step in range(5)]


def tone_of(piece):
    """Which tone a piece is, and whether it is clear."""
    power = float(np.sum(piece**2))
    if power < PIECE * 100.0:
        return None
    time = np.arange(len(piece)) / RATE
    waves = [abs(np.sum(piece * np.exp(-2j * np.pi * hz * time))) ** 2 * 2 / len(piece) for hz in TONES]
    best = int(np.argmax(waves))
    return best if waves[best] > CLEAR * power else None


def judge(tones, order):
    """Pieces that are a tone of the melody, the same as before or the next one. A piece in which one tone ends and
    another begins may be none of them: one alone is as right as what follows it."""
    following = dict(zip(order, order[1:] + order[:1]))
    right, last, between = 0, None, 0
    for tone in tones:
        if tone is None:
            between += 1
            continue
        fits = tone in following and (last is None or tone == last or tone == following[last])
        right += fits * (1 + (between if between == 1 else 0))
        last, between = tone if fits else None, 0
    return right


async def main(url, token, number):
    order = melody(number)
    room, source = rtc.Room(), rtc.AudioSource(RATE, 1, queue_size_ms=100)
    heard, tasks = [], []

    async def listen(track):
        rest = np.zeros(0)
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            rest = np.concatenate([rest, np.frombuffer(event.frame.data, dtype=np.int16).astype(np.float64)])
            while len(rest) >= PIECE:
                heard.append(tone_of(rest[:PIECE]))
                rest = rest[PIECE:]

    @room.on("track_subscribed")
    def _(track, _publication, _participant):
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            tasks.append(asyncio.ensure_future(listen(track)))

    await room.connect(url, token)
    track = rtc.LocalAudioTrack.create_audio_track("melody", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
    await room.local_participant.publish_track(track, options)
    print("ready", flush=True)

    loop = asyncio.get_running_loop()
    over = loop.run_in_executor(None, sys.stdin.read)
    phase, said = 0.0, 0
    while not over.done():
        hz = TONES[order[said * 10 // TONE % len(order)]]
        steps = phase + 2 * np.pi * hz / RATE * np.arange(1, FRAME + 1)
        phase = steps[-1] % (2 * np.pi)
        data = (8_000 * np.sin(steps)).astype(np.int16).tobytes()
        await source.capture_frame(rtc.AudioFrame(data, RATE, 1, FRAME))
        said += 1
    judged = heard[SETTLING:]
    print(json.dumps({"heard": len(judged), "right": judge(judged, order), "seconds": said / 100}), flush=True)
    await room.disconnect()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
