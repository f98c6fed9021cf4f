"""Drives Triton and says for each request when it was sent and when each of its responses came.

One JSON line for each request, times in nanoseconds of CLOCK_MONOTONIC:
{"mode": …, "model": …, "id": …, "sent": …, "responses": [ … ], "done": …, "status": "ok" | "error" | "cancelled", "error": … }

Modes: http and grpc (one answer), grpc-stream, generate, generate_stream, sequence (a sequence of requests, gRPC), cancel (a stream over
gRPC that is left after its second response), leave (the same over HTTP: the connection is closed).
"""

import argparse
import itertools
import json
import queue
import socket
import threading
import time

import numpy as np

now = time.monotonic_ns


class Closed(Exception):
    """The client has left on purpose."""


def numbers(arguments):
    return np.full((1, 4), arguments.value, dtype=np.float32)


def http_client(arguments):
    import tritonclient.http as triton

    client = triton.InferenceServerClient(f"{arguments.host}:{arguments.http_port}")

    def ask(identity, record):
        values = numbers(arguments)
        tensor = triton.InferInput("INPUT0", list(values.shape), "FP32")
        tensor.set_data_from_numpy(values)
        record["sent"] = now()
        client.infer(arguments.model, [tensor], request_id=identity)
        record["responses"].append(now())

    return ask


def grpc_client(arguments):
    import tritonclient.grpc as triton

    client = connect(triton, arguments)

    def ask(identity, record):
        tensor = tensor_of(triton, numbers(arguments))
        record["sent"] = now()
        client.infer(arguments.model, [tensor], request_id=identity)
        record["responses"].append(now())

    return ask


def sequence_client(arguments):
    """Every request of the driver is a sequence of so many requests as `--responses` says."""
    import tritonclient.grpc as triton

    client = connect(triton, arguments)
    sequences = itertools.count(1 + threading.get_ident() % 1_000_000 * 1_000)

    def ask(identity, record):
        which = next(sequences)
        record["sent"] = now()
        for step in range(arguments.responses):
            tensor = tensor_of(triton, np.full((1, 1), 1, dtype=np.float32))
            ends = {"sequence_start": step == 0, "sequence_end": step == arguments.responses - 1}
            client.infer(arguments.model, [tensor], request_id=identity, sequence_id=which, **ends)
            record["responses"].append(now())

    return ask


def grpc_stream_client(arguments, leave_after=None):
    import tritonclient.grpc as triton

    client = connect(triton, arguments)

    def ask(identity, record):
        answers = queue.SimpleQueue()
        client.start_stream(lambda result, error: answers.put((now(), result, error)))
        inputs = [
            tensor_of(triton, np.array([b"prompt"], dtype=object), "PROMPT"),
            tensor_of(triton, np.array([arguments.responses], dtype=np.int32), "N"),
        ]
        record["sent"] = now()
        client.async_stream_infer(arguments.model, inputs, request_id=identity, enable_empty_final_response=True)
        try:
            while True:
                at, result, error = answers.get(timeout=60)
                if error is not None:
                    raise error
                if result.get_response().parameters["triton_final_response"].bool_param:
                    return
                record["responses"].append(at)
                if len(record["responses"]) == leave_after:
                    raise Closed
        finally:
            client.stop_stream(cancel_requests=leave_after is not None)

    return ask


def connect(triton, arguments):
    url = f"{arguments.host}:{arguments.grpc_port}"
    if arguments.certificate:
        # The test certificate is for localhost.
        return triton.InferenceServerClient(f"localhost:{arguments.grpc_port}", ssl=True, root_certificates=arguments.certificate)
    return triton.InferenceServerClient(url)


def tensor_of(triton, values, name="INPUT0"):
    kinds = {"f": "FP32", "i": "INT32", "O": "BYTES"}
    tensor = triton.InferInput(name, list(values.shape), kinds[values.dtype.kind])
    tensor.set_data_from_numpy(values)
    return tensor


