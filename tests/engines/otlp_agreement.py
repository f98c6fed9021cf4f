"""Whether OTLP collectors were told what really happened.

usage: otlp_agreement.py load --port N --out CALLERS                   requests of every shape, each with a trace of its own
       otlp_agreement.py judge --callers CALLERS --received LINES --metrics PAGE --service NAME --collectors NAME …
       otlp_agreement.py store --url URL --ca PEM --metrics PAGE --service NAME --delta LABEL=VALUE

`judge` holds what the collectors of otlp_receiver.py took against the callers' own ids and clocks, and against a page of /metrics that was
read behind the last request. `store` asks a VictoriaMetrics the same with PromQL. Both print what they compared; exit code 1 and a
sentence where something does not agree.
"""

import argparse
import base64
import http.client
import json
import math
import os
import re
import ssl
import sys
import time
import urllib.parse
import urllib.request

# Both clocks are of this machine; what is between a caller and the agent's probes is a loopback and a busy scheduler.
SLACK_NS = 20_000_000
TOKENS = 16
MODEL = "tiny-llama"

# Of each shape: how often, the path, what is asked beside the model, the span's operation, and the answer's status.
PROMPT = {"prompt": "the quick brown fox", "max_tokens": TOKENS, "ignore_eos": True}
CHAT = {"messages": [{"role": "user", "content": "the quick brown fox"}], "max_tokens": TOKENS, "ignore_eos": True}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
SHAPES = {
    "streamed completion": (5, "/v1/completions", PROMPT | STREAM, "text_completion", 200),
    "streamed chat": (4, "/v1/chat/completions", CHAT | STREAM, "chat", 200),
    "whole chat": (2, "/v1/chat/completions", CHAT, "chat", 200),
    "refused": (1, "/v1/completions", PROMPT | {"temperature": -1}, "text_completion", 400),
}
HISTOGRAMS = {
    "gen_ai.server.request.duration": "llm_request_duration_seconds",
    "gen_ai.server.time_to_first_token": "llm_time_to_first_token_seconds",
    "gen_ai.server.time_per_output_token": "llm_time_per_output_token_seconds",
    "inferscope.llm.inter_token_latency": "llm_inter_token_latency_seconds",
    "inferscope.llm.frontend.duration": "llm_frontend_duration_seconds",
    "inferscope.llm.queue.duration": "llm_queue_duration_seconds",
    "inferscope.llm.prefill.duration": "llm_prefill_duration_seconds",
    "inferscope.llm.decode.duration": "llm_decode_duration_seconds",
}
# Counters: the name, and the attribute that tells families of one name apart.
COUNTERS = [
    ("inferscope.llm.requests", None, "llm_request_total"),
    ("inferscope.llm.tokens", ("gen_ai.token.type", "output"), "llm_tokens_generated_total"),
    ("inferscope.llm.tokens", ("gen_ai.token.type", "input"), "llm_prompt_tokens_total"),
]


def need(condition, sentence):
    if not condition:
        sys.exit(f"does not agree: {sentence}")


# --- the callers


def load(arguments):
    shapes = [shape for shape, (times, *_) in SHAPES.items() for _ in range(times)]
    with open(arguments.out, "w") as out:
        for number, shape in enumerate(shapes):
            out.write(json.dumps(call(arguments.port, number, shape)) + "\n")


