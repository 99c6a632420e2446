"""The official Python client of OpenAI's API, as a peer of tests/providers.

    models.py client URL KEY   asks a server everything that Antiphon asks one, and prints what it understood, as JSON
    models.py realtime URL KEY opens a socket to a server of the Realtime protocol, holds each event against its type, and
                               prints what it understood, as JSON
    models.py requests         reads what a server was asked, a JSON object a line, and holds it against the client's
                               own types: {"path", "content_type", "body"}, the body in base 64
    models.py answers          the same for what a server answers: {"type", "body"}, the body as JSON

It fails with what is wrong, and says "ok" and how much it looked at.
"""

import base64
import email
import io
import json
import sys
import wave

import openai
from openai.types.audio import SpeechCreateParams, TranscriptionVerbose
from openai.types.audio.transcription_create_params import TranscriptionCreateParamsNonStreaming
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}


def client(url, key):
    api = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
    told = {"text": "", "calls": {}, "usage": None, "finish": []}

    def chat():
        return api.chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": "hello"}],
            tools=[TOOL],
            stream=True,
            stream_options={"include_usage": True},
        )

    for _ in range(2):
        for chunk in chat():
            if chunk.usage:
                told["usage"] = chunk.usage.to_dict()
            for choice in chunk.choices:
                told["text"] += choice.delta.content or ""
                for call in choice.delta.tool_calls or []:
                    known = told["calls"].setdefault(call.index, {"name": "", "arguments": ""})
                    known["name"] += call.function.name or ""
                    known["arguments"] += call.function.arguments or ""
                if choice.finish_reason:
                    told["finish"].append(choice.finish_reason)
    try:
        chat()
    except openai.RateLimitError as error:
        told["limited"] = [error.status_code, error.response.headers["retry-after"]]
    try:
        list(chat())
    except openai.APIError as error:
        told["middle"] = error.message

    with api.audio.speech.with_streaming_response.create(
        model="voice", voice="alloy", input="Good day.", response_format="pcm"
    ) as answer:
        told["speech"] = len(b"".join(answer.iter_bytes()))
    heard = api.audio.transcriptions.create(
        model="ears", file=("a.wav", b"RIFF", "audio/wav"), response_format="verbose_json"
    )
    told["heard"] = [heard.text, heard.segments[0].avg_logprob]
    print(json.dumps(told))


def realtime(url, key):
    api = openai.OpenAI(base_url="http://127.0.0.1:1", websocket_base_url=url, api_key=key, max_retries=0)
    told = {"audio": 0, "words": "", "calls": [], "done": [], "error": None}
    adapter = TypeAdapter(RealtimeServerEvent)
    with api.realtime.connect(model="talker-1") as line:
        while told["error"] is None:
            text = line.recv_bytes()
            # Strictly, as a type of its kind; the client itself takes whatever comes.
            adapter.validate_json(text, strict=True)
            event = line.parse_event(text)
            if event.type == "session.created":
                line.session.update(session={"type": "realtime", "instructions": "Be brief."})
            elif event.type == "session.updated":
                line.input_audio_buffer.append(audio=base64.b64encode(bytes(960)).decode())
                line.response.create()
            elif event.type == "response.output_audio.delta":
                told["audio"] += len(base64.b64decode(event.delta))
            elif event.type == "response.output_audio_transcript.delta":
                told["words"] += event.delta
            elif event.type == "response.function_call_arguments.done":
                told["calls"].append([event.call_id, event.name, event.arguments])
            elif event.type == "response.done":
                told["done"].append(event.response.status)
            elif event.type == "error":
                told["error"] = [event.error.code, event.error.event_id]
    print(json.dumps(told))


def realised(value):
    """What was validated; lists are validated as they are read."""
    if isinstance(value, dict):
        return {key: realised(inner) for key, inner in value.items()}
    if isinstance(value, (str, bytes, int, float, bool)) or value is None:
        return value
    return [realised(inner) for inner in value]


def hold(type_, body):
    # Keys that a type does not know are left out of what comes back, so that they show.
    # It has to outlive the lists, which ask it as they are read.
    adapter = TypeAdapter(type_)
    known = realised(adapter.validate_python(body))
    assert known == body, f"{type_.__name__} does not know all of it:\n{body}\nbut only\n{known}"


def transcription(content_type, body):
    form = email.message_from_bytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + body)
    assert form.is_multipart(), content_type
    fields = {}
    for part in form.get_payload():
        fields[part.get_param("name", header="content-disposition")] = part
    # A typed dictionary knows the keys of its bases, too.
    known = TranscriptionCreateParamsNonStreaming.__required_keys__ | TranscriptionCreateParamsNonStreaming.__optional_keys__
    unknown = [name for name in fields if name.removesuffix("[]") not in known]
    assert not unknown and {"file", "model"} <= set(fields), (list(fields), list(known))
    text = fields["response_format"].get_payload()
    assert text in ("json", "verbose_json"), text
    file = fields["file"]
    assert file.get_filename().endswith(".wav") and file.get_content_type() == "audio/wav"
    with wave.open(io.BytesIO(file.get_payload(decode=True))) as sound:
        assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
        assert sound.getnframes() > 0


def requests():
    count = 0
    for count, line in enumerate(sys.stdin, 1):
        asked = json.loads(line)
        body = base64.b64decode(asked["body"])
        if asked["path"].endswith("/chat/completions"):
            hold(CompletionCreateParamsStreaming, json.loads(body))
        elif asked["path"].endswith("/audio/speech"):
            hold(SpeechCreateParams, json.loads(body))
        elif asked["path"].endswith("/audio/transcriptions"):
            transcription(asked["content_type"], body)
        else:
            raise SystemExit(f"nothing is asked at {asked['path']}")
    print(f"ok {count}")


def answers():
    types = {"chunk": ChatCompletionChunk, "transcription": TranscriptionVerbose}
    count = 0
    for count, line in enumerate(sys.stdin, 1):
        answer = json.loads(line)
        types[answer["type"]].model_validate_json(json.dumps(answer["body"]), strict=True)
    print(f"ok {count}")


if __name__ == "__main__":
    {"client": client, "realtime": realtime, "requests": requests, "answers": answers}[sys.argv[1]](*sys.argv[2:])
