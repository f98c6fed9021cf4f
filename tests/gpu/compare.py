"""On a machine with a real NVIDIA GPU: the agent's figures beside nvidia-smi's, under a small CUDA load.

    python3 tests/gpu/compare.py target/release/inferscope

Needs root (the agent loads its programs), nvidia-smi, and PyTorch for the load. Python's standard library otherwise. It prints
`inferscope check`, then a row for each figure, and fails where one is farther off than its tolerance. Keep what it prints
in docs/journal.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

LISTEN = "127.0.0.1:19464"
MIB = 2**20
# nvidia-smi's field, our metric, how many of our units are one of its, tolerance in its units.
FIGURES = [
    ("utilization.gpu", "gpu_utilization_percent", 1, 10),
    ("utilization.memory", "gpu_memory_busy_percent", 1, 10),
    ("memory.total", "gpu_memory_total_bytes", MIB, 1),
    ("memory.used", "gpu_memory_used_bytes", MIB, 64),
    ("temperature.gpu", "gpu_temperature_celsius", 1, 3),
    ("power.draw", "gpu_power_usage_watts", 1, 40),
    ("enforced.power.limit", "gpu_power_limit_watts", 1, 1),
    ("clocks.sm", "gpu_sm_clock_hz", 10**6, 60),
    ("clocks.mem", "gpu_memory_clock_hz", 10**6, 30),
]
MONITORED = ["gpu_sm_active_ratio", "gpu_sm_occupancy_ratio", "gpu_tensor_active_ratio", "gpu_dram_active_ratio"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("agent", type=Path)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--gib", default="4", help="device memory that the load holds")
    parser.add_argument("--nvidia-smi", default="nvidia-smi")
    parser.add_argument("--library", default="", help="NVIDIA's library, where it is not where the system looks")
    parser.add_argument("--load", default=f"{sys.executable} {Path(__file__).with_name('load.py')}")
    return parser.parse_args()


def smi(program, query, fields):
    output = subprocess.run(
        [program, f"--query-{query}={','.join(fields)}", "--format=csv,noheader,nounits"],
        check=True, capture_output=True, text=True,
    ).stdout
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines() if line.strip()]
    return [dict(zip(fields, row)) for row in rows]


def scrape():
    """(metric, labels) -> value"""
    with urllib.request.urlopen(f"http://{LISTEN}/metrics", timeout=5) as page:
        lines = page.read().decode().splitlines()
    series = {}
    for line in lines:
        found = re.fullmatch(r"([A-Za-z_0-9]+)\{(.*)\} (\S+)", line)
        if found:
            labels = dict(re.findall(r'(\w+)="([^"]*)"', found[2]))
            series[(found[1], tuple(sorted(labels.items())))] = float(found[3])
    return series


def pick(series, metric, **labels):
    for (name, pairs), value in series.items():
        if name == metric and set(labels.items()) <= set(pairs):
            return value
    return None


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


def sample(options, pid, seconds):
    """Both sides once a second: {(subject, name): ([theirs], [ours], tolerance)}"""
    rows = {}

    def note(subject, name, theirs, ours, tolerance):
        pair = rows.setdefault((subject, name), ([], [], tolerance))
        if theirs is not None:
            pair[0].append(theirs)
        if ours is not None:
            pair[1].append(ours)

    for _ in range(seconds):
        time.sleep(1)
        series = scrape()
        for gpu in smi(options.nvidia_smi, "gpu", ["uuid"] + [figure[0] for figure in FIGURES]):
            for field, metric, scale, tolerance in FIGURES:
                ours = pick(series, metric, uuid=gpu["uuid"], mig_device="")
                note(gpu["uuid"], metric, number(gpu[field]), None if ours is None else ours / scale, tolerance)
            for metric in MONITORED:
                note(gpu["uuid"], metric, None, pick(series, metric, uuid=gpu["uuid"], mig_device=""), None)
        for process in smi(options.nvidia_smi, "compute-apps", ["pid", "gpu_uuid", "used_memory"]):
            if int(process["pid"]) == pid:
                ours = pick(series, "gpu_process_memory_bytes", pid=str(pid))
                note("load", "gpu_process_memory_bytes", number(process["used_memory"]), ours and ours / MIB, 2)
                note("load", "gpu_process_sm_utilization_percent", None,
                     pick(series, "gpu_process_sm_utilization_percent", pid=str(pid)), None)
    return rows


def judge(rows):
    failed = 0
    print(f"\n{'subject':<42} {'figure':<36} {'nvidia-smi':>12} {'agent':>12}  verdict")
    for (subject, name), (theirs, ours, tolerance) in sorted(rows.items()):
        their, our = (statistics.median(side) if side else None for side in (theirs, ours))
        if tolerance is None:
            ratio_ok = our is None or 0 <= our <= (1.01 if name.endswith("_ratio") else 100)
            verdict = "not told" if our is None else ("plausible" if ratio_ok else "IMPLAUSIBLE")
        elif (their is None) != (our is None):
            verdict = "ONE SIDE ONLY"
        elif their is None:
            verdict = "neither tells"
        else:
            verdict = "ok" if abs(their - our) <= tolerance else f"OFF by {our - their:+.1f}"
        failed += verdict.startswith(("OFF", "ONE", "IMPL"))
        shown = [f"{value:12.2f}" if value is not None else f"{'-':>12}" for value in (their, our)]
        print(f"{subject:<42} {name:<36} {shown[0]} {shown[1]}  {verdict}")
    return failed


def main():
    options = arguments()
    folder = Path(tempfile.mkdtemp(prefix="inferscope-gpu-"))
    config = folder / "inferscope.yaml"
    library = json.dumps(options.library)
    config.write_text(f"listen: {LISTEN}\ngpu: {{library: {library}, process_ids: true, telemetry_seconds: 1}}\n")
    print(subprocess.run([options.agent, "check", "--config", config], capture_output=True, text=True).stdout)
    print(subprocess.run([options.nvidia_smi], capture_output=True, text=True).stdout)
    load = subprocess.Popen(options.load.split() + [options.gib], stdout=subprocess.PIPE, text=True)
    agent = None
    try:
        load.stdout.readline()
        agent = subprocess.Popen([options.agent, "run", "--config", config], stderr=(folder / "log").open("w"))
        time.sleep(5)
        failed = judge(sample(options, load.pid, options.seconds))
        series = scrape()
        print(f"\nagent: {pick(series, 'process_cpu_seconds_total') or 'see /metrics'} s of processor time; log in {folder}")
        with urllib.request.urlopen(f"http://{LISTEN}/status", timeout=5) as page:
            print(json.dumps(json.load(page)["gpu"], indent=1))
    finally:
        for process in filter(None, (load, agent)):
            process.terminate()
            process.wait()
    print("FAILED" if failed else "all figures agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
