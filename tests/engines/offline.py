"""Generates with vLLM in this process, without a server, and says what came of it.

usage: offline.py MODEL [--requests N] [--wait]

Standard output carries lines of JSON and nothing else: {"state": "ready"} once the model is loaded, then the result:
each request's token counts and finish reason, and vLLM's own counters and histograms. With --wait a line is read from
standard input before generating and another one before ending, so that somebody may attach in time and see everything
of the engine before it goes.
"""

import argparse
import json
import os
import sys

WORDS = "the quick brown fox jumps over lazy dog hello world inference server token stream".split()
# vLLM's own names, and what they are called here and in the agent's cross-check.
METRICS = {
    "vllm:request_success": "sequences",
    "vllm:prompt_tokens": "prompt_tokens",
    "vllm:prompt_tokens_cached": "cached_tokens",
    "vllm:generation_tokens": "generated_tokens",
    "vllm:prefix_cache_queries": "prefix_queries",
    "vllm:prefix_cache_hits": "prefix_hits",
    "vllm:num_preemptions": "preemptions",
    "vllm:request_queue_time_seconds": "queue",
    "vllm:request_prefill_time_seconds": "prefill",
    "vllm:request_decode_time_seconds": "decode",
    "vllm:inter_token_latency_seconds": "inter_token",
    "vllm:time_to_first_token_seconds": "first_token",
    "vllm:e2e_request_latency_seconds": "end_to_end",
}


def prompt(number):
    """A prompt as text or, every other one, as token ids; of 4 to 11 words or ids."""
    length = 4 + number % 8
    if number % 2:
        return {"prompt_token_ids": [100 + (number * 7 + place) % 800 for place in range(length)]}
    return {"prompt": " ".join(WORDS[(number + place) % len(WORDS)] for place in range(length))}


def summed(metrics):
    """Count and sum of each metric over all its series; a counter's count is its value."""
    totals = {}
    for metric in metrics:
        if metric.name in METRICS:
            total = totals.setdefault(METRICS[metric.name], {"count": 0, "sum": 0.0})
            total["count"] += metric.count if hasattr(metric, "buckets") else metric.value
            total["sum"] += getattr(metric, "sum", 0.0)
    return totals


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("model")
    arguments.add_argument("--requests", type=int, default=48)
    arguments.add_argument("--wait", action="store_true")
    arguments = arguments.parse_args()

    # Everything that vLLM prints goes to standard error; its processes inherit that.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(what):
        print(json.dumps(what), file=out, flush=True)

    def wait():
        if arguments.wait:
            sys.stdin.readline()

    from vllm import LLM, SamplingParams

    llm = LLM(
        arguments.model,
        dtype="float32",
        max_model_len=1024,
        max_num_seqs=16,
        enforce_eager=True,
        disable_log_stats=False,
    )
    say({"state": "ready"})
    wait()
    numbers = range(arguments.requests)
    parameters = [SamplingParams(max_tokens=8 + number * 5 % 57, ignore_eos=True) for number in numbers]
    outputs = llm.generate([prompt(number) for number in numbers], parameters, use_tqdm=False)
    requests = [
        {
            "prompt_tokens": len(output.prompt_token_ids),
            "generated_tokens": sum(len(choice.token_ids) for choice in output.outputs),
            "finish": output.outputs[0].finish_reason,
        }
        for output in outputs
    ]
    say({"state": "done", "requests": requests, "metrics": summed(llm.get_metrics())})
    wait()


# vLLM starts its engine by spawning this module again.
if __name__ == "__main__":
    main()