def call(port, number, shape):
    _, path, ask, _, _ = SHAPES[shape]
    trace, parent = os.urandom(16).hex(), os.urandom(8).hex()
    # Every fourth says that its trace is not recorded, and one speaks b3.
    recorded, b3 = number % 4 != 3, number == 1
    way = {"b3": f"{trace}-{parent}-1"} if b3 else {"traceparent": f"00-{trace}-{parent}-0{int(recorded)}", "tracestate": "test=1"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    sent = time.time_ns()
    connection.request("POST", path, json.dumps({"model": MODEL} | ask), {"Content-Type": "application/json"} | way)
    response = connection.getresponse()
    response.readline()
    first = time.time_ns()
    response.read()
    caller = {"shape": shape, "trace": trace, "parent": parent, "recorded": recorded, "state": "" if b3 else "test=1"}
    return caller | {"sent": sent, "first": first, "end": time.time_ns(), "status": response.status}


# --- what the collectors took


def lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def attributes(holder):
    return {each["key"]: next(iter(each["value"].values())) for each in holder.get("attributes", [])}


def identifier(text):
    return base64.b64decode(text).hex()


def of_service(received, kind, resources, scopes, items, service):
    """The spans or metrics of a service, in the order in which they came."""
    for request in (line[kind] for line in received if kind in line):
        for resource in request[resources]:
            if attributes(resource["resource"])["service.name"] == service:
                yield from (item for scope in resource[scopes] for item in scope[items])


def judge_spans(callers, received, service):
    spans = list(of_service(received, "spans", "resourceSpans", "scopeSpans", "spans", service))
    by_trace = {}
    for span in spans:
        by_trace.setdefault(identifier(span["traceId"]), []).append(span)
    stages = set()
    for caller in callers:
        mine = by_trace.pop(caller["trace"], [])
        if caller["recorded"]:
            stages |= judge_trace(caller, mine)
        else:
            need(not mine, "a trace that its caller does not record has spans")
    need(not by_trace, f"{len(by_trace)} traces that no caller began")
    return len(spans), sorted(stages)


def judge_trace(caller, spans):
    shape = caller["shape"]
    _, _, ask, operation, status = SHAPES[shape]
    whole = [span for span in spans if span["kind"] == "SPAN_KIND_SERVER"]
    need(len(whole) == 1, f"a trace ({shape}) has {len(whole)} server spans")
    whole = whole[0]
    said = attributes(whole)
    need(identifier(whole["parentSpanId"]) == caller["parent"], "the caller's span is not the parent")
    need(whole.get("traceState", "") == caller["state"], "the trace state is not handed on")
    need(whole["name"] == f"{operation} {MODEL}", f"a {shape} is called {whole['name']}")
    need(int(said["http.response.status_code"]) == status, f"the status of a {shape}")
    need(("error.type" in said) == (status >= 400), f"the error of a {shape}: {said.get('error.type')}")
    start, end = int(whole["startTimeUnixNano"]), int(whole["endTimeUnixNano"])
    need(caller["sent"] - SLACK_NS <= start <= end <= caller["end"] + SLACK_NS, f"start and end of a {shape}")
    events = {event["name"]: int(event["timeUnixNano"]) for event in whole.get("events", [])}
    if status == 200:
        need(int(said["gen_ai.usage.output_tokens"]) == TOKENS, f"output tokens of a {shape}")
    if status == 200 and "stream" in ask:
        first = events["inferscope.first_content"]
        need(start <= first <= end, f"arrival, first token and end of a {shape}")
        need(abs(float(said["gen_ai.response.time_to_first_chunk"]) - (first - start) / 1e9) < 1e-6, "its time to first token")
    stages = set()
    for part in spans:
        if part is not whole:
            stages.add(part["name"])
            need(part["parentSpanId"] == whole["spanId"], f"{part['name']} stands below another span")
            within = start - SLACK_NS <= int(part["startTimeUnixNano"]) <= int(part["endTimeUnixNano"]) <= end + SLACK_NS
            need(within, f"{part['name']} is outside of its request")
    return stages


class Told:
    """The numbers of a service as one collector has them: the last of each cumulative series, all deltas added up."""

    def __init__(self, received, service):
        self.series = {}
        for metric in of_service(received, "metrics", "resourceMetrics", "scopeMetrics", "metrics", service):
            kind = next(kind for kind in ("sum", "gauge", "histogram", "exponentialHistogram") if kind in metric)
            is_delta = metric[kind].get("aggregationTemporality") == "AGGREGATION_TEMPORALITY_DELTA"
            for point in metric[kind]["dataPoints"]:
                key = (metric["name"], json.dumps(point.get("attributes", []), sort_keys=True))
                numbers = self.numbers(kind, point)
                before = self.series.get(key, {}) if is_delta else {}
                self.series[key] = {of: numbers.get(of, 0) + before.get(of, 0) for of in numbers | before}

    @staticmethod
    def numbers(kind, point):
        if kind in ("sum", "gauge"):
            return {"value": float(point.get("asInt", point.get("asDouble")))}
        numbers = {"count": int(point["count"]), "sum": point["sum"]}
        if kind == "histogram":
            bounds = [*point["explicitBounds"], math.inf]
            numbers |= {("le", bound): int(count) for bound, count in zip(bounds, point["bucketCounts"])}
        return numbers

    def sum(self, name, of, only=None):
        wanted = [numbers for (told, about), numbers in self.series.items() if told == name and has(about, only)]
        need(wanted, f"{name} was not told")
        return sum(numbers.get(of, 0) for numbers in wanted)

    def buckets(self, name):
        """By upper bound, none where the buckets are exponential."""
        counts = {}
        for (told, _), numbers in self.series.items():
            for of, count in numbers.items():
                if told == name and isinstance(of, tuple):
                    counts[of[1]] = counts.get(of[1], 0) + count
        return counts


def has(about, only):
    return only is None or attributes({"attributes": json.loads(about)}).get(only[0]) == only[1]


class Shown:
    """What /metrics shows of a service."""

    def __init__(self, path, service):
        self.series = {}
        for line in open(path):
            if match := re.match(r"(\w+)(?:\{(.*)\})? (\S+)", line):
                labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
                if labels.get("service") == service:
                    self.series.setdefault(match[1], []).append((labels, float(match[3])))

    def sum(self, name):
        return sum(value for _, value in self.series.get(name, []))

    def buckets(self, name):
        """By upper bound, each counting for itself."""
        upto = {}
        for labels, value in self.series.get(f"{name}_bucket", []):
            bound = float(labels["le"].replace("+Inf", "inf"))
            upto[bound] = upto.get(bound, 0) + value
        below, counts = 0, {}
        for bound in sorted(upto):
            counts[bound], below = upto[bound] - below, upto[bound]
        return counts


def judge_metrics(told, shown):
    compared = 0
    for otlp, name in HISTOGRAMS.items():
        count, shows = told.sum(otlp, "count"), shown.sum(f"{name}_count")
        need(count == shows > 0, f"the count of {otlp}: {count}, {shows}")
        need(abs(told.sum(otlp, "sum") - shown.sum(f"{name}_sum")) < 1e-9 * count, f"the sum of {otlp}")
        buckets = told.buckets(otlp)
        need(not buckets or buckets == shown.buckets(name), f"the buckets of {otlp}")
        compared += 2 + len(buckets)
    for otlp, only, name in COUNTERS:
        value, shows = told.sum(otlp, "value", only), shown.sum(name)
        need(value == shows > 0, f"{otlp} {only}: {value}, {shows}")
        compared += 1
    return compared


def judge_exemplars(callers, received, service):
    """Buckets point to requests that their callers record."""
    recorded = {caller["trace"] for caller in callers if caller["recorded"]}
    traces = set()
    for metric in of_service(received, "metrics", "resourceMetrics", "scopeMetrics", "metrics", service):
        for point in metric.get("histogram", {}).get("dataPoints", []):
            traces |= {identifier(exemplar["traceId"]) for exemplar in point.get("exemplars", [])}
    need(traces and traces <= recorded, f"exemplars of {len(traces - recorded)} traces that are not recorded, of {len(traces)}")


def judge(arguments):
    callers, received, shown = lines(arguments.callers), lines(arguments.received), Shown(arguments.metrics, arguments.service)
    wrong = [line for line in received if "wrong" in line]
    need(not wrong, f"a collector refused: {wrong[:3]}")
    for caller in callers:
        need(caller["status"] == SHAPES[caller["shape"]][-1], f"a {caller['shape']} ended with {caller['status']}")
    need(shown.sum("llm_request_total") == len(callers), f"/metrics shows {shown.sum('llm_request_total')} requests")
    for name in arguments.collectors:
        mine = [line for line in received if line["to"] == name]
        spans, stages = judge_spans(callers, mine, arguments.service)
        judge_exemplars(callers, mine, arguments.service)
        compared = judge_metrics(Told(mine, arguments.service), shown)
        print(f"{name}: {len(callers)} requests, {spans} spans ({', '.join(stages)}), {compared} numbers equal to /metrics")


# --- what the store says


class Store:
    def __init__(self, url, ca):
        self.url, self.context, self.compared = url, ssl.create_default_context(cafile=ca), 0
        # What was just taken can be asked for from now on.
        self.get("/internal/force_flush", {})

    def get(self, path, parameters):
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30, context=self.context) as answer:
            return answer.read()

    def equal(self, query, number, slack=0):
        result = json.loads(self.get("/api/v1/query", {"query": query}))["data"]["result"]
        need(result, f"nothing for {query}")
        answer = float(result[0]["value"][1])
        need(abs(answer - number) <= slack, f"{query}: {answer}, {number}")
        self.compared += 1


