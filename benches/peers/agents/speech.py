"""The clip that an agent speaks, as its side wants it: pieces of 16-bit mono, again and again."""

import asyncio
import itertools
import os
import wave
from collections.abc import AsyncIterator, Iterator

with wave.open(os.environ["BENCH_SPEECH"], "rb") as file:
    RATE = file.getframerate()
    PCM = file.readframes(file.getnframes())


PIECE_MS = 100


def pieces(ms: int) -> Iterator[bytes]:
    """The clip in pieces of so many milliseconds, without end."""
    size = RATE * ms // 1_000 * 2
    return itertools.cycle([PCM[at : at + size] for at in range(0, len(PCM) - size + 1, size)])


async def synthesised() -> AsyncIterator[bytes]:
    """The clip as a synthesiser gives it: in pieces, twice as fast as it is heard.

    All at once would be no favour: livekit-agents then takes it all in before it plays the first of it, which cost its first
    sound a second, and its event loop the time.
    """
    for piece in pieces(PIECE_MS):
        yield piece
        await asyncio.sleep(PIECE_MS / 2_000)
