#!/usr/bin/env python3
"""A participant of a LiveKit room made of the official Python client, for tests.

It is told what to do by lines of JSON on its standard input, `{"do": "join", "id": 1, …}`, and tells what happens by
lines of JSON on its standard output, `{"event": "joined", "t": 81.5, …}`; `t` is the monotonic clock in milliseconds,
which is the same for all processes of a machine. Each command is answered by `done` or `error` with its `id`, and they
are done in order; `rpc` and `play` are done at once, and what they come to is told by events. The end of its input, or
`quit`, ends it.

Commands, with their defaults:
  join {url, token, auto_subscribe: true, relay: false, key: null, topics: []}   key: of end-to-end encryption
  publish {name: "microphone", red: true, dtx: true}     a microphone at 48 kHz; silence flows until something is played
  play {wav}                                             queues a clip; publishes first, if nothing is
  noise {wav: null, gain_db: 0}                          a loop under everything from now on, or none
  say_nothing {}                                         drops clips and noise
  mute {}, unmute {}, unpublish {}
  subscribe {sid, on: true}
  record {dir, rate: 48000}                              every remote audio track into a WAV of its own; before or after
  chat {text}                                            a text stream on lk.chat
  text {topic, text, attributes: {}, to: []}             a text stream on any topic
  send {topic: "", text | base64, reliable: true, to: []}
  rpc {to, method, payload: "", timeout: 5}              → rpc_answer {method, payload} or rpc_error {code, message}
  answer {method, payload | code and message}            how a method is answered from now on; → rpc_called
  attributes {set: {}}, metadata {text}, name {text}
  dtmf {code, digit}
  reconnect {how: "resume" | "full"}                     breaks the connection, as a network would
  leave {}, quit {}
"""

import asyncio
import base64
import json
import os
import sys
from pathlib import Path

from livekit import rtc

from sound import Microphone, now_ms, record

LINE_MAX = 1 << 20
"""Bytes of a command."""

TEXT_MAX = 1 << 16
"""Characters of a text that are told."""

TOPICS = ["lk.transcription", "lk.chat"]

PATIENCE_S = 15
"""How long a command may take: less than a test waits for it, so that the test is told which one it was."""


def emit(event, **fields):
    line = json.dumps({"event": event, "t": round(now_ms(), 3), **fields})
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more


def word(enum, value, prefix):
    """The name of an enum's value, as the protocol has it, in short."""
    return enum.Name(value).removeprefix(prefix).lower()


def kind(participant):
    return word(rtc.ParticipantKind, participant.kind, "PARTICIPANT_KIND_")


def about(publication):
    return {
        "sid": publication.sid,
        "name": publication.name,
        "kind": word(rtc.TrackKind, publication.kind, "KIND_"),
        "source": word(rtc.TrackSource, publication.source, "SOURCE_"),
        "mime": publication.mime_type,
        "muted": publication.muted,
        "encrypted": publication.encryption_type != rtc.EncryptionType.NONE,
    }


