#!/usr/bin/env python3
"""Has a server scrape thousands of idle targets, and shows how late its scrapes are and what a target costs.

    tools/many_targets.py target/release/ferula --targets 10000 --interval 15 --minutes 5

The targets are paths of one HTTP server, which is this script, each with a connection of its own as real ones
have. A target's slot is the earliest that any of its scrapes came within the interval; a scrape is late by how long after
that it came. Scrapes that should have come and didn't are counted as missed. Memory is the server's
resident memory at the end, less that of the same server without targets, divided by the number of targets; it
holds the series of the targets (`--series` each, and the five that report on a scrape), connections, buffers
and all.

Exit status: 0 if no scrape was missed or later than --late-max seconds and a target costs at most
--memory-max KiB. Only the standard library is used.
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

# How long a server may take to be ready.
READY_SECONDS = 60
# Files beside the connections.
OTHER_FILES = 200


class Targets:
    """All targets: what they answer, and when they were asked."""

    def __init__(self, series):
        lines = [f'idle_value{{number="{i}"}} {i}\n' for i in range(series)]
        body = "".join(lines).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n\r\n"
        self.answer = head.encode() + body
        self.asked = {}

    def note(self, path):
        self.asked.setdefault(path, []).append(time.time())


class Connection(asyncio.Protocol):
    def __init__(self, targets):
        self.targets = targets
        self.received = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, self.received = self.received.split(b"\r\n\r\n", 1)
            self.targets.note(head.split(b" ", 2)[1])
            self.transport.write(self.targets.answer)


def resident_bytes(pid):
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_ready(url):
    try:
        with urllib.request.urlopen(url + "/-/ready", timeout=1) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def configuration(addresses, interval):
    targets = "".join(f"\n    - {address}" for address in addresses)
    return (
        f"global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s}}\n"
        "scrape_configs:\n- job_name: many\n  relabel_configs:\n"
        "  - {source_labels: [__address__], regex: '[^/]+/(.*)', target_label: __metrics_path__, replacement: /$1}\n"
        "  - {source_labels: [__address__], target_label: instance}\n"
        "  - {source_labels: [__address__], regex: '([^/]+)/.*', target_label: __address__}\n"
        f"  static_configs:\n  - targets:{targets or ' []'}\n"
    )


async def start(binary, directory, port, addresses, interval):
    """Starts the server on a configuration and waits until it is ready."""
    path = os.path.join(directory, "prometheus.yml")
    with open(path, "w") as file:
        file.write(configuration(addresses, interval))
    command = [binary, f"--config.file={path}", f"--storage.tsdb.path={directory}/data"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    log = open(os.path.join(directory, "log"), "w")
    server = subprocess.Popen(command, stdout=log, stderr=log)
    until = time.monotonic() + READY_SECONDS
    while not await asyncio.to_thread(is_ready, f"http://127.0.0.1:{port}"):
        if server.poll() is not None or time.monotonic() > until:
            server.kill()
            sys.exit("the server isn't ready; its log:\n" + open(log.name).read())
        await asyncio.sleep(0.2)
    return server


async def run(binary, directory, port, addresses, interval, seconds):
    """Lets a server work, and says how much memory and processor time that took."""
    server = await start(binary, directory, port, addresses, interval)
    await asyncio.sleep(seconds)
    used = resident_bytes(server.pid), processor_seconds(server.pid)
    server.terminate()
    await asyncio.to_thread(server.wait)
    return used


def lateness(asked, interval, end):
    """How late each scrape of a target was, and how many are missing."""
    base = asked[0]
    phases = [(at - base + interval / 2) % interval for at in asked]
    slot = base - interval / 2 + min(phases)
    late = [(at - slot) % interval for at in asked]
    slots = {round((at - slot - late_by) / interval) for at, late_by in zip(asked, late)}
    expected = int((end - slot) // interval) + 1
    return late, max(0, expected - len(slots))


async def measure(options):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = options.targets + OTHER_FILES
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    targets = Targets(options.series)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Connection(targets), "127.0.0.1", 0, backlog=4096)
    own_port = listener.sockets[0].getsockname()[1]
    addresses = [f"127.0.0.1:{own_port}/{i}" for i in range(options.targets)]
    with tempfile.TemporaryDirectory() as empty:
        base, _ = await run(options.binary, empty, options.port, [], options.interval, 2 * options.interval)
    with tempfile.TemporaryDirectory() as full:
        seconds = options.minutes * 60
        memory, processor = await run(options.binary, full, options.port, addresses, options.interval, seconds)
    return targets.asked, time.time(), (memory - base) / options.targets / 1024, processor / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--targets", type=int, default=10_000)
    parser.add_argument("--series", type=int, default=10, help="series of each target")
    parser.add_argument("--interval", type=int, default=15, help="seconds between scrapes")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--port", type=int, default=19390, help="the server's")
    parser.add_argument("--late-max", type=float, default=1.0, help="seconds")
    parser.add_argument("--memory-max", type=float, default=50.0, help="KiB for each target")
    options = parser.parse_args()
    asked, end, memory, cores = asyncio.run(measure(options))
    late, missed = [], 0
    for times in asked.values():
        # The last slots may have come while the server was being stopped.
        of_target, missing = lateness(times, options.interval, end - 2 * options.interval)
        late += of_target
        missed += missing
    late.sort()
    at = lambda part: late[min(len(late) - 1, int(part * len(late)))]
    print(f"targets        {len(asked)} of {options.targets} scraped, {len(late)} scrapes, {missed} missed")
    print(f"late, seconds  median {at(0.5):.3f}, 99 % {at(0.99):.3f}, 99.9 % {at(0.999):.3f}, most {late[-1]:.3f}")
    print(f"memory         {memory:.1f} KiB for each target")
    print(f"processor      {cores:.2f} cores")
    good = len(asked) == options.targets and not missed
    return 0 if good and late[-1] <= options.late_max and memory <= options.memory_max else 1


if __name__ == "__main__":
    sys.exit(main())
