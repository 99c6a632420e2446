"""The clip that an agent speaks, as its side wants it: pieces of 16-bit mono, again and again."""

import itertools
import os
import wave
from collections.abc import Iterator

with wave.open(os.environ["BENCH_SPEECH"], "rb") as file:
    RATE = file.getframerate()
    PCM = file.readframes(file.getnframes())


def pieces(ms: int, times: int | None = None) -> Iterator[bytes]:
    """The clip in pieces of so many milliseconds, so many times over; without end unless it is said."""
    size = RATE * ms // 1_000 * 2
    whole = [PCM[at : at + size] for at in range(0, len(PCM) - size + 1, size)]
    for _ in range(times) if times else itertools.count():
        yield from whole
