"""Readers of a dashboard: each listens to the stream of changes, and asks for its page again at each.

Usage: python -m tests.benchmarks.readers PORT COUNT PAGE...
"""

import asyncio
import sys

_HEAD = "GET {} HTTP/1.1\r\nHost: localhost\r\nHX-Request: true\r\n\r\n"


async def _read(port: int, page: str) -> None:
    stream, asking = await asyncio.open_connection("127.0.0.1", port)
    answers, asked = await asyncio.open_connection("127.0.0.1", port)
    asking.write(_HEAD.format("/events").encode())
    while True:
        line = await stream.readline()
        if not line:
            raise SystemExit(f"{page}: the stream has ended")
        if line.startswith(b"event: changed"):
            asked.write(_HEAD.format(page).encode())
            head = (await answers.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            await answers.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))


async def _all(port: int, count: int, pages: list[str]) -> None:
    await asyncio.gather(*(_read(port, pages[number % len(pages)]) for number in range(count)))


if __name__ == "__main__":
    asyncio.run(_all(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