def store(arguments):
    shown, asked = Shown(arguments.metrics, arguments.service), Store(arguments.url, arguments.ca)
    label, value = arguments.delta.split("=")
    cumulative = f'service_name="{arguments.service}",{label}!="{value}"'
    delta = f'service_name="{arguments.service}",{label}="{value}"'
    both = [f"sum({{name}}{{{{{cumulative}}}}})", f"sum(sum_over_time({{name}}{{{{{delta}}}}}[1h]))"]
    for query in both:
        asked.equal(query.format(name="inferscope_llm_requests_total"), shown.sum("llm_request_total"))
    for otlp, name in HISTOGRAMS.items():
        otlp = f"{otlp.replace('.', '_')}_seconds"
        for query in both:
            asked.equal(query.format(name=f"{otlp}_count"), shown.sum(f"{name}_count"))
            asked.equal(query.format(name=f"{otlp}_sum"), shown.sum(f"{name}_sum"), 1e-6)
        below = 0
        for bound, count in shown.buckets(name).items():
            below += count
            upto = "+Inf" if bound == math.inf else f"{bound:g}"
            asked.equal(f'sum({otlp}_bucket{{{cumulative},le="{upto}"}})', below)
    print(f"store: {asked.compared} answers in PromQL equal to /metrics")


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    loading = commands.add_parser("load")
    loading.add_argument("--port", type=int, required=True)
    loading.add_argument("--out", required=True)
    loading.set_defaults(run=load)
    judging = commands.add_parser("judge")
    for name in ("callers", "received", "metrics", "service"):
        judging.add_argument(f"--{name}", required=True)
    judging.add_argument("--collectors", nargs="+", required=True)
    judging.set_defaults(run=judge)
    asking = commands.add_parser("store")
    for name in ("url", "ca", "metrics", "service", "delta"):
        asking.add_argument(f"--{name}", required=True)
    asking.set_defaults(run=store)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
