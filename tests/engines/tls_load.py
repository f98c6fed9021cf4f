"""The load client over TLS: the same records as the Rust one (tests/src/load.rs), for servers with the test certificate.

usage: tls_load.py --port N [--streams 8] [--seconds 10 | --requests N] [--max-tokens 64] [--chat] [--out FILE]
       tls_load.py --port N --health        exit code 0 when /health answers 200

One thread and one keep-alive connection for each stream; CLOCK_MONOTONIC is read right behind each recv, and nothing is
parsed before the answer is complete. The interpreter lock makes these times coarser than the Rust client's under load.
"""

import argparse
import bisect
import json
import os
import socket
import ssl
import sys
import threading
import time


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def hurry():
    """SCHED_FIFO, where the caller may: the client is the measuring instrument (see tests/src/load.rs)."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass


def connect(port):
    # The certificate is our own, made by `cargo xtask setup --engines`.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", port), timeout=120)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="localhost")


def request(arguments):
    body = {"model": arguments.model, "max_tokens": arguments.max_tokens, "ignore_eos": True}
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    if arguments.chat:
        path = "/v1/chat/completions"
        body["messages"] = [{"role": "user", "content": arguments.prompt}]
    else:
        path = "/v1/completions"
        body["prompt"] = arguments.prompt
    encoded = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(encoded)}\r\n\r\n"
    return head.encode() + encoded


def read_answer(connection):
    """The answer's bytes and, for each read, up to where they had come at which time."""
    wire, ends, times = bytearray(), [], []
    while True:
        part = connection.recv(65536)
        at = now()
        if not part:
            raise ConnectionError("the server closed before the end")
        wire += part
        ends.append(len(wire))
        times.append(at)
        head, found, body = wire.partition(b"\r\n\r\n")
        if not found:
            continue
        length = header(head, b"content-length")
        if len(body) >= int(length) if length else wire.endswith(b"\r\n0\r\n\r\n"):
            return bytes(wire), ends, times


def header(head, name):
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return None


def events(wire):
    """Each event of a chunked stream, with where on the wire its chunk ends. One event is one chunk, or part of one."""
    at = wire.index(b"\r\n\r\n") + 4
    while True:
        line = wire.index(b"\r\n", at)
        size = int(wire[at:line], 16)
        if size == 0:
            return
        start, at = line + 2, line + 2 + size + 2
        for event in wire[start : start + size].split(b"\n\n"):
            if event.startswith(b"data: {"):
                yield start + size, json.loads(event[6:])


def is_content(event):
    """As in tests/src/load/answer.rs: role announcement, empty delta and usage event are not content, empty text is."""
    for choice in event["choices"]:
        delta = choice.get("delta")
        if delta is None:
            return "text" in choice
        parts = [delta.get(part) for part in ("content", "reasoning", "reasoning_content", "tool_calls")]
        if any(parts) or ("" in parts and not delta.get("role")):
            return True
    return False


def describe(seen, wire, ends, times):
    seen["status"] = int(wire.split(b" ", 2)[1])
    seen["end_ns"] = times[-1]
    if seen["status"] != 200:
        return
    for end, event in events(wire):
        if is_content(event):
            seen["content_ns"].append(times[bisect.bisect_left(ends, end)])
        seen["id"] = seen["id"] or event.get("id")
        usage = event.get("usage") or {}
        for field in ("prompt_tokens", "completion_tokens"):
            seen[field] = usage.get(field, seen[field])
    seen["first_content_ns"] = next(iter(seen["content_ns"]), None)


def client(arguments, stream, start, each):
    connection, number = None, 0
    while number < arguments.requests if arguments.requests else time.monotonic() - start < arguments.seconds:
        number += 1
        seen = dict.fromkeys(("sent_ns", "first_content_ns", "end_ns", "status", "prompt_tokens", "completion_tokens"))
        seen |= {"stream": stream, "content_ns": [], "id": None, "error": None, "sent_ns": now()}
        try:
            connection = connection or connect(arguments.port)
            seen["sent_ns"] = now()
            connection.sendall(request(arguments))
            describe(seen, *read_answer(connection))
        except OSError as error:
            seen["end_ns"], seen["error"], connection = now(), str(error), None
            time.sleep(0.05)
        each(seen)


def healthy(port):
    try:
        connection = connect(port)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return connection.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--health", action="store_true")
    parser.add_argument("--model", default="tiny-llama")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--prompt", default="the quick brown fox jumps")
    parser.add_argument("--out", default=os.devnull)
    arguments = parser.parse_args()
    if arguments.health:
        sys.exit(not healthy(arguments.port))

    lock, totals = threading.Lock(), {"requests": 0, "failed": 0, "tokens": 0}
    with open(arguments.out, "w") as out:

        def each(seen):
            with lock:
                totals["requests"] += 1
                totals["failed"] += seen["status"] != 200 or seen["error"] is not None
                totals["tokens"] += seen["completion_tokens"] or 0
                out.write(json.dumps(seen) + "\n")

        hurry()  # threads that start from here on inherit it
        start = time.monotonic()
        threads = [
            threading.Thread(target=client, args=(arguments, stream, start, each)) for stream in range(arguments.streams)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(", ".join(f"{name} {count}" for name, count in totals.items()))


if __name__ == "__main__":
    main()
