"""A strict OTLP collector over gRPC: takes metrics and spans, refuses what breaks the protocol's rules, writes each request as a line.

usage: otlp_receiver.py --port N --out FILE [--certificate PEM --key PEM]

What it refuses is an INVALID_ARGUMENT with the reason, and a line {"wrong": reason}.
"""

import argparse
import json
import re
from concurrent import futures

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-/]{0,254}$")


def need(condition, reason):
    if not condition:
        raise ValueError(reason)


def check_attributes(attributes):
    keys = [attribute.key for attribute in attributes]
    need(len(keys) == len(set(keys)), f"an attribute twice in {keys}")
    need(all(keys), "an attribute without a name")
    need(all(attribute.value.WhichOneof("value") for attribute in attributes), f"an attribute without a value in {keys}")


def check_points(metric):
    kind = metric.WhichOneof("data")
    need(kind, f"{metric.name} has no data")
    data = getattr(metric, kind)
    need(data.data_points, f"{metric.name} has no points")
    if kind in ("sum", "histogram", "exponential_histogram"):
        need(data.aggregation_temporality in (1, 2), f"{metric.name} has no temporality")
    seen = set()
    for point in data.data_points:
        check_attributes(point.attributes)
        series = tuple(sorted((a.key, a.value.SerializeToString()) for a in point.attributes))
        need(series not in seen, f"{metric.name}: a series twice")
        seen.add(series)
        need(point.time_unix_nano > 0, f"{metric.name}: no time")
        if kind != "gauge":
            need(0 < point.start_time_unix_nano <= point.time_unix_nano, f"{metric.name}: starts behind its end")
        if kind == "histogram":
            need(len(point.bucket_counts) == len(point.explicit_bounds) + 1, f"{metric.name}: buckets and bounds")
            need(sum(point.bucket_counts) == point.count, f"{metric.name}: buckets and count")
            need(sorted(point.explicit_bounds) == list(point.explicit_bounds), f"{metric.name}: bounds")
        if kind == "exponential_histogram":
            counts = sum(point.positive.bucket_counts) + sum(point.negative.bucket_counts) + point.zero_count
            need(counts == point.count, f"{metric.name}: buckets and count")


def check_metrics(request):
    for resource in request.resource_metrics:
        check_attributes(resource.resource.attributes)
        metrics = [metric for scope in resource.scope_metrics for metric in scope.metrics]
        names = [metric.name for metric in metrics]
        need(len(names) == len(set(names)), "a metric twice under one resource")
        for metric in metrics:
            need(NAME.match(metric.name), f"a metric named {metric.name!r}")
            need(metric.unit, f"{metric.name} has no unit")
            check_points(metric)


def check_spans(request):
    for resource in request.resource_spans:
        check_attributes(resource.resource.attributes)
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            need(len(span.trace_id) == 16 and any(span.trace_id), "a trace id")
            need(len(span.span_id) == 8 and any(span.span_id), "a span id")
            need(len(span.parent_span_id) in (0, 8), "a parent's id")
            need(span.name and span.kind, "a span without name or kind")
            need(0 < span.start_time_unix_nano <= span.end_time_unix_nano, f"{span.name}: ends before its start")
            check_attributes(span.attributes)
            for event in span.events:
                within = span.start_time_unix_nano <= event.time_unix_nano <= span.end_time_unix_nano
                need(within, f"{span.name}: {event.name} is outside of it")


class Receiver(metrics_service_pb2_grpc.MetricsServiceServicer, trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, out, kind):
        self.out, self.kind = out, kind

    def Export(self, request, context):
        check, response = {
            "metrics": (check_metrics, metrics_service_pb2.ExportMetricsServiceResponse),
            "spans": (check_spans, trace_service_pb2.ExportTraceServiceResponse),
        }[self.kind]
        try:
            check(request)
        except ValueError as wrong:
            self.write({"wrong": f"{self.kind}: {wrong}"})
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
        self.write({self.kind: MessageToDict(request)})
        return response()

    def write(self, line):
        self.out.write(json.dumps(line) + "\n")
        self.out.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    with open(arguments.out, "a") as out:
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Receiver(out, "metrics"), server)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Receiver(out, "spans"), server)
        address = f"127.0.0.1:{arguments.port}"
        if arguments.certificate:
            pem = [open(path, "rb").read() for path in (arguments.key, arguments.certificate)]
            server.add_secure_port(address, grpc.ssl_server_credentials([tuple(pem)]))
        else:
            server.add_insecure_port(address)
        server.start()
        print("ready", flush=True)
        server.wait_for_termination()


if __name__ == "__main__":
    main()
