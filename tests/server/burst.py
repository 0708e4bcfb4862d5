"""Many requests at once, by a process of its own: `python burst.py URL PATH BODY COUNT ACCEPTED`.

Opens COUNT connections and then writes to all of them. Prints "refused" when all but ACCEPTED were
answered, and in the end as JSON [status, has Retry-After, seconds until the status] of each.
"""

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit


async def asked(place, request, opened, go, over):
    """Sends a request when all connections are there."""
    reader, writer = await asyncio.open_connection(*place)
    opened.release()
    await go.wait()
    began = time.perf_counter()
    writer.write(request)
    status = int((await reader.readline()).split()[1])
    seconds = time.perf_counter() - began
    head = await reader.readuntil(b"\r\n\r\n")
    over.release()
    await reader.read()
    writer.close()
    return status, b"retry-after" in head.lower(), seconds


async def main(url, path, body, count, accepted):
    """Sends them all."""
    place = urlsplit(url).hostname, urlsplit(url).port
    head = f"POST {path} HTTP/1.1\r\nHost: {place[0]}:{place[1]}\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request = (head + body).encode()
    opened, go, over = asyncio.Semaphore(0), asyncio.Event(), asyncio.Semaphore(0)
    told = [asyncio.create_task(asked(place, request, opened, go, over)) for _ in range(count)]
    for _ in told:
        await opened.acquire()
    go.set()
    for _ in range(count - accepted):
        await over.acquire()
    print("refused", flush=True)
    print(json.dumps(await asyncio.gather(*told)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], *map(int, sys.argv[4:])))
