"""The attacks of benchmarks/attack.py, each bounded in count and time."""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.attack_target import Row, Target, closed, first_answer_s, many, post, told
from benchmarks.stocked import queries
from seehear.limits import ServiceLimits

LIMITS = ServiceLimits()
MIB = 1 << 20
GROWTH_MIB = 400
"""What a service may have more in memory after an attack than before: its own caches."""
SECRET = b"root:x:0:0: a line that no client may ever see\n"


def half_requests(target: Target) -> Row:
    starts = (
        b"GET",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 8000,
        post("/v1/session", 100, "application/json"),
        post("/v1/search", 62 * MIB, "multipart/form-data; boundary=x"),
        post("/v1/search", 62 * MIB, "multipart/form-data; boundary=x", target.token),
        post("/v1/search", None, "application/json", target.token),
    )
    with many(target, target.count(210)) as sockets:
        for number, one in enumerate(sockets):
            one.sendall(starts[number % len(starts)])
        answered, _, _ = target.ask("/healthz")
        ended = closed(sockets, LIMITS.header_s + LIMITS.stall_s + 5)
    return Row("requests that are half sent", len(sockets), ended, f"health check: {answered}")


def idle_connections(target: Target) -> Row:
    started = time.monotonic()
    with many(target, target.count(500)) as sockets:
        slowest = 0.0
        for _ in range(5):
            asked = time.monotonic()
            assert target.ask("/healthz")[0] == 200
            slowest = max(slowest, time.monotonic() - asked)
        ended = closed(sockets, LIMITS.header_s + 5)
    seen = f"all closed after {time.monotonic() - started:.0f} s; health check {slowest:.2f} s"
    return Row("idle connections", len(sockets), ended, seen)