def generate_client(arguments, leave_after=None):
    """The `generate` extension. On a bare socket: the clock is read right before the one send and right behind each receive."""
    kept = []

    def connected():
        connection = socket.create_connection((arguments.host, arguments.http_port), timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(identity, record):
        streams = arguments.mode != "generate"
        connection = kept.pop() if kept else connected()
        body = json.dumps({"id": identity, "PROMPT": "prompt", "N": arguments.responses})
        path = f"/v2/models/{arguments.model}/{'generate_stream' if streams else 'generate'}"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        request = (head + body).encode()
        received = []
        record["sent"] = now()
        connection.sendall(request)
        answer = b""
        while not answer_is_whole(answer):
            piece = connection.recv(65536)
            received.append((now(), piece))
            if not piece:
                raise ConnectionError("the server has closed the connection")
            answer += piece
            if leave_after and answer.count(b"data: ") >= leave_after:
                connection.close()
                break
        for at, piece in received:
            record["responses"] += [at] * (piece.count(b"data: {") if streams else piece.count(b'"model_name"'))
        # A failure comes inside a stream whose status was 200.
        if not answer.startswith(b"HTTP/1.1 200") or b'data: {"error"' in answer:
            record["responses"] = []
            raise RuntimeError(answer.partition(b"\r\n\r\n")[2].decode(errors="replace"))
        if leave_after:
            raise Closed
        kept.append(connection)

    return ask


def answer_is_whole(answer):
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    head = head.lower()
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    _, _, length = head.partition(b"content-length: ")
    return len(body) >= int(length.split(b"\r\n")[0])


CLIENTS = {
    "http": http_client,
    "grpc": grpc_client,
    "sequence": sequence_client,
    "grpc-stream": grpc_stream_client,
    "cancel": lambda arguments: grpc_stream_client(arguments, leave_after=2),
    "generate": generate_client,
    "generate_stream": generate_client,
    "leave": lambda arguments: generate_client(arguments, leave_after=2),
}


def work(arguments, turns, say):
    ask = CLIENTS[arguments.mode](arguments)
    for turn, due in turns:
        time.sleep(max(0, due - now()) / 1e9)
        identity = f"{arguments.mode}-{turn}" if arguments.ids else ""
        record = {"mode": arguments.mode, "model": arguments.model, "id": identity, "sent": now(), "responses": []}
        try:
            ask(identity, record)
            record["status"] = "ok"
        except Closed:
            record["status"] = "cancelled"
        except Exception as error:  # whatever a client library throws is this request's failure
            record["status"], record["error"] = "error", str(error)
        record["done"] = now()
        say(record)


class Turns:
    """Hands out the numbers of requests and when each is due, to all threads."""

    def __init__(self, count, rate):
        self.numbers, self.began, self.rate = iter(range(count)), now(), rate
        self.lock = threading.Lock()

    def __iter__(self):
        return self

    def __next__(self):
        with self.lock:
            turn = next(self.numbers)
        return turn, self.began + int(turn / self.rate * 1e9) if self.rate else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=CLIENTS, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--http-port", type=int, default=8000)
    parser.add_argument("--grpc-port", type=int, default=8001)
    parser.add_argument("--certificate", help="talk gRPC over TLS, and trust this")
    parser.add_argument("--count", type=int, default=1, help="requests")
    parser.add_argument("--parallel", type=int, default=1, help="of them at a time")
    parser.add_argument("--rate", type=float, default=0, help="begin so many a second, not as many as possible")
    parser.add_argument("--responses", type=int, default=1, help="of each stream, or requests of each sequence")
    parser.add_argument("--value", type=float, default=1, help="what the input tensor holds")
    parser.add_argument("--no-ids", dest="ids", action="store_false", help="requests without an id")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()

    turns = Turns(arguments.count, arguments.rate)
    lock = threading.Lock()
    with open(arguments.out, "w") as out:

        def say(record):
            with lock:
                out.write(json.dumps(record) + "\n")

        threads = [threading.Thread(target=work, args=(arguments, turns, say)) for _ in range(arguments.parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
