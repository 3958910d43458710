#!/usr/bin/env python3
"""What rules cost: processor time and missed iterations of two servers with the same rules on the same data.

    tools/rule_load.py FERULA PROMETHEUS [--groups 1000] [--rules 10] [--interval 15]

Both servers scrape one target, played by this script, and evaluate the same rules at the same time. First both run
without rules; what they take then is subtracted. Compare the ratio of one run: other work on the machine hits both.
"""

import argparse
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

SERIES_PER_GROUP = 10
# How long servers run before they are measured: some scrapes, and the first evaluation of each group.
SETTLE_INTERVALS = 2
BASELINE_SECONDS = 30
MEASURED_SECONDS = 60


class Target(http.server.BaseHTTPRequestHandler):
    """Counters and gauges, of which each group of rules has its own."""

    groups = 0

    def do_GET(self):
        now = int(time.time())
        lines = ["# TYPE requests_total counter"]
        for group in range(self.groups):
            for path in range(SERIES_PER_GROUP):
                lines.append(f'requests_total{{shard="{group}",path="/{path}"}} {now * (path + 1)}')
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def rule_file(groups, rules, interval):
    """Half recording, half alerting rules; some build on those before them, few alerts fire."""
    lines = ["groups:"]
    for group in range(groups):
        lines += [f"- name: g{group}", f"  interval: {interval}s", "  rules:"]
        for rule in range(rules):
            selector = f'requests_total{{shard="{group}"}}'
            if rule % 2 == 0:
                lines += [f"  - record: shard:requests:rate{rule}m",
                          f"    expr: sum by (shard) (rate({selector}[{rule + 1}m]))"]
            else:
                lines += [f"  - alert: Busy{rule}",
                          f'    expr: shard:requests:rate{rule - 1}m{{shard="{group}"}} > {40 + 10 * rule}',
                          "    for: 1m",
                          "    labels: {severity: page}",
                          "    annotations: {summary: 'shard {{ $labels.shard }} at {{ $value | humanize }}'}"]
    return "\n".join(lines) + "\n"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    def __init__(self, binary, name, config, directory):
        self.name = name
        self.home = directory / name
        self.home.mkdir()
        (self.home / "prometheus.yml").write_text(config)
        self.port = free_port()
        log = open(self.home / "log", "w")
        self.process = subprocess.Popen(
            [binary, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.enable-lifecycle",
             f"--web.listen-address=127.0.0.1:{self.port}"],
            cwd=self.home, stdout=log, stderr=log)

    def ask(self, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    def wait_ready(self):
        for _ in range(600):
            try:
                self.ask("/-/ready")
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{self.name} doesn't get ready: see {self.home / 'log'}")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metric(self, name):
        lines = self.ask("/metrics").splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " ")))

    def load_rules(self, text):
        (self.home / "rules.yml").write_text(text)
        with open(self.home / "prometheus.yml", "a") as config:
            config.write("rule_files: [rules.yml]\n")
        self.ask("/-/reload", "POST")


def cpu_over(servers, seconds):
    before = [server.cpu_seconds() for server in servers]
    time.sleep(seconds)
    return [(server.cpu_seconds() - start) / seconds for server, start in zip(servers, before)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ferula")
    parser.add_argument("prometheus")
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--rules", type=int, default=10)
    parser.add_argument("--interval", type=int, default=15, help="seconds")
    args = parser.parse_args()

    Target.groups = args.groups
    target = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    config = (f"global: {{scrape_interval: {args.interval}s, evaluation_interval: {args.interval}s}}\n"
              f"scrape_configs: [{{job_name: app, static_configs: [{{targets: ['127.0.0.1:{target.server_port}']}}]}}]\n")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rule_load"))
    servers = [Server(os.path.abspath(args.ferula), "ferula", config, directory),
               Server(os.path.abspath(args.prometheus), "prometheus", config, directory)]
    try:
        for server in servers:
            server.wait_ready()
        time.sleep(SETTLE_INTERVALS * args.interval)
        idle = cpu_over(servers, BASELINE_SECONDS)
        for server in servers:
            server.load_rules(rule_file(args.groups, args.rules, args.interval))
        time.sleep(SETTLE_INTERVALS * args.interval)
        busy = cpu_over(servers, MEASURED_SECONDS)
        for server, without, with_rules in zip(servers, idle, busy):
            print(json.dumps({
                "server": server.name,
                "cpu_without_rules": round(without, 4),
                "cpu_with_rules": round(with_rules, 4),
                "cpu_of_rules": round(with_rules - without, 4),
                "iterations": server.metric("prometheus_rule_group_iterations_total"),
                "missed": server.metric("prometheus_rule_group_iterations_missed_total"),
                "failures": server.metric("prometheus_rule_evaluation_failures_total"),
            }))
    finally:
        for server in servers:
            server.process.terminate()
            server.process.wait()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
