"""A client of ComfyUI that times itself: one JSON line for each prompt, with ComfyUI's own account of it beside.

usage: comfyui_load.py --port N [--tls] [--mode ws|deflate|poll] [--out FILE] ACTION [options]

  load       [--clients 1] [--prompts 6] [--workflow image|sample|both] [--again]   prompts, one behind the other per client
  queue      [--prompts 6]   all sent at once, the last one to the front
  fail       a node that raises
  interrupt  one prompt is interrupted while it runs, one is taken from the queue
  wait       [--seconds 5] that a prompt takes; another one waits behind it
  invalid    graphs that ComfyUI refuses
  upload     [--megabytes 20] and fetches what was uploaded
  health     exit code 0 when it answers

ws is a plain WebSocket, deflate one that negotiates permessage-deflate as browsers do, poll has none and asks /history.
Times are CLOCK_MONOTONIC in ns, read when a message is received and before it is parsed. `own` is from /history: ComfyUI's
timestamps in ms, what it had cached, how many images. --again sends each prompt twice: the second finds all in the cache.
"""

import argparse
import asyncio
import json
import sys
import time
import uuid
from pathlib import Path

import aiohttp

SAMPLER_STEPS = 8
# What a text is when nobody cares.
QUIET = "a text that stays here"
# Ends of a prompt, as messages and in the history.
ENDS = {"execution_success": "success", "execution_error": "error", "execution_interrupted": "interrupted"}


def now():
    return time.monotonic_ns()


def image_workflow(seed, _text):
    """Core nodes in a chain; no model. Two output nodes."""
    return {
        "1": node("EmptyImage", width=128, height=128, batch_size=1, color=seed % (1 << 24)),
        "2": node("ImageScale", image=["1", 0], upscale_method="bilinear", width=256, height=256, crop="disabled"),
        "3": node("ImageBlur", image=["2", 0], blur_radius=3, sigma=1.0),
        "4": node("SaveImage", images=["3", 0], filename_prefix="chain"),
        "5": node("PreviewImage", images=["3", 0]),
    }


def sample_workflow(seed, text):
    """The real KSampler on a tiny random UNet."""
    return {
        "1": node("InferscopeTinyRandomUNet", unet_name="tiny-random.safetensors", seed=1, text=text),
        "2": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "3": node(
            "KSampler", model=["1", 0], positive=["1", 1], negative=["1", 1], latent_image=["2", 0], seed=seed,
            steps=SAMPLER_STEPS, cfg=1.0, sampler_name="euler", scheduler="normal", denoise=1.0,
        ),
        "4": node("InferscopeLatentAsImage", samples=["3", 0]),
        "5": node("SaveImage", images=["4", 0], filename_prefix="sampled"),
    }


def wait_workflow(seed, seconds):
    return {
        "1": node("EmptyImage", width=64, height=64, batch_size=1, color=seed % (1 << 24)),
        "2": node("InferscopeWait", image=["1", 0], seconds=seconds),
        "3": node("SaveImage", images=["2", 0], filename_prefix="waited"),
    }


def fail_workflow(seed, text):
    return {
        "1": node("EmptyImage", width=64, height=64, batch_size=1, color=seed % (1 << 24)),
        "2": node("InferscopeFail", image=["1", 0], text=text),
        "3": node("SaveImage", images=["2", 0], filename_prefix="failed"),
    }


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


WORKFLOWS = {"image": [image_workflow], "sample": [sample_workflow], "both": [image_workflow, sample_workflow]}


def note(seen, at, said):
    """What a message of the WebSocket says of its prompt."""
    kind, data = said["type"], said["data"]
    if kind == "execution_start":
        seen["started_ns"] = at
    elif kind == "execution_cached":
        seen["cached"] = len(data["nodes"])
    elif kind == "progress":
        seen["steps_ns"].append(at)
        seen["step_values"].append(data["value"])
    elif kind == "executed":
        seen["executed"].append(data["node"])
    elif kind in ENDS:
        seen |= {"ended_ns": at, "outcome": ENDS[kind], "error": data.get("exception_type")}
    elif kind == "executing" and data["node"] is None:
        seen["idle_ns"] = at


