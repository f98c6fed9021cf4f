"""A small OpenAI-compatible server whose traffic goes through calls of choice: those that Rust's std does not make.

usage: server.py --port N --io KIND [--name TEXT] [--token-ms 2] [--workers N] [--cert PEM --key PEM]

KIND is a pair of system calls (read-write, readv-writev, recvmsg-sendmsg, recvfrom-sendto), `pressure` (what uvloop does
when the client reads slowly: short writes, then writev of what has queued), `tls-socket` or `tls-memory` (OpenSSL on a
descriptor, and on memory BIOs as asyncio has it). Each text is the prompt. With --workers, forked children serve.
"""

import argparse
import itertools
import json
import os
import select
import socket
import ssl
import threading
import time

READ_BYTES = 65536
QUEUED_CHUNKS = 8
numbers = itertools.count()


def split(data):
    return [data[:7], data[7:]]


def readv(plain):
    buffers = [bytearray(16), bytearray(READ_BYTES)]
    taken = os.readv(plain.fileno(), buffers)
    return b"".join(buffers)[:taken]


CALLS = {
    "read-write": (lambda s: os.read(s.fileno(), READ_BYTES), lambda s, data: os.write(s.fileno(), data)),
    "readv-writev": (readv, lambda s, data: os.writev(s.fileno(), split(data))),
    "recvmsg-sendmsg": (lambda s: s.recvmsg(READ_BYTES)[0], lambda s, data: s.sendmsg(split(data))),
    "recvfrom-sendto": (lambda s: s.recvfrom(READ_BYTES)[0], lambda s, data: s.sendto(data, s.getpeername())),
    "tls-socket": (lambda s: s.recv(READ_BYTES), lambda s, data: s.send(data)),
}


class Plain:
    """One call for each direction."""

    def __init__(self, plain, io):
        self.plain = plain
        self.calls = CALLS[io]

    def receive(self):
        return self.calls[0](self.plain)

    def send(self, data):
        while data:
            data = data[self.calls[1](self.plain, data) :]

    def flush(self):
        pass


class Pressure:
    """A socket that does not block: what it does not take at once is queued, and goes by writev when it takes again."""

    def __init__(self, plain):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        plain.setblocking(False)
        self.descriptor = plain.fileno()
        self.queue = []

    def receive(self):
        select.select([self.descriptor], [], [])
        return os.read(self.descriptor, READ_BYTES)

    def send(self, data):
        self.queue.append(data)
        if len(self.queue) == 1:
            self.write(lambda: os.write(self.descriptor, data))

    def flush(self):
        while self.queue:
            select.select([], [self.descriptor], [])
            self.write(lambda: os.writev(self.descriptor, self.queue[:QUEUED_CHUNKS]))

    def write(self, call):
        try:
            taken = call()
        except BlockingIOError:
            return
        while self.queue and taken >= len(self.queue[0]):
            taken -= len(self.queue.pop(0))
        if taken:
            self.queue[0] = self.queue[0][taken:]


class Memory:
    """OpenSSL on memory BIOs: it never sees the descriptor."""

    def __init__(self, plain, context):
        self.plain, self.incoming, self.outgoing = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.retry(self.tls.do_handshake)

    def retry(self, call):
        while True:
            try:
                result = call()
                self.plain.sendall(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                self.plain.sendall(self.outgoing.read())
                part = self.plain.recv(READ_BYTES)
                self.incoming.write(part) if part else self.incoming.write_eof()
            except ssl.SSLEOFError:
                return b""

    def receive(self):
        return self.retry(lambda: self.tls.read(READ_BYTES))

    def send(self, data):
        self.retry(lambda: self.tls.write(data))

    def flush(self):
        pass


def requests(wire):
    """The bodies of a connection's requests."""
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            part = wire.receive()
            if not part:
                return
            buffer += part
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        while len(buffer) < length:
            buffer += wire.receive()
        yield json.loads(buffer[:length] or b'{}')
        buffer = buffer[length:]


def answer(wire, body, token_seconds):
    tokens, prompt = body["max_tokens"], body["prompt"]
    common = {"id": f"cmpl-{os.getpid()}-{next(numbers)}", "object": "text_completion", "model": body["model"]}
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": tokens}
    choice = {"index": 0, "text": prompt, "finish_reason": "length"}
    if not body.get("stream"):
        time.sleep(token_seconds * tokens)
        whole = json.dumps(common | {"choices": [choice], "usage": usage}).encode()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(whole))
        wire.send(whole)
        return wire.flush()
    wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for token in range(tokens):
        time.sleep(token_seconds)
        finish = "length" if token + 1 == tokens else None
        event(wire, json.dumps(common | {"choices": [choice | {"finish_reason": finish}]}))
    event(wire, json.dumps(common | {"choices": [], "usage": usage}))
    event(wire, "[DONE]")
    wire.send(b"0\r\n\r\n")
    wire.flush()


def event(wire, text):
    payload = f"data: {text}\n\n".encode()
    wire.send(b"%x\r\n%s\r\n" % (len(payload), payload))


def converse(plain, arguments, context):
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if arguments.io == "tls-memory":
            wire = Memory(plain, context)
        elif arguments.io == "pressure":
            wire = Pressure(plain)
        else:
            wire = Plain(context.wrap_socket(plain, server_side=True) if context else plain, arguments.io)
        for body in requests(wire):
            answer(wire, body, arguments.token_ms / 1000)
    except (ConnectionError, ssl.SSLError, KeyError):
        pass  # The client went away, or spoke something else, which is its right.
    finally:
        plain.close()


def serve(listener, arguments, context):
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=converse, args=(plain, arguments, context), daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--io", choices=[*CALLS, "pressure", "tls-memory"], required=True)
    parser.add_argument("--name", help="tells this process from others")
    parser.add_argument("--token-ms", type=float, default=2)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    context = None
    if arguments.io.startswith("tls"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.cert, arguments.key)
    listener = socket.create_server(("127.0.0.1", arguments.port), backlog=64)
    for _ in range(arguments.workers):
        if os.fork() == 0:
            return serve(listener, arguments, context)
    if arguments.workers:
        return os.wait()
    serve(listener, arguments, context)


if __name__ == "__main__":
    main()
