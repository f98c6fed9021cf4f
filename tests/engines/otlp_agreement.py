"""Whether an OTLP collector was told what really happened.

usage: otlp_agreement.py load --port N --out CALLERS [--requests 12]      streamed requests, each with a trace of its own
       otlp_agreement.py judge --callers CALLERS --received LINES --metrics PAGE --service NAME

`judge` holds the spans that otlp_receiver.py took against the callers' own ids and clocks, and the last metrics against a page of /metrics
that was read behind the last request. Prints what it compared; exit code 1 and a sentence where something does not agree.
"""

import argparse
import base64
import http.client
import json
import os
import re
import sys
import time

# Both clocks are of this machine; what is between a caller and the agent's probes is a loopback and a busy scheduler.
SLACK_NS = 20_000_000


def load(arguments):
    with open(arguments.out, "w") as out:
        for number in range(arguments.requests):
            trace, parent = os.urandom(16).hex(), os.urandom(8).hex()
            # Every fourth says that its trace is not recorded.
            flags = "00" if number % 4 == 3 else "01"
            body = {"model": "tiny-llama", "prompt": "the quick brown fox", "max_tokens": 16, "ignore_eos": True}
            body |= {"stream": True, "stream_options": {"include_usage": True}}
            connection = http.client.HTTPConnection("127.0.0.1", arguments.port, timeout=120)
            headers = {"Content-Type": "application/json", "traceparent": f"00-{trace}-{parent}-{flags}", "tracestate": "test=1"}
            sent = time.time_ns()
            connection.request("POST", "/v1/completions", json.dumps(body), headers)
            response = connection.getresponse()
            response.readline()
            first = time.time_ns()
            response.read()
            caller = {"trace": trace, "parent": parent, "recorded": flags == "01", "sent": sent, "first": first}
            out.write(json.dumps(caller | {"end": time.time_ns(), "status": response.status}) + "\n")


def lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def need(condition, sentence):
    if not condition:
        sys.exit(f"does not agree: {sentence}")


def attributes(holder):
    return {each["key"]: next(iter(each["value"].values())) for each in holder.get("attributes", [])}


def identifier(text):
    return base64.b64decode(text).hex()


def judge_spans(callers, received, service):
    spans = []
    for request in (line["spans"] for line in received if "spans" in line):
        for resource in request["resourceSpans"]:
            if attributes(resource["resource"])["service.name"] == service:
                spans += [span for scope in resource["scopeSpans"] for span in scope["spans"]]
    by_trace = {}
    for span in spans:
        by_trace.setdefault(identifier(span["traceId"]), []).append(span)
    stages = set()
    for caller in callers:
        mine = by_trace.pop(caller["trace"], [])
        if not caller["recorded"]:
            need(not mine, "a trace that its caller does not record has spans")
            continue
        whole = [span for span in mine if span["kind"] == "SPAN_KIND_SERVER"]
        need(len(whole) == 1, f"a trace has {len(whole)} server spans")
        whole = whole[0]
        need(identifier(whole["parentSpanId"]) == caller["parent"], "the caller's span is not the parent")
        need(whole.get("traceState") == "test=1", "the trace state is not handed on")
        start, end = int(whole["startTimeUnixNano"]), int(whole["endTimeUnixNano"])
        events = {event["name"]: int(event["timeUnixNano"]) for event in whole["events"]}
        first = events["inferscope.first_content"]
        need(caller["sent"] - SLACK_NS <= start <= first <= end <= caller["end"] + SLACK_NS, "the order of moments")
        need(int(attributes(whole)["gen_ai.usage.output_tokens"]) == 16, "output tokens")
        for part in mine:
            if part is whole:
                continue
            stages.add(part["name"])
            need(part["parentSpanId"] == whole["spanId"], f"{part['name']} stands below another span")
            within = start - SLACK_NS <= int(part["startTimeUnixNano"]) <= int(part["endTimeUnixNano"]) <= end + SLACK_NS
            need(within, f"{part['name']} is outside of its request")
    need(not by_trace, f"{len(by_trace)} traces that no caller began")
    return len(spans), sorted(stages)


def page(path):
    """Sums over series by (name, labels that matter)."""
    series = {}
    for line in open(path):
        if match := re.match(r"(\w+)(?:\{(.*)\})? (\S+)", line):
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            series.setdefault(match[1], []).append((labels, float(match[3])))
    return series


def judge_metrics(received, shown, service):
    told = {}
    for request in (line["metrics"] for line in received if "metrics" in line):
        for resource in request["resourceMetrics"]:
            if attributes(resource["resource"])["service.name"] == service:
                told |= {metric["name"]: metric for scope in resource["scopeMetrics"] for metric in scope["metrics"]}

    def shows(name, **labels):
        mine = [value for has, value in shown[name] if has["service"] == service and labels.items() <= has.items()]
        return sum(mine)

    def points(name):
        metric = told[name]
        return next(metric[kind]["dataPoints"] for kind in ("sum", "histogram", "gauge") if kind in metric)

    compared = 0
    for otlp, name in [
        ("gen_ai.server.request.duration", "llm_request_duration_seconds"),
        ("gen_ai.server.time_to_first_token", "llm_time_to_first_token_seconds"),
        ("gen_ai.server.time_per_output_token", "llm_time_per_output_token_seconds"),
        ("inferscope.llm.inter_token_latency", "llm_inter_token_latency_seconds"),
        ("inferscope.llm.queue.duration", "llm_queue_duration_seconds"),
        ("inferscope.llm.prefill.duration", "llm_prefill_duration_seconds"),
        ("inferscope.llm.decode.duration", "llm_decode_duration_seconds"),
    ]:
        need(otlp in told, f"{otlp} was not told")
        count = sum(int(point["count"]) for point in points(otlp))
        seconds = sum(point["sum"] for point in points(otlp))
        need(count == shows(f"{name}_count") > 0, f"the count of {otlp}: {count}, {shows(name + '_count')}")
        need(abs(seconds - shows(f"{name}_sum")) < 1e-9, f"the sum of {otlp}")
        compared += 2
    requests = sum(int(point["asInt"]) for point in points("inferscope.llm.requests"))
    need(requests == shows("llm_request_total"), "requests")
    for kind, name in [("output", "llm_tokens_generated_total"), ("input", "llm_prompt_tokens_total")]:
        mine = [point for point in points("inferscope.llm.tokens") if attributes(point)["gen_ai.token.type"] == kind]
        need(sum(int(point["asInt"]) for point in mine) == shows(name), f"{kind} tokens")
        compared += 1
    return requests, compared + 1


def judge(arguments):
    callers, received = lines(arguments.callers), lines(arguments.received)
    wrong = [line["wrong"] for line in received if "wrong" in line]
    need(not wrong, f"the receiver refused: {wrong[:3]}")
    need(all(caller["status"] == 200 for caller in callers), "a request failed")
    spans, stages = judge_spans(callers, received, arguments.service)
    requests, compared = judge_metrics(received, page(arguments.metrics), arguments.service)
    print(f"{requests} requests: {spans} spans with the stages {', '.join(stages)}; {compared} numbers equal to /metrics")


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    loading = commands.add_parser("load")
    loading.add_argument("--port", type=int, required=True)
    loading.add_argument("--out", required=True)
    loading.add_argument("--requests", type=int, default=12)
    loading.set_defaults(run=load)
    judging = commands.add_parser("judge")
    for name in ("callers", "received", "metrics", "service"):
        judging.add_argument(f"--{name}", required=True)
    judging.set_defaults(run=judge)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