class Client:
    """One HTTP session, and a WebSocket where the mode has one."""

    def __init__(self, options):
        self.base = f"{'https' if options.tls else 'http'}://127.0.0.1:{options.port}"
        self.mode = options.mode
        self.id = uuid.uuid4().hex
        self.seed = options.seed
        self.text = options.text
        self.socket = None

    async def __aenter__(self):
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False))
        if self.mode == "poll":
            return self
        compress = 15 if self.mode == "deflate" else 0
        url = f"{self.base.replace('http', 'ws', 1)}/ws?clientId={self.id}"
        self.socket = await self.session.ws_connect(url, compress=compress, max_msg_size=0)
        if (self.mode == "deflate") != bool(self.socket.compress):
            sys.exit(f"compression was not negotiated as asked for: {self.socket.compress}")
        return self

    async def __aexit__(self, *_):
        if self.socket:
            await self.socket.close()
        await self.session.close()

    async def get(self, path):
        async with self.session.get(self.base + path) as answer:
            return await answer.json()

    async def post(self, path, body):
        """The code and the answer's JSON, where it has one."""
        async with self.session.post(self.base + path, json=body) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text else None

    async def submit(self, workflow, graph, **more):
        """Sends a prompt; what is known of it so far."""
        body = {"prompt": graph, **more}
        if self.socket:
            body["client_id"] = self.id
        sent = now()
        status, answer = await self.post("/prompt", body)
        seen = {"workflow": workflow, "mode": self.mode, "status": status, "sent_ns": sent, "answered_ns": now()}
        seen |= {"id": answer.get("prompt_id"), "nodes": len(graph)}
        if status != 200:
            seen["error"] = answer["error"]["type"]
        return seen

    async def watch(self, prompts, until=None):
        """Notes what the WebSocket says of these prompts, until they have ended or `until` says so."""
        waiting = {seen["id"]: seen for seen in prompts}
        for seen in prompts:
            seen |= {"steps_ns": [], "step_values": [], "executed": []}
        while waiting:
            message = await self.socket.receive()
            at = now()
            if message.type == aiohttp.WSMsgType.BINARY:
                continue
            if message.type != aiohttp.WSMsgType.TEXT:
                sys.exit(f"the WebSocket ended: {message.type}")
            said = json.loads(message.data)
            kind, data = said["type"], said["data"]
            seen = waiting.get(data.get("prompt_id"))
            if not seen:
                continue
            note(seen, at, said)
            if "idle_ns" in seen or kind in ENDS and kind != "execution_success":
                del waiting[seen["id"]]
            if until and until(kind, data):
                return

    async def follow(self, prompts):
        """Until all have ended, by whatever this mode has; then ComfyUI's own account."""
        if self.socket:
            await self.watch(prompts)
        for seen in prompts:
            seen["own"] = await self.own(seen["id"])
        return prompts

    async def own(self, prompt):
        """The history's entry, once it is there."""
        while not (history := await self.get(f"/history/{prompt}")):
            await asyncio.sleep(0.05)
        entry = history[prompt]
        messages = {kind: data for kind, data in entry["status"]["messages"]}
        end = next(kind for kind in ENDS if kind in messages)
        cached = messages.get("execution_cached", {}).get("nodes", [])
        images = {node: len(output.get("images", [])) for node, output in entry["outputs"].items()}
        return {
            "outcome": ENDS[end],
            "start_ms": messages["execution_start"]["timestamp"],
            "end_ms": messages[end]["timestamp"],
            "cached": len(cached),
            # What an output node shows again from the cache was made before.
            "images": sum(count for node, count in images.items() if node not in cached),
            "error": messages[end].get("exception_type"),
        }

    def next_seed(self):
        self.seed += 1
        return self.seed