class Peer:
    def __init__(self):
        self.room = rtc.Room()
        self.microphone = None
        self.recordings = {}
        self.folder = None
        self.rate = 48_000
        self.tasks = set()
        self.answers = {}
        self._listen()

    # ---- Commands --------------------------------------------------------------------------------------------------

    async def join(self, url, token, auto_subscribe=True, relay=False, key=None, topics=()):
        options = rtc.RoomOptions(auto_subscribe=auto_subscribe)
        if relay:
            options.rtc_config = rtc.RtcConfiguration(ice_transport_type=rtc.IceTransportType.TRANSPORT_RELAY)
        if key is not None:
            provider = rtc.KeyProviderOptions(shared_key=key.encode())
            options.encryption = rtc.E2EEOptions(key_provider_options=provider)
        for topic in {*TOPICS, *topics}:
            self.room.unregister_text_stream_handler(topic)  # of a join that was refused
            self.room.register_text_stream_handler(topic, self._text_stream)
        await self.room.connect(url, token, options)
        me = self.room.local_participant
        sid = await self.room.sid
        emit("joined", room=self.room.name, room_sid=sid, identity=me.identity, sid=me.sid, kind=kind(me),
             attributes=me.attributes, metadata=self.room.metadata)
        # Who is there already is told as if they had come now.
        for participant in self.room.remote_participants.values():
            self._participant_joined(participant)
            for publication in participant.track_publications.values():
                self._track("track_published", publication, participant)

    async def publish(self, name="microphone", red=True, dtx=True):
        if self.microphone:
            raise ValueError("there is a microphone already")
        self.microphone = Microphone(emit, self._go)
        await self.microphone.publish(self.room.local_participant, name, red, dtx)
        emit("published", **about(self.microphone.publication))

    async def play(self, wav):
        await self._published()
        self.microphone.play(wav)

    async def noise(self, wav=None, gain_db=0):
        await self._published()
        self.microphone.noise(wav, gain_db)

    async def say_nothing(self):
        await self._published()
        self.microphone.hush()

    async def mute(self):
        self._track_of_mine().mute()

    async def unmute(self):
        self._track_of_mine().unmute()

    async def unpublish(self):
        self._track_of_mine()
        microphone, self.microphone = self.microphone, None
        await self.room.local_participant.unpublish_track(microphone.publication.sid)
        await microphone.close()

    async def subscribe(self, sid, on=True):
        for participant in self.room.remote_participants.values():
            if sid in participant.track_publications:
                participant.track_publications[sid].set_subscribed(on)
                return
        raise ValueError(f"nobody has published {sid}")

    async def record(self, dir, rate=48_000):
        self.folder, self.rate = Path(dir), rate
        for participant in self.room.remote_participants.values():
            for publication in participant.track_publications.values():
                if publication.track:
                    self._record(publication.track, publication, participant)

    async def chat(self, text):
        await self.text("lk.chat", text)

    async def text(self, topic, text, attributes=None, to=()):
        await self.room.local_participant.send_text(
            text, topic=topic, attributes=attributes or {}, destination_identities=list(to)
        )

    async def send(self, topic="", text=None, base64=None, reliable=True, to=()):
        payload = decoded(base64) if text is None else text.encode()
        await self.room.local_participant.publish_data(
            payload, reliable=reliable, destination_identities=list(to), topic=topic
        )

    async def rpc(self, to, method, payload="", timeout=5):
        async def call():
            try:
                answer = await self.room.local_participant.perform_rpc(
                    destination_identity=to, method=method, payload=payload, response_timeout=timeout
                )
                emit("rpc_answer", method=method, to=to, payload=answer)
            except rtc.RpcError as error:
                emit("rpc_error", method=method, to=to, code=int(error.code), message=error.message, data=error.data)

        self._go(call())

    async def answer(self, method, payload="", code=None, message=""):
        self.answers[method] = (payload, code, message)

        def handler(call):
            payload, code, message = self.answers[method]
            emit("rpc_called", method=method, caller=call.caller_identity, payload=call.payload[:TEXT_MAX])
            if code is not None:
                raise rtc.RpcError(code, message)
            return payload

        self.room.local_participant.register_rpc_method(method, handler)

    async def attributes(self, set):
        await self.room.local_participant.set_attributes(set)

    async def metadata(self, text):
        await self.room.local_participant.set_metadata(text)

    async def name(self, text):
        await self.room.local_participant.set_name(text)

    async def dtmf(self, code, digit):
        await self.room.local_participant.publish_dtmf(code=code, digit=digit)

    async def reconnect(self, how="resume"):
        kinds = rtc.SimulateScenarioKind
        scenarios = {"resume": kinds.SIMULATE_SIGNAL_RECONNECT, "full": kinds.SIMULATE_FULL_RECONNECT}
        await self.room.simulate_scenario(scenarios[how])

    async def leave(self):
        if self.microphone:
            await self.microphone.close()
            self.microphone = None
        await self.room.disconnect()
        # What was recorded is whole before `done` says so.
        recordings = list(self.recordings.values())
        for recording in recordings:
            recording.cancel()
        await asyncio.gather(*recordings, return_exceptions=True)

    # ---- Events ----------------------------------------------------------------------------------------------------

    def _listen(self):
        room = self.room
        room.on("participant_connected", self._participant_joined)
        room.on("participant_disconnected", lambda who: emit(
            "participant_left", identity=who.identity, reason=reason(who.disconnect_reason)))
        for event in ["track_published", "track_unpublished"]:
            room.on(event, lambda publication, who, event=event: self._track(event, publication, who))
        room.on("track_subscribed", self._subscribed)
        room.on("track_unsubscribed", self._unsubscribed)
        room.on("track_subscription_failed", lambda who, sid, error: emit(
            "track_subscription_failed", identity=who.identity, sid=sid, message=str(error)))
        for event in ["track_muted", "track_unmuted"]:
            room.on(event, lambda who, publication, event=event: self._track(event, publication, who))
        room.on("local_track_subscribed", lambda track: emit("local_track_subscribed", sid=track.sid))
        room.on("participant_attributes_changed", lambda changed, who: emit(
            "attributes", identity=who.identity, changed=changed, all=who.attributes))
        room.on("participant_metadata_changed", lambda who, old, new: emit(
            "metadata", identity=who.identity, text=new))
        room.on("participant_name_changed", lambda who, old, new: emit("name", identity=who.identity, text=new))
        room.on("room_metadata_changed", lambda old, new: emit("room_metadata", text=new))
        room.on("data_received", self._data)
        room.on("sip_dtmf_received", lambda dtmf: emit(
            "dtmf", identity=identity(dtmf.participant), code=dtmf.code, digit=dtmf.digit))
        room.on("transcription_received", lambda segments, who, publication: emit(
            "transcription", identity=identity(who), sid=publication.sid if publication else None,
            segments=[{"id": s.id, "text": s.text, "final": s.final} for s in segments]))
        room.on("active_speakers_changed", lambda speakers: emit(
            "active_speakers", identities=[who.identity for who in speakers]))
        room.on("connection_quality_changed", lambda who, quality: emit(
            "quality", identity=identity(who), quality=quality.name.removeprefix("QUALITY_").lower()))
        room.on("participant_encryption_status_changed", lambda who, on: emit(
            "encryption", identity=identity(who), on=on))
        room.on("reconnecting", lambda: emit("reconnecting"))
        room.on("reconnected", lambda: emit("reconnected"))
        room.on("disconnected", lambda why: emit("disconnected", reason=reason(why)))

    def _participant_joined(self, participant):
        emit("participant_joined", identity=participant.identity, sid=participant.sid, name=participant.name,
             kind=kind(participant), attributes=participant.attributes, metadata=participant.metadata)

    def _track(self, event, publication, participant):
        emit(event, identity=participant.identity, **about(publication))

    def _subscribed(self, track, publication, participant):
        self._track("track_subscribed", publication, participant)
        self._record(track, publication, participant)

    def _unsubscribed(self, track, publication, participant):
        self._track("track_unsubscribed", publication, participant)
        # The client's stream would wait for more.
        if publication.sid in self.recordings:
            self.recordings[publication.sid].cancel()

    def _record(self, track, publication, participant):
        if self.folder and track.kind == rtc.TrackKind.KIND_AUDIO and publication.sid not in self.recordings:
            task = self._go(record(emit, track, publication.sid, participant.identity, self.folder, self.rate))
            self.recordings[publication.sid] = task
            task.add_done_callback(lambda _: self.recordings.pop(publication.sid, None))

    def _data(self, packet):
        try:
            text = packet.data.decode()
        except UnicodeDecodeError:
            text = None
        emit("data", identity=identity(packet.participant), topic=packet.topic, bytes=len(packet.data),
             reliable=packet.kind == rtc.DataPacketKind.KIND_RELIABLE, text=text and text[:TEXT_MAX],
             base64=base64.b64encode(packet.data[:TEXT_MAX]).decode() if text is None else None)

    def _text_stream(self, reader, sender):
        self._go(self._read(reader, sender))

    async def _read(self, reader, sender):
        """Tells a stream when it opens, with each piece, and when it is closed, then with its final attributes."""
        text, pieces = "", 0

        def tell(state, **more):
            emit("text_stream", state=state, id=reader.info.stream_id, topic=reader.info.topic, identity=sender,
                 attributes=reader.info.attributes or {}, text=text[:TEXT_MAX], pieces=pieces, **more)

        tell("opened")
        try:
            async for piece in reader:
                text, pieces = text + piece, pieces + 1
                if len(text) > TEXT_MAX:
                    reader.close()
                    tell("broken", message=f"longer than {TEXT_MAX} characters")
                    return
                tell("update")
            tell("closed")
        except rtc.StreamError as error:
            tell("broken", message=str(error))

    # ---- The rest --------------------------------------------------------------------------------------------------

    def _track_of_mine(self):
        if not self.microphone:
            raise ValueError("nothing is published")
        return self.microphone.track

    async def _published(self):
        if not self.microphone:
            await self.publish()

    def _go(self, work):
        """Starts something that is not waited for; what goes wrong in it is told."""
        task = asyncio.create_task(work)
        self.tasks.add(task)

        def over(task):
            self.tasks.discard(task)
            if not task.cancelled() and task.exception():
                emit("error", message=f"{type(task.exception()).__name__}: {task.exception()}")

        task.add_done_callback(over)
        return task


def identity(participant):
    return participant.identity if participant else None


def decoded(text):
    return base64.b64decode(text, validate=True)


def reason(value):
    return None if value is None else word(rtc.DisconnectReason, value, "")


COMMANDS = {name for name in vars(Peer) if not name.startswith("_")}


async def main():
    peer = Peer()
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=LINE_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    emit("ready")
    while line := await lines.readline():
        number, name = None, None
        try:
            command = json.loads(line)
            number, name = command.pop("id", None), command.pop("do")
            if name == "quit":
                break
            if name not in COMMANDS:
                raise ValueError(f"there is no such command; there are: {', '.join(sorted(COMMANDS))}, quit")
            await asyncio.wait_for(getattr(peer, name)(**command), PATIENCE_S)
            emit("done", do=name, id=number)
        except Exception as error:  # whatever it is, the test has to know
            emit("error", do=name, id=number, message=f"{type(error).__name__}: {error}")
    try:
        await asyncio.wait_for(peer.leave(), PATIENCE_S)
    finally:
        # The client's threads would keep the interpreter for a while, and nothing is left to do.
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
