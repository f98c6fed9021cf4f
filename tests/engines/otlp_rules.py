"""The rules of OTLP that a request can break by itself, and those that it can break against what was said before."""

import re

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-/]{0,254}$")
DELTA, CUMULATIVE = 1, 2


class Wrong(Exception):
    """The rule that is broken."""


def need(condition, reason):
    if not condition:
        raise Wrong(reason)


def identity(attributes):
    return tuple(sorted((attribute.key, attribute.value.SerializeToString()) for attribute in attributes))


def check_attributes(attributes):
    keys = [attribute.key for attribute in attributes]
    need(len(keys) == len(set(keys)), f"an attribute twice in {keys}")
    need(all(keys), "an attribute without a name")
    need(all(attribute.value.WhichOneof("value") for attribute in attributes), f"an attribute without a value in {keys}")


def check_buckets(name, kind, point):
    if kind == "histogram":
        need(len(point.bucket_counts) == len(point.explicit_bounds) + 1, f"{name}: buckets and bounds")
        need(sum(point.bucket_counts) == point.count, f"{name}: buckets and count")
        need(sorted(set(point.explicit_bounds)) == list(point.explicit_bounds), f"{name}: bounds")
    if kind == "exponential_histogram":
        counts = sum(point.positive.bucket_counts) + sum(point.negative.bucket_counts) + point.zero_count
        need(counts == point.count, f"{name}: buckets and count")


class Rules:
    """Of one collector."""

    def __init__(self):
        # By resource, metric and attributes: start, time and value of the last point.
        self.series = {}
        # By name: unit, description, kind, temporality.
        self.instruments = {}
        self.span_ids = set()

    def check(self, kind, request):
        {"metrics": self.check_metrics, "spans": self.check_spans}[kind](request)

    def check_metrics(self, request):
        need(request.resource_metrics, "an empty request")
        owners = [identity(resource.resource.attributes) for resource in request.resource_metrics]
        need(len(owners) == len(set(owners)), "a resource twice in one request")
        for owner, resource in zip(owners, request.resource_metrics):
            check_attributes(resource.resource.attributes)
            metrics = [metric for scope in resource.scope_metrics for metric in scope.metrics]
            need(metrics, "a resource without metrics")
            names = [metric.name for metric in metrics]
            need(len(names) == len(set(names)), "a metric twice under one resource")
            for metric in metrics:
                self.check_metric(owner, metric)

    def check_metric(self, owner, metric):
        name, kind = metric.name, metric.WhichOneof("data")
        need(NAME.match(name), f"a metric named {name!r}")
        need(metric.unit and metric.description, f"{name} has no unit or no description")
        need(kind, f"{name} has no data")
        data = getattr(metric, kind)
        need(data.data_points, f"{name} has no points")
        temporality = 0 if kind == "gauge" else data.aggregation_temporality
        need(kind == "gauge" or temporality in (DELTA, CUMULATIVE), f"{name} has no temporality")
        instrument = (metric.unit, metric.description, kind, temporality)
        need(self.instruments.setdefault(name, instrument) == instrument, f"{name} was another instrument before")
        seen = set()
        for point in data.data_points:
            check_attributes(point.attributes)
            series = identity(point.attributes)
            need(series not in seen, f"{name}: a series twice")
            seen.add(series)
            need(point.time_unix_nano > 0, f"{name}: no time")
            check_buckets(name, kind, point)
            if kind != "gauge":
                self.check_growth(name, (owner, name, series), temporality, kind, point)

    def check_growth(self, name, key, temporality, kind, point):
        """A point begins where the one before ended (delta), or at the same moment and with no less (cumulative)."""
        start, time = point.start_time_unix_nano, point.time_unix_nano
        need(0 < start <= time, f"{name}: starts behind its end")
        value = (point.as_double if point.HasField("as_double") else point.as_int) if kind == "sum" else point.count
        need(value >= 0, f"{name}: {value}")
        if before := self.series.get(key):
            need(time > before[1], f"{name}: not later than the point before")
            if temporality == DELTA:
                need(start == before[1], f"{name}: a gap or an overlap of {start - before[1]} ns")
            elif start == before[0]:
                need(value >= before[2], f"{name}: fell from {before[2]} to {value}")
            else:
                need(start >= before[1], f"{name}: begins anew before its last point")
        self.series[key] = (start, time, value)

    def check_spans(self, request):
        need(request.resource_spans, "an empty request")
        for resource in request.resource_spans:
            check_attributes(resource.resource.attributes)
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                self.check_span(span)

    def check_span(self, span):
        need(len(span.trace_id) == 16 and any(span.trace_id), "a trace id")
        need(len(span.span_id) == 8 and any(span.span_id), "a span id")
        need(span.span_id not in self.span_ids, "a span twice")
        self.span_ids.add(span.span_id)
        need(len(span.parent_span_id) in (0, 8), "a parent's id")
        need(span.name and span.kind, "a span without name or kind")
        need(0 < span.start_time_unix_nano <= span.end_time_unix_nano, f"{span.name}: ends before its start")
        check_attributes(span.attributes)
        for event in span.events:
            within = span.start_time_unix_nano <= event.time_unix_nano <= span.end_time_unix_nano
            need(within, f"{span.name}: {event.name} is outside of it")
