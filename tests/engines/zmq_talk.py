"""Talks ZeroMQ to itself under the name of a vLLM engine, and says which frames passed: what tests/engines/messages.rs
holds a tape against.

Prints `ready`, waits for a line, then prints one line of JSON for each call that moved a frame, in order: socket, write,
seed, size, more. Byte i of a frame is (seed + i) % 251. A send that fails with EAGAIN is among them: its frame is seen when
the call begins.
"""

import ctypes
import itertools
import json
import os
import sys
import tempfile

import zmq

PR_SET_NAME = 15
SIZES = [0, 1, 33, 34, 100, 5_000, 20_000, 70_000, 1_000_000]
PERIOD = 251

seeds = itertools.cycle(range(PERIOD))


def frame(seed, size):
    period = bytes(range(PERIOD))
    start = period[seed:] + period[:seed]
    return (start * (size // PERIOD + 1))[:size]


def say(socket, write, seed, size, more):
    # `underlying` is the address that libzmq's calls get.
    print(json.dumps({"socket": socket.underlying, "write": write, "seed": seed, "size": size, "more": more}))


def send(socket, seed, size, more=False, copy=True, flags=0):
    say(socket, True, seed, size, more)
    socket.send(frame(seed, size), flags | (zmq.SNDMORE if more else 0), copy=copy)


def receive(socket, seed, size, more=False, copy=True):
    received = socket.recv(copy=copy)
    received = received if copy else received.bytes
    assert received == frame(seed, size), f"{size} bytes did not arrive"
    assert bool(socket.getsockopt(zmq.RCVMORE)) == more
    say(socket, False, seed, size, more)


def talk(context, folder):
    one, other = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    one.copy_threshold = 0
    try:
        send(one, next(seeds), 700, flags=zmq.NOBLOCK)
        raise AssertionError("nobody is there to take it")
    except zmq.Again:
        pass
    one.bind(f"ipc://{folder}/push")
    other.connect(f"ipc://{folder}/push")
    for copy, size in itertools.product([True, False], SIZES):
        seed = next(seeds)
        send(one, seed, size, copy=copy)
        receive(other, seed, size, copy=copy)
    try:
        other.recv(zmq.NOBLOCK)
        raise AssertionError("nothing was sent")
    except zmq.Again:
        pass

    # As vLLM's front end and engine do: an identity, a type, a payload.
    router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    identity = 7
    dealer.routing_id = frame(identity, 2)
    router.bind(f"ipc://{folder}/router")
    dealer.connect(f"ipc://{folder}/router")
    for size in SIZES:
        kind, payload = next(seeds), next(seeds)
        send(dealer, kind, 1, more=True)
        send(dealer, payload, size)
        receive(router, identity, 2, more=True)
        receive(router, kind, 1, more=True)
        receive(router, payload, size)
        send(router, identity, 2, more=True)
        send(router, kind, 1, more=True)
        send(router, payload, size)
        receive(dealer, kind, 1, more=True)
        receive(dealer, payload, size)


def main():
    ctypes.CDLL(None).prctl(PR_SET_NAME, b"VLLM::EngineCor", 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        print("ready", flush=True)
        sys.stdin.readline()
        talk(context, folder)
        sys.stdout.flush()
        # No socket closes politely: the agent may still be looking.
        os._exit(0)


main()
