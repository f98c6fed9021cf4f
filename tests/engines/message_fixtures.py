#!/usr/bin/env python3
"""Prints messages of one vLLM version, as that version's own classes encode them: a name and hexadecimal frames a line.

    message_fixtures.py VLLM_FOLDER > agent/src/engine/vllm/testdata/messages-VERSION.txt

VLLM_FOLDER needs only that version's v1/engine/__init__.py and v1/metrics/stats.py (a wheel is a zip). What they import
of vLLM and torch is replaced by stand-ins; msgspec is the real one, and numpy (vLLM's own environment has both).
"""

import importlib.util
import sys
import types
from pathlib import Path

import msgspec
import numpy

# What must never be seen outside the decoder: token ids that no other number of these messages is.
CANARY = [7_770_001, 7_770_002, 7_770_003, 7_770_004, 7_770_005]
TEXT = "canary-text"


class Anything:
    """Stands for a class that the definitions only mention. It stays unused: nothing here sets such a field."""

    def __init__(self, *args, **kwargs):
        pass

    def __class_getitem__(cls, item):
        return cls

    def __or__(self, other):
        return None

    __ror__ = __or__


class StandIn(types.ModuleType):
    """A module in which every name is there."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "init_logger":
            return lambda *args: None
        return type(name, (Anything,), {})


class Finder:
    """Finds what is not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ("vllm", "torch"):
            return None
        return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        pass


def load(folder, name, path):
    spec = importlib.util.spec_from_file_location(name, Path(folder) / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def build(cls, **fields):
    """An instance, of those fields that this version has; None for the others that must be given."""
    names = cls.__struct_fields__
    required = names[: len(names) - len(cls.__struct_defaults__)]
    given = {name: value for name, value in fields.items() if name in names}
    return cls(**({name: None for name in required} | given))


class Encoder:
    """vLLM's MsgpackEncoder, for arrays: a small one inside, a large one as a frame of its own."""

    def __init__(self):
        self.frames = []
        self.encoder = msgspec.msgpack.Encoder(enc_hook=self.hook)

    def hook(self, value):
        if value.nbytes < 256:
            return value.dtype.str, value.shape, msgspec.msgpack.Ext(3, value.tobytes())
        self.frames.append(value.tobytes())
        return value.dtype.str, value.shape, len(self.frames)

    def encode(self, value):
        self.frames = []
        return [self.encoder.encode(value), *self.frames]


def show(name, *frames):
    print(name, *(frame.hex() if frame else "-" for frame in frames))


def main(folder):
    sys.meta_path.insert(0, Finder())
    stats = load(folder, "vllm.v1.metrics.stats", "v1/metrics/stats.py")
    engine = load(folder, "vllm.v1.engine", "v1/engine/__init__.py")
    encode = Encoder().encode
    core = b"\0\0"
    kinds = engine.EngineCoreRequestType

    def request(request_id, tokens):
        sampling = {"temperature": 0.0, "max_tokens": 3, "stop": [TEXT], "output_kind": 2}
        return build(
            engine.EngineCoreRequest, request_id=request_id, prompt_token_ids=tokens, sampling_params=sampling,
            arrival_time=1_700_000_000.25, client_index=0, external_req_id="cmpl-a",
        )

    def outputs(*each, **fields):
        return build(engine.EngineCoreOutputs, engine_index=1, outputs=list(each), **fields)

    def output(request_id, tokens, **fields):
        return build(engine.EngineCoreOutput, request_id=request_id, new_token_ids=tokens, **fields)

    def event(kind, timestamp):
        return engine.EngineCoreEvent.new_event(engine.EngineCoreEventType[kind], timestamp)

    def scheduler(running, waiting, skipped, usage, queries, hits):
        cache = stats.PrefixCacheStats(requests=1, queries=queries, hits=hits)
        figures = stats.SchedulerStats(
            num_running_reqs=running, num_waiting_reqs=waiting, kv_cache_usage=usage, prefix_cache_stats=cache
        )
        if hasattr(figures, "num_skipped_waiting_reqs"):
            figures.num_skipped_waiting_reqs = skipped
        return figures

    def prefill():
        """How this version says that of 5 prompt tokens 4 came from the cache."""
        if not hasattr(stats, "PrefillStats"):
            return {"num_cached_tokens": 4}
        figures = stats.PrefillStats()
        figures.set(num_prompt_tokens=5, num_local_cached_tokens=4, num_external_cached_tokens=0)
        return {"prefill_stats": figures}

    add = encode(request("cmpl-a-0-11111111", CANARY))
    show("add", kinds.ADD.value, *add)
    show("add-from-the-front-end", core, kinds.ADD.value, *add)
    show("add-embeddings", kinds.ADD.value, *encode(request("cmpl-e-0-22222222", None)))
    show("abort", kinds.ABORT.value, *encode(["cmpl-a-0-11111111", "cmpl-b-0-33333333"]))
    show("utility", kinds.UTILITY.value, *encode((0, 77, "get_supported_tasks", [TEXT])))
    show("wave", kinds.START_DP_WAVE.value, *encode((1, 0)))

    # Two sequences run: one has just begun, one goes on with two tokens.
    queued, scheduled = event("QUEUED", 1000.5), event("SCHEDULED", 1000.75)
    show("first", *encode(outputs(
        output("cmpl-a-0-11111111", CANARY[:1], events=[queued, scheduled], **prefill()),
        output("chatcmpl-b-33333333", CANARY[1:3]),
        scheduler_stats=scheduler(2, 3, 4, 0.25, 5, 4), timestamp=1001.0,
    )))
    # One was preempted and came back; both end.
    again = [
        event("PREEMPTED", 1001.5), event("SCHEDULED", 1001.75), event("PREEMPTED", 1001.8), event("SCHEDULED", 1001.9),
    ]
    show("last", *encode(outputs(
        output("cmpl-a-0-11111111", CANARY[3:4], events=again, finish_reason=engine.FinishReason.LENGTH,
               kv_transfer_params={TEXT: [1, {"num_prompt_tokens": 9}]}, trace_headers={"traceparent": TEXT}),
        output("chatcmpl-b-33333333", CANARY[4:], finish_reason=engine.FinishReason.STOP, stop_reason=TEXT),
        scheduler_stats=scheduler(0, 0, 0, 0.0, 0, 0), timestamp=1002.0, finished_requests={"cmpl-a-0-11111111"},
    )))
    # With logprobs: small ones inside, large ones in a frame of their own.
    small, large = numpy.array([CANARY[:2]], "<i4"), numpy.array([CANARY * 20], "<i4")
    show("logprobs", *encode(outputs(
        output("cmpl-a-0-11111111", CANARY[:1], new_logprobs=(small, large, small)),
        scheduler_stats=scheduler(1, 0, 0, 0.5, 0, 0), timestamp=1003.0,
    )))
    show("idle", *encode(outputs(scheduler_stats=scheduler(0, 7, 0, 0.0, 0, 0), timestamp=1004.0)))
    result = engine.UtilityOutput(77, None, [TEXT])
    show("utility-output", *encode(outputs(utility_output=result, timestamp=1005.0)))
    show("finished-only", *encode(outputs(finished_requests={"cmpl-a-0-11111111"}, timestamp=1006.0)))


if __name__ == "__main__":
    main(sys.argv[1])