async def load(options):
    """Clients that send one prompt behind the other."""

    async def drive(number):
        done = []
        async with Client(argparse.Namespace(**{**vars(options), "seed": options.seed + 10_000 * number})) as client:
            for turn in range(options.prompts):
                kinds = WORKFLOWS[options.workflow]
                make = kinds[turn % len(kinds)]
                graph = make(client.next_seed(), options.text)
                for _ in range(2 if options.again else 1):
                    seen = await client.submit(make.__name__.removesuffix("_workflow"), graph)
                    done += await client.follow([seen])
        return done

    return sum(await asyncio.gather(*(drive(number) for number in range(options.clients))), [])


async def queue(options):
    """Several in the queue at once; the last one overtakes those that wait."""
    async with Client(options) as client:
        prompts = [await client.submit("wait", wait_workflow(client.next_seed(), 1.0))]
        for turn in range(1, options.prompts):
            more = {"front": True} if turn == options.prompts - 1 else {}
            prompts.append(await client.submit("image", image_workflow(client.next_seed(), ""), **more))
        return await client.follow(prompts)


async def wait(options):
    """A prompt that takes long, and one that waits behind it."""
    async with Client(options) as client:
        slow = await client.submit("wait", wait_workflow(client.next_seed(), options.seconds))
        quick = await client.submit("image", image_workflow(client.next_seed(), ""))
        return await client.follow([slow, quick])


async def fail(options):
    """A node raises, and the exception's message quotes the text."""
    async with Client(options) as client:
        seen = await client.submit("fail", fail_workflow(client.next_seed(), options.text))
        return await client.follow([seen])


async def interrupt(options):
    """One that runs, one that waits."""
    async with Client(options) as client:
        running = await client.submit("wait", wait_workflow(client.next_seed(), 5.0))
        queued = await client.submit("image", image_workflow(client.next_seed(), ""))
        if client.socket:
            await client.watch([running], until=lambda kind, _: kind == "progress")
        else:
            await asyncio.sleep(1)
        await client.post("/queue", {"delete": [queued["id"]]})
        queued["outcome"] = "deleted"
        await client.post("/interrupt", {})
        return await client.follow([running]) + [queued]


async def invalid(options):
    """An input that is no number, nothing to show, a node that is not there."""
    async with Client(options) as client:
        graph = image_workflow(client.next_seed(), "")
        graph["2"]["inputs"]["width"] = options.text
        no_outputs = {"1": graph["1"]}
        unknown = {"1": node("NoSuchNode", text=options.text)}
        return [
            await client.submit("input", graph),
            await client.submit("outputs", no_outputs),
            await client.submit("unknown", unknown),
        ]


async def upload(options):
    """A large body in, and the same out again."""
    picture = bytes(options.megabytes << 20)
    async with Client(options) as client:
        form = aiohttp.FormData()
        form.add_field("image", picture, filename=f"{options.text.replace(' ', '-')}.png")
        sent = now()
        async with client.session.post(client.base + "/upload/image", data=form) as answer:
            code, name = answer.status, (await answer.json())["name"]
        seen = {"workflow": "upload", "status": code, "sent_ns": sent, "answered_ns": now(), "bytes": len(picture)}
        async with client.session.get(client.base + "/view", params={"filename": name, "type": "input"}) as answer:
            seen["fetched"] = len(await answer.read())
        return [seen]


async def health(options):
    """Does it answer?"""
    async with Client(argparse.Namespace(**{**vars(options), "mode": "poll"})) as client:
        await client.get("/queue")
    return []


ACTIONS = {action.__name__: action for action in (load, queue, wait, fail, interrupt, invalid, upload, health)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--mode", choices=["ws", "deflate", "poll"], default="ws")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=time.time_ns() % (1 << 30))
    parser.add_argument("--text", default=QUIET)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--workflow", choices=WORKFLOWS, default="image")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("action", choices=ACTIONS)
    options = parser.parse_args()
    try:
        seen = asyncio.run(ACTIONS[options.action](options))
    except aiohttp.ClientConnectionError as error:
        sys.exit(f"no server: {error}")
    lines = "".join(json.dumps(one) + "\n" for one in seen)
    if options.out:
        options.out.write_text(lines)
    else:
        sys.stdout.write(lines)


if __name__ == "__main__":
    main()
