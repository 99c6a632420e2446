#!/usr/bin/env python3
"""pipecat's agents on its LiveKit transport, all rooms in one process.

    with_pipecat.py echo           a pipeline of input, echo and output, as the transport comes
    with_pipecat.py tuned          the same at the rate of the other echoes, with output in pieces of 10 ms
    with_pipecat.py speak          speaks a clip, and is interrupted by voice after BENCH_CONFIRM_MS: Silero's detection,
                                   which comes with the package, and the turn's start by voice alone
"""

import asyncio
import os
import sys

import rooms
from loguru import logger
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.livekit.transport import LiveKitParams, LiveKitTransport
from pipecat.workers.runner import WorkerRunner

ECHO_RATE = 48_000

TUNED = {"audio_out_10ms_chunks": 1}
"""Nothing else helped: with a queue of 50 ms instead of its second, a busy machine made the echo 300 to 800 ms late."""


class Echo(FrameProcessor):
    """Gives back what comes in; nothing else of it goes on."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            frame = OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
        await self.push_frame(frame, direction)


class Speaker(FrameProcessor):
    """Speaks the clip as a synthesiser does, until it is interrupted."""

    speaking: asyncio.Task[None] | None = None

    def begin(self, *_: object) -> None:
        self.speaking = self.create_task(self._speak())

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame | CancelFrame | EndFrame):
            await self._stop()
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        await self._stop()
        await super().cleanup()

    async def _stop(self) -> None:
        if self.speaking:
            task, self.speaking = self.speaking, None
            await self.cancel_task(task)

    async def _speak(self) -> None:
        import speech

        async for piece in speech.synthesised():
            await self.push_frame(TTSAudioRawFrame(piece, speech.RATE, 1))


def interruptible() -> list[FrameProcessor]:
    from pipecat.audio.vad.silero import SileroVADAnalyzer
    from pipecat.audio.vad.vad_analyzer import VADParams
    from pipecat.processors.audio.vad_processor import VADProcessor
    from pipecat.turns.user_start import VADUserTurnStartStrategy
    from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
    from pipecat.turns.user_turn_processor import UserTurnProcessor
    from pipecat.turns.user_turn_strategies import UserTurnStrategies

    confirm_s = int(os.environ["BENCH_CONFIRM_MS"]) / 1_000
    analyzer = SileroVADAnalyzer(params=VADParams(start_secs=confirm_s))
    # How a turn ends is not measured; by default a model of 8 MB would find that out.
    strategies = UserTurnStrategies(
        start=[VADUserTurnStartStrategy()],
        stop=[SpeechTimeoutUserTurnStopStrategy(wait_for_transcript=False)],
    )
    return [VADProcessor(vad_analyzer=analyzer), UserTurnProcessor(user_turn_strategies=strategies)]


async def work(does: str, url: str, name: str, token: str) -> None:
    params = LiveKitParams(
        audio_in_enabled=True, audio_out_enabled=True, **(TUNED if does == "tuned" else {})
    )
    transport = LiveKitTransport(url, token, name, params)
    speaker = Speaker()
    between = [*interruptible(), speaker] if does == "speak" else [Echo()]
    pipeline = Pipeline([transport.input(), *between, transport.output()])
    rates = {"audio_in_sample_rate": ECHO_RATE, "audio_out_sample_rate": ECHO_RATE} if does == "tuned" else {}
    worker = PipelineWorker(
        pipeline, params=PipelineParams(**rates), idle_timeout_secs=None, enable_rtvi=False
    )

    if does == "speak":
        transport.add_event_handler("on_first_participant_joined", speaker.begin)

    @transport.event_handler("on_participant_disconnected")
    async def _(_transport: object, _participant: object) -> None:
        await worker.cancel()

    @transport.event_handler("on_disconnected")
    async def _(_transport: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stdout, level="WARNING")
    asyncio.run(rooms.serve(lambda url, room, token: work(sys.argv[1], url, room, token)))