def bodies_without_token(target: Target) -> Row:
    kinds = ("multipart/form-data; boundary=x", "application/json", "text/plain", "x")
    before = target.memory_mib()
    held, tried = 0, 0
    with many(target, target.count(64)) as sockets:
        for number, one in enumerate(sockets):
            path = ("/v1/session", "/v1/search", "/", "/v1/embed")[number % 4]
            one.settimeout(0.2)
            tried += 1
            with contextlib.suppress(OSError):
                one.sendall(post(path, None, kinds[number // 4 % 4]))
                for _ in range(64):  # up to 62 MiB of it, as long as the service takes it
                    one.sendall(b"f0000\r\n" + b"x" * 0xF0000 + b"\r\n")
        most = target.memory_mib()
        closed(sockets, LIMITS.header_s + 5)
    held = tried if most - before < 64 else 0
    return Row("bodies without a token", tried, held, f"{most - before:+.0f} MiB")


def stalled_uploads(target: Target) -> Row:
    before = target.memory_mib()
    with many(target, target.count(40)) as sockets:
        for one in sockets:
            one.settimeout(0.2)
            head = post("/v1/search", 62 * MIB, "multipart/form-data; boundary=x", target.token)
            part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            with contextlib.suppress(OSError):
                one.sendall(head + part)
                for _ in range(8):
                    one.sendall(b"x" * MIB)
        most = target.memory_mib()
        searches = target.search(text="red")
        ended = closed(sockets, LIMITS.stall_s + LIMITS.header_s + 10)
    held = ended if searches == 200 and most - before < GROWTH_MIB else 0
    return Row("uploads that stall", len(sockets), held, f"{most - before:+.0f} MiB; search 200")


def wrong_keys(target: Target) -> Row:
    paths = ("/v1/status", "/v1/folders", "/metrics", "/v1/assets/1/media", "/openapi.json")
    token = target.token
    keys: list[dict[str, str]] = [{}]
    keys += [
        {"authorization": value}
        for value in (
            f"Bearer {token}x", f"Bearer {token[:-1]}", f"Basic {token}", token, "Bearer",
            f"Bearer {token.swapcase()}", "Bearer null", f"Bearer\t{secrets.token_urlsafe(32)}",
        )
    ]  # fmt: skip
    now = int(1000 * time.time())
    keys += [
        {"cookie": f"seehear_session={value}"}
        for value in (
            "", ".", "..", f"{'0' * 32}.{now}.{'0' * 64}", f"{now}.{'0' * 64}", token, "a" * 4000,
        )
    ]  # fmt: skip
    tries = [(path, key) for path in paths for key in keys]
    held = sum(target.ask(path, headers=key, token=False)[0] == 401 for path, key in tries)
    status, headers, _ = target.ask(
        "/v1/session",
        method="POST",
        body=json.dumps({"token": token}).encode(),
        headers={"content-type": "application/json"},
        token=False,
    )
    cookie = {"cookie": headers.get("set-cookie", "").partition(";")[0]}
    good = target.ask("/v1/status", headers=cookie, token=False)[0]
    target.ask("/v1/session", method="DELETE", headers=cookie, token=False)
    after = target.ask("/v1/status", headers=cookie, token=False)[0]
    held += (status, good, after) == (200, 200, 401)
    return Row("keys: wrong tokens, forged and signed-out cookies", len(tries) + 1, held, "401")


def foreign_pages(target: Target) -> Row:
    origins = ("https://evil.example", "null", "http://127.0.0.1:1", "file://", "http://localhost")
    tries: list[tuple[str, dict[str, str]]] = [("POST", {"origin": one}) for one in origins]
    tries += [
        ("POST", {"sec-fetch-site": site, "sec-fetch-mode": mode})
        for site in ("cross-site", "same-site")
        for mode in ("cors", "no-cors", "websocket", "navigate")
    ]
    held = 0
    for method, headers in tries:
        for path in ("/v1/search", "/v1/index", "/v1/session"):
            status, _, _ = target.ask(path, method=method, body=b"{}", headers=headers)
            held += status == 403
    hosts = ("evil.example", "127.0.0.1.evil.example", "localhost@evil", "[::2]", "0x7f.1")
    held += sum(target.ask("/v1/status", headers={"host": host})[0] == 421 for host in hosts)
    return Row("foreign origins and host names", 3 * len(tries) + len(hosts), held, "403, 421")


def traversals(target: Target) -> Row:
    steps = ("../", "..%2f", "%2e%2e/", "..\\", "..%5c", "....//", "%252e%252e%252f", "..%c0%af")
    paths = []
    for step in steps:
        for depth in (1, 3, 8):
            rest = step * depth + "etc/passwd"
            paths += [f"/page/{rest}", f"/{rest}", f"/v1/assets/{rest}", f"/v1/index/{rest}"]
    paths += ["//etc/passwd", "/page//etc/passwd", "/page/%00", "/v1/assets/1%00/media"]
    held = 0
    for path in paths:
        status, _, body = target.ask(path)
        held += 400 <= status < 500 and b"root:x" not in body
    fields = ("../etc", "/etc", "~", "~root", "media/../../etc", "media\\..\\etc", "media/\0", "..")
    for field in fields:
        for query in ({"under": field}, {"where": f'folder = "{field}"'}, {"text": None}):
            held += target.search(**{"text": "red"} | query) == 422
    return Row("traversal in paths, folders and filters", len(paths) + 3 * len(fields), held, "4xx")


def hostile_names(target: Target) -> Row:
    held = 0
    for name, asset in target.real.items():
        status, headers, _ = target.ask(f"/v1/assets/{asset}/media?download=true")
        shown, _, body = target.ask(f"/v1/assets/{asset}")
        plain = headers.get("content-type", "").startswith("text/plain")
        safe = "set-cookie" not in headers and "\n" not in headers.get("content-disposition", "\n")
        told = json.loads(body)["places"][0]["name"] if shown == 200 else None
        held += status == 200 and plain and safe and told == name
    return Row("hostile file names", len(target.real), held, "plain text, one header")


def replaced_media(target: Target) -> Row:
    """Links, also in the place of a folder, to a file of the same size and time."""
    outside = target.media.parent / "outside"
    outside.mkdir(exist_ok=True)
    held, tried = 0, 0
    for name, asset in target.real.items():
        path = target.media / name
        aside = path.parent / "aside"
        status = path.stat()
        like = outside / "secret"
        like.write_bytes(SECRET.ljust(status.st_size)[: status.st_size])
        os.utime(like, ns=(status.st_atime_ns, status.st_mtime_ns))
        path.rename(aside)
        for way in ("media", "thumbnail", "media?download=true"):
            path.symlink_to(like)
            tried += 1
            got, _, body = target.ask(f"/v1/assets/{asset}/{way}")
            held += got in {404, 409} and SECRET[:8] not in body
            path.unlink()
        aside.rename(path)
    return Row("media replaced by links after indexing", tried, held, "404, 409")


def ranges(target: Target) -> Row:
    asset = next(iter(target.real.values()))
    rng = random.Random(0)
    path = f"/v1/assets/{asset}/media"
    values = ["bytes=" + ",".join(f"{n}-{n}" for n in range(k)) for k in (2, 100, 1000, 1400)]
    values += ["bytes=0-", "bytes=-0", "bytes=-1", "bytes=9-1", "bytes=" + "9" * 400 + "-", "x=0-1"]
    while len(values) < target.count(2000):
        start, size = rng.randrange(100), rng.randrange(-5, 100)
        values.append(f"bytes={start}-{start + size}")
    with ThreadPoolExecutor(16) as pool:
        got = Counter(pool.map(lambda value: target.ask(path, headers={"range": value})[0], values))
    held = sum(n for status, n in got.items() if status in {200, 206, 400, 416, 429, 431})
    return Row("ranges, up to 1,400 in one request", len(values), held, told(got))


def uploads(target: Target) -> Row:
    """Files of every size up to the limit, at once, while somebody searches by words."""
    contents = [secrets.token_bytes(size) for size in (10, 1000, MIB, 8 * MIB, 63 * MIB)]
    contents.append(next(target.media.glob("*.wav")).read_bytes())

    def upload(number: int) -> int:
        content = contents[number % len(contents)]
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
        body = head + content + b"\r\n--x--\r\n"
        kind = {"content-type": "multipart/form-data; boundary=x"}
        return target.ask("/v1/search", method="POST", body=body, headers=kind)[0]

    words: list[float] = []
    with ThreadPoolExecutor(32) as pool:
        running = [pool.submit(upload, number) for number in range(target.count(120))]
        while not all(future.done() for future in running):
            started = time.monotonic()
            status = target.search(text="red", k=5)
            words.append(time.monotonic() - started if status == 200 else 1e9)
            time.sleep(0.05)
        got = Counter(future.result() for future in running)
    # A client that is refused while it sends may find the connection closed: status 0.
    held = sum(n for status, n in got.items() if status in {0, 200, 413, 415, 422, 429, 503})
    seen = f"{told(got)}; words beside them at most {max(words, default=0):.1f} s"
    return Row("uploads in parallel, up to 63 MiB", sum(got.values()), held, seen)


def listing(target: Target) -> Row:
    paths = ["/v1/folders", "/v1/status", "/v1/assets/1", "/metrics"] * target.count(60)
    started = time.monotonic()
    with ThreadPoolExecutor(60) as pool:
        got = Counter(pool.map(lambda path: target.ask(path)[0], paths))
    held = sum(n for status, n in got.items() if status in {200, 404, 429, 503})
    seen = f"{told(got)} in {time.monotonic() - started:.0f} s"
    return Row("folders, status and assets, 60 at once", len(paths), held, seen)


def mixed_queries(target: Target) -> Row:
    """Cheap and dear queries of 32 clients, of which a third leaves without waiting."""
    sentences = list(queries(40))
    kinds: tuple[dict[str, Any], ...] = (
        {"text": "red", "k": 10},
        {"text": sentences[:8], "k": 100},
        {"text": "red", "k": 1000, "diverse": True},
        {"text": sentences[:30], "k": 1000, "explain": True, "moments": 100},
        {"text": "red", "like": list(range(1, 65)), "unlike": list(range(100, 164))},
        {"text": "red", "where": " or ".join(f'name ~ "*{n}*a*b*"' for n in range(60))},
        {"text": "the a of number", "mode": "words", "k": 1000},
    )
    before = target.memory_mib()
    until = time.monotonic() + target.seconds
    got: Counter[int] = Counter()
    left = Counter[str]()
    lock = threading.Lock()

    def client(number: int) -> None:
        asked = number
        while time.monotonic() < until:
            asked += 1
            query = kinds[asked % len(kinds)]
            if asked % 3 == 0:
                body = json.dumps(query).encode()
                with contextlib.suppress(OSError), target.connect() as one:
                    one.sendall(
                        post("/v1/search", len(body), "application/json", target.token) + body
                    )
                    time.sleep(0.2)
                with lock:
                    left["left"] += 1
                continue
            status = target.search(**query)
            with lock:
                got[status] += 1

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(client, range(32)))
    ended = time.monotonic()
    free_s = first_answer_s(target)
    most = target.memory_mib()
    time.sleep(15 if target.scale == 1 else 1)
    after = target.memory_mib()
    held = sum(n for status, n in got.items() if status in {200, 422, 429, 503})
    seen = (
        f"{told(got)}, {left['left']} left; a search {free_s:.1f} s after the last one left "
        f"({time.monotonic() - ended:.0f} s watched); memory {before:.0f} MiB before, {most:.0f} "
        f"at the end, {after:.0f} at rest"
    )
    ok = after - before < GROWTH_MIB
    return Row("dear queries mixed with cheap ones", sum(got.values()), held if ok else 0, seen)


ATTACKS: tuple[Callable[[Target], Row], ...] = (
    half_requests, idle_connections, bodies_without_token, stalled_uploads, wrong_keys,
    foreign_pages, traversals, hostile_names, replaced_media, ranges, uploads, listing,
    mixed_queries,
)  # fmt: skip
