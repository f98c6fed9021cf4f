"""Writes the model repository that the tests of Triton run against.

usage: triton_models.py FOLDER

All models are of the Python backend and compute next to nothing: what is measured is the server's handling of requests.
The last file written is a copy of this script, so a repository of an older script can be told from a current one.
"""

import pathlib
import shutil
import sys

TENSORS = """input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
"""
ONE_INSTANCE = "instance_group [ { kind: KIND_CPU count: 1 } ]\n"
STREAMED = """model_transaction_policy { decoupled: True }
input [ { name: "PROMPT" data_type: TYPE_STRING dims: [ 1 ] }, { name: "N" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "TEXT" data_type: TYPE_STRING dims: [ 1 ] } ]
"""

# Doubles its input. Waits for companions, so that queue times and batches are more than one.
ECHO = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", values * 2)]))
        return responses
"""

# Answers N times, every GAP seconds, each request in a thread of its own; stops when its client has gone.
STREAM = """
import threading
import time

import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            threading.Thread(target=self.answer, args=(request,)).start()

    def answer(self, request):
        count = int(pb_utils.get_input_tensor_by_name(request, "N").as_numpy().flatten()[0])
        sender = request.get_response_sender()
        for index in range(count):
            time.sleep(GAP)
            if sender.is_cancelled():
                break
            text = np.array([f"word{index} ".encode()], dtype=object)
            sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("TEXT", text)]))
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""

# Fails for a negative input: below -1 the whole execution, else only this request of it.
FAIL = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()
            if values.min() < -1:
                raise RuntimeError("the model was told to fail")
            if values.min() < 0:
                error = pb_utils.TritonError("the request was told to fail", pb_utils.TritonError.INVALID_ARG)
                responses.append(pb_utils.InferenceResponse(error=error))
                continue
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", values)]))
        return responses
"""

# Sums what it is sent over a sequence.
SEQUENCE = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        responses = []
        for request in requests:
            value = lambda name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            which = int(value("ID").flatten()[0])
            self.sums[which] = value("INPUT0") + (0 if value("START").flatten()[0] else self.sums.get(which, 0))
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", self.sums[which])]))
        return responses
"""
SEQUENCE_BATCHING = """sequence_batching {
  max_sequence_idle_microseconds: 5000000
  control_input [
    { name: "START" control [ { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] },
    { name: "ID" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] }
  ]
}
"""

# Asks `echo` in the middle of its own execution ("business logic scripting").
CALLER = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            inputs = [pb_utils.get_input_tensor_by_name(request, "INPUT0")]
            asked = pb_utils.InferenceRequest(model_name="echo", requested_output_names=["OUTPUT0"], inputs=inputs)
            answer = asked.exec()
            values = pb_utils.get_output_tensor_by_name(answer, "OUTPUT0").as_numpy()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", values)]))
        return responses
"""

PAIR = """ensemble_scheduling {
  step [
    { model_name: "echo" model_version: -1
      input_map { key: "INPUT0" value: "INPUT0" } output_map { key: "OUTPUT0" value: "between" } },
    { model_name: "echo" model_version: -1
      input_map { key: "INPUT0" value: "between" } output_map { key: "OUTPUT0" value: "OUTPUT0" } }
  ]
}
"""


def configuration(name, settings, backend="python"):
    kind = 'platform: "ensemble"' if backend is None else f'backend: "{backend}"'
    return f'name: "{name}"\n{kind}\n{settings}'


def models():
    """Name, configuration, code; an ensemble has none."""
    batching = "dynamic_batching { max_queue_delay_microseconds: 500 }\n"
    yield "echo", configuration("echo", "max_batch_size: 8\n" + TENSORS + ONE_INSTANCE + batching), ECHO
    # No batching and no waiting: as many requests as one instance can.
    yield "plain", configuration("plain", "max_batch_size: 0\n" + TENSORS.replace("-1", "-1, -1") + ONE_INSTANCE), ECHO
    yield "fail", configuration("fail", "max_batch_size: 8\n" + TENSORS + ONE_INSTANCE + batching), FAIL
    yield "stream", configuration("stream", "max_batch_size: 0\n" + STREAMED + ONE_INSTANCE), STREAM.replace("GAP", "0.01")
    yield "slow", configuration("slow", "max_batch_size: 0\n" + STREAMED + ONE_INSTANCE), STREAM.replace("GAP", "0.1")
    sums = "max_batch_size: 4\n" + TENSORS.replace("-1", "1") + ONE_INSTANCE + SEQUENCE_BATCHING
    yield "sequence", configuration("sequence", sums), SEQUENCE
    yield "caller", configuration("caller", "max_batch_size: 8\n" + TENSORS + ONE_INSTANCE), CALLER
    yield "pair", configuration("pair", "max_batch_size: 8\n" + TENSORS + PAIR, backend=None), None


def main():
    folder = pathlib.Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    for name, config, code in models():
        version = folder / name / "1"
        version.mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(config)
        if code is not None:
            (version / "model.py").write_text(code.lstrip())
    shutil.copyfile(__file__, folder / ".written-by")


if __name__ == "__main__":
    main()
