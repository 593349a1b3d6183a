"""Stubs of the model APIs of OpenAI, Anthropic and Gemini, with the usage that the README of recorded/otlp lists: `model_api.py PORT_FILE`.
Each call has an answer of its own id."""

import itertools
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

number = itertools.count()
CHAT = {
    "prompt_tokens": 1000, "completion_tokens": 120, "total_tokens": 1120,
    "prompt_tokens_details": {"cached_tokens": 900}, "completion_tokens_details": {"reasoning_tokens": 40},
}  # fmt: skip
RESPONSES = {
    "input_tokens": 1000, "input_tokens_details": {"cached_tokens": 900}, "output_tokens": 120,
    "output_tokens_details": {"reasoning_tokens": 40}, "total_tokens": 1120,
}  # fmt: skip
ANTHROPIC = {
    "input_tokens": 100,
    "cache_read_input_tokens": 900,
    "cache_creation_input_tokens": 50,
    "output_tokens": 77,
}
GEMINI = {
    "promptTokenCount": 1000, "cachedContentTokenCount": 900, "candidatesTokenCount": 77, "thoughtsTokenCount": 40,
    "toolUsePromptTokenCount": 5, "totalTokenCount": 1122,
}  # fmt: skip


def event(kind: str, **data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def message(request: dict) -> tuple[str, bytes]:
    answer = {
        "id": f"msg_{next(number)}", "type": "message", "role": "assistant", "model": request["model"], "stop_sequence": None,
    }  # fmt: skip
    text = {"type": "text", "text": "Hello."}
    if not request.get("stream"):
        answer |= {"stop_reason": "end_turn", "content": [text], "usage": ANTHROPIC}
        return "application/json", json.dumps(answer).encode()
    begun = {**answer, "stop_reason": None, "content": [], "usage": {**ANTHROPIC, "output_tokens": 1}}
    return "text/event-stream", b"".join((
        event("message_start", message=begun),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello."}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=ANTHROPIC),
        event("message_stop"),
    ))  # fmt: skip


def chat(request: dict) -> tuple[str, bytes]:
    answer = {"id": f"chatcmpl-{next(number)}", "created": 1, "model": request["model"]}
    if not request.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
        return "application/json", json.dumps(
            {**answer, "object": "chat.completion", "choices": [choice], "usage": CHAT}
        ).encode()
    answer["object"] = "chat.completion.chunk"
    delta = {"index": 0, "delta": {"role": "assistant", "content": "Hello."}, "finish_reason": None}
    chunks: list[object] = [
        {**answer, "choices": [delta]},
        {**answer, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]
    if (request.get("stream_options") or {}).get("include_usage"):
        chunks.append({**answer, "choices": [], "usage": CHAT})
    return "text/event-stream", b"".join(
        b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks
    ) + b"data: [DONE]\n\n"


def response(request: dict) -> tuple[str, bytes]:
    item = {
        "type": "message", "id": f"msg_{next(number)}", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hello.", "annotations": []}],
    }  # fmt: skip
    answer = {
        "id": f"resp_{next(number)}", "object": "response", "created_at": 1, "model": request["model"], "status": "completed",
        "output": [item], "usage": RESPONSES, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    }  # fmt: skip
    if not request.get("stream"):
        return "application/json", json.dumps(answer).encode()
    begun = {**answer, "status": "in_progress", "output": [], "usage": None}
    return "text/event-stream", b"".join((
        event("response.created", response=begun),
        event("response.output_item.done", output_index=0, item=item),
        event("response.completed", response=answer),
    ))  # fmt: skip


def embedding(request: dict) -> tuple[str, bytes]:
    data = [{"object": "embedding", "index": 0, "embedding": [0.1]}]
    answer = {
        "object": "list",
        "data": data,
        "model": request["model"],
        "usage": {"prompt_tokens": 30, "total_tokens": 30},
    }
    return "application/json", json.dumps(answer).encode()


def generate_content(_: dict) -> tuple[str, bytes]:
    candidate = {"content": {"role": "model", "parts": [{"text": "Hello."}]}, "finishReason": "STOP", "index": 0}
    answer = {
        "candidates": [candidate],
        "modelVersion": "gemini-2.5-pro",
        "responseId": f"r{next(number)}",
        "usageMetadata": GEMINI,
    }
    return "text/event-stream", b"data: " + json.dumps(answer).encode() + b"\r\n\r\n"


ANSWERS = {
    "/messages": message, "/chat/completions": chat, "/responses": response, "/embeddings": embedding,
    ":streamGenerateContent": generate_content,
}  # fmt: skip


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer("application/json", b"{}")

    def do_POST(self) -> None:
        body = b""
        if "content-length" in self.headers:
            body = self.rfile.read(int(self.headers["content-length"]))
        else:  # in chunks
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        path = self.path.partition("?")[0]
        for end, answer in ANSWERS.items():
            if path.endswith(end):
                return self.answer(*answer(json.loads(body)))
        return self.answer("application/json", b"{}")

    def answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
Path(sys.argv[1]).write_text(str(server.server_port))
server.serve_forever()
