"""Strict OTLP collectors: take metrics and spans, refuse what breaks the protocol's rules, write each request as a line.

usage: otlp_receiver.py --out FILE --listen NAME=KIND:PORT … [--certificate PEM --key PEM --ca PEM]

KIND is grpc or http, with +tls or +mtls behind it where it is to be encrypted. A line is {"to": NAME, "metrics": …} or {"to": NAME,
"spans": …}. What is refused is an INVALID_ARGUMENT or a 400 with the reason, and a line {"to": NAME, "wrong": reason}.
"""

import argparse
import gzip
import json
import ssl
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from otlp_rules import Rules, Wrong

SERVICES = {
    "metrics": (metrics_service_pb2.ExportMetricsServiceRequest, metrics_service_pb2.ExportMetricsServiceResponse),
    "spans": (trace_service_pb2.ExportTraceServiceRequest, trace_service_pb2.ExportTraceServiceResponse),
}
PATHS = {"/v1/metrics": "metrics", "/v1/traces": "spans"}


class Book:
    """What one collector was told; it remembers, so that it sees what does not follow."""

    def __init__(self, name, out):
        self.name, self.out, self.rules, self.lock = name, out, Rules(), threading.Lock()

    def take(self, kind, request):
        with self.lock:
            try:
                self.rules.check(kind, request)
            except Wrong as wrong:
                self.write({"wrong": f"{kind}: {wrong}"})
                raise
            self.write({kind: MessageToDict(request)})

    def write(self, line):
        # One write for each line: several books share the file.
        self.out.write(json.dumps({"to": self.name} | line) + "\n")
        self.out.flush()


class OverGrpc(metrics_service_pb2_grpc.MetricsServiceServicer, trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, book, kind):
        self.book, self.kind = book, kind

    def Export(self, request, context):
        try:
            self.book.take(self.kind, request)
        except Wrong as wrong:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
        return SERVICES[self.kind][1]()


class OverHttp(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    book = None

    def do_POST(self):
        kind = PATHS.get(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if kind is None or self.headers["Content-Type"] != "application/x-protobuf":
            self.book.write({"wrong": f"{self.path}: {self.headers['Content-Type']}"})
            return self.answer(404 if kind is None else 415, b"")
        request, response = (make() for make in SERVICES[kind])
        try:
            request.ParseFromString(body)
            self.book.take(kind, request)
        except Wrong as wrong:
            return self.answer(400, str(wrong).encode())
        self.answer(200, response.SerializeToString())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve_grpc(book, port, security, arguments):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(OverGrpc(book, "metrics"), server)
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(OverGrpc(book, "spans"), server)
    address = f"127.0.0.1:{port}"
    if security == "plain":
        server.add_insecure_port(address)
    else:
        key, certificate, ca = (open(path, "rb").read() for path in (arguments.key, arguments.certificate, arguments.ca))
        mutual = security == "mtls"
        server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)], ca if mutual else None, mutual))
    server.start()
    return server


def serve_http(book, port, security, arguments):
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (OverHttp,), {"book": book}))
    server.daemon_threads = True
    if security != "plain":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)
        if security == "mtls":
            context.load_verify_locations(arguments.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        # The handshake is the connection's own thread's affair.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--listen", action="append", required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--ca")
    arguments = parser.parse_args()
    with open(arguments.out, "a") as out:
        servers = []
        for listen in arguments.listen:
            name, way = listen.split("=")
            kind, port = way.split(":")
            protocol, _, security = kind.partition("+")
            serve = {"grpc": serve_grpc, "http": serve_http}[protocol]
            servers.append(serve(Book(name, out), int(port), security or "plain", arguments))
        threading.Event().wait()


if __name__ == "__main__":
    main()
