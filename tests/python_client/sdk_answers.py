"""Runs in an environment with the providers' SDKs and the client: each SDK calls a local stub, and `usage` reads its objects.

Prints a JSON line for each call: its name, and the quantities that were read.
"""

import asyncio
import json
import os
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from flexcredits_client import read_chunks, read_usage

ANSWERS: dict[str, Any] = json.loads(sys.argv[1])
"""Body by name; a list is a stream of server-sent events."""


class Stub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        name = self.path.split("?")[0].split("/")[1]
        streams = request.get("stream") or "stream" in self.path.lower()
        answer = ANSWERS[f"{name} stream" if streams else name]
        if name == "bedrock" and streams:
            body, kind = event_stream(answer), "application/vnd.amazon.eventstream"
        elif streams:
            end = "data: [DONE]\n\n" if name in ("openai", "mistral") else ""
            body, kind = f"{''.join(map(server_sent, answer))}{end}".encode(), "text/event-stream"
        else:
            body, kind = json.dumps(answer).encode(), "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def server_sent(chunk: Any) -> str:
    kind = f"event: {chunk['type']}\n" if "type" in chunk else ""
    return f"{kind}data: {json.dumps(chunk)}\n\n"


def event_stream(chunks: list[Any]) -> bytes:
    """Amazon's event stream encoding: prelude, headers, payload, checksums."""
    body = b""
    for chunk in chunks:
        [(kind, content)] = chunk.items()
        payload, headers = json.dumps(content).encode(), b""
        for name, value in ((":message-type", "event"), (":event-type", kind), (":content-type", "application/json")):
            headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
        message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
        body += message + struct.pack(">I", zlib.crc32(message))
    return body


def openai_calls(url: str) -> dict[str, Callable[[], Any]]:
    import openai

    client = openai.OpenAI(api_key="x", base_url=f"{url}/openai", max_retries=0)
    responses = openai.OpenAI(api_key="x", base_url=f"{url}/responses", max_retries=0)
    messages: Any = [{"role": "user", "content": "hi"}]

    def helper() -> Any:
        options: Any = {"include_usage": True}
        with client.chat.completions.stream(model="gpt-5", messages=messages, stream_options=options) as stream:
            return list(stream)

    return {
        "openai": lambda: client.chat.completions.create(model="gpt-5", messages=messages),
        "openai stream": lambda: list(
            client.chat.completions.create(
                model="gpt-5", messages=messages, stream=True, stream_options={"include_usage": True}
            )
        ),
        "openai stream helper": helper,
        "responses": lambda: responses.responses.create(model="gpt-5", input="hi"),
        "responses stream": lambda: list(responses.responses.create(model="gpt-5", input="hi", stream=True)),
    }


def anthropic_calls(url: str) -> dict[str, Callable[[], Any]]:
    import anthropic

    client = anthropic.Anthropic(api_key="x", base_url=f"{url}/anthropic", max_retries=0)
    asked: Any = {"model": "claude-opus-5", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}

    def helper() -> Any:
        with client.messages.stream(**asked) as stream:
            return list(stream)

    beta = anthropic.Anthropic(api_key="x", base_url=f"{url}/compacted", max_retries=0).beta.messages
    return {
        "compacted": lambda: beta.create(**asked),
        "compacted stream": lambda: list(beta.create(**asked, stream=True)),
        "anthropic": lambda: client.messages.create(**asked),
        "anthropic stream": lambda: list(client.messages.create(**asked, stream=True)),
        "anthropic stream helper": helper,
    }


def gemini_calls(url: str) -> dict[str, Callable[[], Any]]:
    from google import genai

    client = genai.Client(api_key="x", http_options={"base_url": f"{url}/gemini"})
    other = genai.Client(api_key="x", http_options={"base_url": f"{url}/interactions"})
    return {
        "interactions": lambda: other.interactions.create(model="gemini-3-pro", input="hi"),
        "interactions stream": lambda: list(other.interactions.create(model="gemini-3-pro", input="hi", stream=True)),
        "gemini": lambda: client.models.generate_content(model="gemini-3-pro", contents="hi"),
        "gemini stream": lambda: list(client.models.generate_content_stream(model="gemini-3-pro", contents="hi")),
    }


def bedrock_calls(url: str) -> dict[str, Callable[[], Any]]:
    import boto3

    client = boto3.client(
        "bedrock-runtime", endpoint_url=f"{url}/bedrock", region_name="us-east-1", aws_access_key_id="x",
        aws_secret_access_key="x",
    )  # fmt: skip
    asked: Any = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    return {
        "bedrock": lambda: client.converse(**asked),
        "bedrock stream": lambda: list(client.converse_stream(**asked)["stream"]),
    }


def mistral_calls(url: str) -> dict[str, Callable[[], Any]]:
    from mistralai.client import Mistral

    client = Mistral(api_key="x", server_url=f"{url}/mistral")
    asked: Any = {"model": "mistral-large", "messages": [{"role": "user", "content": "hi"}]}
    return {
        "mistral": lambda: client.chat.complete(**asked),
        "mistral stream": lambda: list(client.chat.stream(**asked)),
    }


def cohere_calls(url: str) -> dict[str, Callable[[], Any]]:
    import cohere

    client = cohere.ClientV2(api_key="x", base_url=f"{url}/cohere")
    asked: Any = {"model": "command-a", "messages": [{"role": "user", "content": "hi"}]}
    return {
        "cohere": lambda: client.chat(**asked),
        "cohere stream": lambda: list(client.chat_stream(**asked)),
    }


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    for calls in (openai_calls, anthropic_calls, gemini_calls, bedrock_calls, mistral_calls, cohere_calls):
        for name, call in calls(url).items():
            answer = call()
            usage = read_chunks(answer) if isinstance(answer, list) else read_usage(answer)
            report(name, usage)
    report("realtime", read_usage(realtime_event()))
    report("openai async stream", asyncio.run(read_async(url)))
    os._exit(0)  # SDKs leave threads behind


def realtime_event() -> Any:
    from openai.types.realtime import ResponseDoneEvent

    return ResponseDoneEvent.model_validate(ANSWERS["realtime"])


async def read_async(url: str) -> Any:
    import openai
    from flexcredits_client.providers.call import Call, Fields

    client = openai.AsyncOpenAI(api_key="x", base_url=f"{url}/openai", max_retries=0)
    messages: Any = [{"role": "user", "content": "hi"}]
    call = Call(Fields("org", "assistant", "model", None))
    stream = await client.chat.completions.create(model="gpt-5", messages=messages, stream=True)
    async for _ in call.astream(stream):
        pass
    return call.total()


def report(name: str, usage: Any) -> None:
    line = json.dumps({"name": name, "provider": usage.provider, "model": usage.model, **usage.quantities})
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main()
