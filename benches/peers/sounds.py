"""What callers and agents say: the project's clips, without their pauses where a sound must not end by itself."""

import wave
from pathlib import Path

import numpy as np
from livekit import rtc

RATE = 48_000
"""Of the callers' microphones."""

FRAME = RATE // 100

SPEECH_RATE = 24_000
"""Of the clip that all agents speak: what the frameworks have inside unless they are told otherwise."""

SPEECH_S = 60

VOICE = 500
"""A sample of the clip of the barge-in that is voice: its first 100 ms are quiet, and are left out."""

PAUSE = 0.1
"""A piece of 10 ms that has less than this share of the clip's mean level is a pause."""

AUDIO = Path(__file__).resolve().parents[2] / "audio"


def read(path: Path, rate: int) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        assert file.getnchannels() == 1 and file.getsampwidth() == 2, path
        pcm, own = file.readframes(file.getnframes()), file.getframerate()
    if own == rate:
        return np.frombuffer(pcm, dtype=np.int16)
    resampler = rtc.AudioResampler(own, rate, quality=rtc.AudioResamplerQuality.HIGH)
    frames = resampler.push(bytearray(pcm)) + resampler.flush()
    return np.concatenate([np.frombuffer(frame.data, dtype=np.int16) for frame in frames])


def without_pauses(samples: np.ndarray, rate: int) -> np.ndarray:
    piece = rate // 100
    pieces = samples[: len(samples) // piece * piece].reshape(-1, piece)
    levels = np.sqrt(np.mean(pieces.astype(np.float64) ** 2, axis=1))
    return pieces[levels > PAUSE * levels.mean()].reshape(-1)


def talk(rate: int) -> np.ndarray:
    """All clips of the caller, one after the other, without a pause."""
    clips = sorted(AUDIO.glob("caller-*.wav"))
    return np.concatenate([without_pauses(read(clip, rate), rate) for clip in clips])


def barge_in() -> np.ndarray:
    """The clip that interrupts, from its first sample of voice."""
    clip = read(AUDIO / "caller-08-barge-in.wav", RATE)
    return clip[int(np.argmax(np.abs(clip.astype(np.int32)) > VOICE)) :]


def write_speech(path: Path) -> None:
    """The clip that agents speak, long enough for every measure."""
    samples = np.resize(talk(SPEECH_RATE), SPEECH_S * SPEECH_RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SPEECH_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
