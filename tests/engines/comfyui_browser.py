"""Real headless Chromium on ComfyUI's own page: what comfyui_load.py does, done by a browser.

usage: comfyui_browser.py --port N [--tls] [--prompts 10] [--workflow image|sample|both] [--chromium PROGRAM]

The page opens its own WebSocket, which negotiates permessage-deflate; prompts are queued from within the page, under its
client id. Frames are seen over the DevTools protocol, whose timestamps are CLOCK_MONOTONIC, taken in the network service.
Prints the same lines as comfyui_load.py, and says on stderr what the browser negotiated.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from comfyui_load import ENDS, WORKFLOWS, Client, note, now

# A browser starts slowly on a busy machine, and the page is 20 MB of script.
PATIENCE = 90
# The page's client id, once its WebSocket has been greeted.
READY = "window.app?.api?.clientId ?? null"
# Queues a prompt as the page itself does.
SUBMIT = """
(async () => {
  const body = {client_id: window.app.api.clientId, prompt: %s};
  const answer = await window.app.api.fetchApi('/prompt', {
    method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)});
  return {status: answer.status, answer: await answer.json()};
})()
"""


class Page:
    """One page over the DevTools protocol."""

    def __init__(self, socket):
        self.socket = socket
        self.last = 0
        self.answers = {}
        self.frames = asyncio.Queue()
        self.extensions = None
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        async for message in self.socket:
            said = json.loads(message.data)
            if "id" in said:
                self.answers.pop(said["id"]).set_result(said.get("result"))
            elif said["method"] == "Network.webSocketHandshakeResponseReceived":
                headers = {name.lower(): value for name, value in said["params"]["response"]["headers"].items()}
                self.extensions = headers.get("sec-websocket-extensions")
            elif said["method"] == "Network.webSocketFrameReceived":
                frame = said["params"]["response"]
                if frame["opcode"] == 1:
                    at = round(said["params"]["timestamp"] * 1e9)
                    self.frames.put_nowait((at, json.loads(frame["payloadData"])))

    async def ask(self, method, **params):
        self.last += 1
        answer = self.answers[self.last] = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": self.last, "method": method, "params": params})
        return await answer

    async def evaluate(self, script):
        answer = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    async def submit(self, workflow, graph):
        """As Client.submit of comfyui_load.py."""
        sent = now()
        done = await self.evaluate(SUBMIT % json.dumps(graph))
        answer = done["answer"]
        seen = {"workflow": workflow, "mode": "browser", "status": done["status"], "sent_ns": sent}
        return seen | {"answered_ns": now(), "id": answer.get("prompt_id"), "nodes": len(graph)}

    async def watch(self, seen):
        seen |= {"steps_ns": [], "step_values": [], "executed": []}
        while "idle_ns" not in seen:
            at, said = await self.frames.get()
            if said["data"].get("prompt_id") == seen["id"]:
                note(seen, at, said)


async def start(session, options, folder):
    """Chromium, and its page on ComfyUI."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--ignore-certificate-errors"]
    flags += ["--no-first-run", "--disable-extensions", "--disable-background-networking", f"--user-data-dir={folder}"]
    null = asyncio.subprocess.DEVNULL
    browser = await asyncio.create_subprocess_exec(options.chromium, *flags, "about:blank", stdout=null, stderr=null)
    port = Path(folder, "DevToolsActivePort")
    while not port.exists() or not port.read_text():
        if browser.returncode is not None:
            sys.exit(f"{options.chromium} ended with {browser.returncode}")
        await asyncio.sleep(0.1)
    async with session.get(f"http://127.0.0.1:{port.read_text().split()[0]}/json/list") as answer:
        pages = [page for page in await answer.json() if page["type"] == "page"]
    socket = await session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
    return browser, Page(socket)


async def drive(options):
    done = []
    poll = argparse.Namespace(**vars(options), mode="poll", text="")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        async with aiohttp.ClientSession() as session, Client(poll) as client:
            browser, page = await start(session, options, folder)
            try:
                await page.ask("Network.enable")
                await page.ask("Page.enable")
                await page.ask("Page.navigate", url=client.base)
                while not await page.evaluate(READY):
                    await asyncio.sleep(0.2)
                print(f"the page's WebSocket: {page.extensions}", file=sys.stderr)
                for turn in range(options.prompts):
                    kinds = WORKFLOWS[options.workflow]
                    make = kinds[turn % len(kinds)]
                    graph = make(client.next_seed(), "")
                    seen = await page.submit(make.__name__.removesuffix("_workflow"), graph)
                    await page.watch(seen)
                    done.append(seen | {"own": await client.own(seen["id"])})
            finally:
                browser.terminate()
                await browser.wait()
    return done


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--seed", type=int, default=time.time_ns() % (1 << 30))
    parser.add_argument("--prompts", type=int, default=10)
    parser.add_argument("--workflow", choices=WORKFLOWS, default="both")
    options = parser.parse_args()
    try:
        seen = asyncio.run(asyncio.wait_for(drive(options), PATIENCE))
    except FileNotFoundError:
        sys.exit(f"there is no {options.chromium}")
    except TimeoutError:
        sys.exit(f"not done within {PATIENCE} s")
    sys.stdout.write("".join(json.dumps(one) + "\n" for one in seen))


if __name__ == "__main__":
    main()
