#!/usr/bin/env bash
# uvicorn 0.54.0 with httptools 0.9.0 loses the body of a POST that also asks for another protocol (Upgrade: h2c): the application
# gets an empty body or the client gets 400. Java's java.net.http.HttpClient asks so with the first request of each connection by
# default, so that it cannot post to such a server. The h11 implementation of the same uvicorn reads the body.
# Expected: RFC 9110 7.8 allows a server to ignore Upgrade; the request is a request of HTTP/1.1 all the same.
# In FlexCredits: services/runtime/runtime/http/server.py parses such a request as one without Upgrade (tests/runtime/test_http_server.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 httptools==0.9.0 2>&1 | cut -c1-300
cat > "$work/run.py" <<'PY'
import socket, sys, threading, time
import uvicorn

bodies = []

async def app(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    bodies.append(body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})

server = uvicorn.Server(uvicorn.Config(app, port=0, http=sys.argv[1], lifespan="off", log_level="critical"))
threading.Thread(target=server.run, daemon=True).start()
while not server.started:
    time.sleep(0.05)
port = server.servers[0].sockets[0].getsockname()[1]
head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n%b\r\n"
upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
for name, fields in (("plain", b""), ("upgrade", upgrade)):
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.sendall(head % fields)
    time.sleep(0.3)
    connection.sendall(b"hello")
    print(sys.argv[1], name, connection.recv(1000).split(b"\r\n")[0], bodies)
lost = bodies[1:] != [b"hello"]
assert bodies[0] == b"hello" and lost == (sys.argv[1] == "httptools"), bodies
PY
for implementation in h11 httptools; do "$work/venv/bin/python" "$work/run.py" "$implementation" 2>/dev/null; done
echo "as described: httptools loses the body of a request with Upgrade, h11 does not"
