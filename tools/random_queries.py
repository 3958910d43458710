#!/usr/bin/env python3
"""Prints random queries on the series of a server, one a line, for tools/differential.py.

    tools/random_queries.py http://127.0.0.1:9090 --seed 7 --count 2000 > queries.txt

The same seed and the same series give the same queries. They follow the stable part of the language as of Prometheus
3.5: everything that is behind a feature flag or newer is left out. Most of them have an answer; some fail on purpose
(two series in each other's way, labels that aren't allowed), which has to be the same as well.
"""

import argparse
import json
import random
import urllib.parse
import urllib.request

# How deep expressions are nested at most.
DEPTH_MAX = 3
# Series that are asked for, to learn names and labels from.
SERIES_MAX = 5000

OF_RANGE = (
    "absent_over_time avg_over_time changes count_over_time delta deriv idelta increase irate last_over_time "
    "max_over_time min_over_time present_over_time rate resets stddev_over_time stdvar_over_time sum_over_time"
).split()
OF_VECTOR = (
    "abs absent acos acosh asin asinh atan atanh ceil cos cosh day_of_month day_of_week day_of_year days_in_month deg "
    "exp floor histogram_avg histogram_count histogram_stddev histogram_stdvar histogram_sum hour ln log10 log2 minute "
    "month rad round sgn sin sinh sort sort_desc sqrt tan tanh timestamp year"
).split()
AGGREGATIONS = "avg count group max min stddev stdvar sum".split()
ARITHMETIC = "+ - * / % ^ atan2".split()
COMPARISONS = "== != < > <= >=".split()
SET_OPERATORS = "and or unless".split()
NUMBERS = "0 1 2 -1 0.5 1e3 Inf NaN 5m 0x1F 0.9 3".split()
QUANTILES = "0 0.1 0.5 0.9 0.99 1 -1 2 NaN".split()
DURATIONS = "30s 1m 90s 2m 5m 10m 150 1h".split()


class Generator:
    """Makes queries of the names, labels and values that there are."""

    def __init__(self, seed, series):
        self.random = random.Random(seed)
        self.names = sorted({labels["__name__"] for labels in series})
        values = {}
        for labels in series:
            for name, value in labels.items():
                values.setdefault(name, set()).add(value)
        self.values = {name: sorted(of_name) for name, of_name in sorted(values.items()) if name != "__name__"}

    def pick(self, choices):
        return self.random.choice(choices)

    def chance(self, share):
        return self.random.random() < share

    def query(self):
        """A query that an instant and a range query take."""
        depth = self.random.randint(1, DEPTH_MAX)
        return self.scalar(depth) if self.chance(0.05) else self.vector(depth)

    def selector(self):
        matchers = []
        for name in self.random.sample(list(self.values), min(len(self.values), self.random.randint(0, 2))):
            value = self.pick(self.values[name])
            op = self.pick(("=", "!=", "=~", "!~"))
            if op.endswith("~"):
                value = self.pick((value[:1] + ".*", ".+", ".*", ""))
            matchers.append(f"{name}{op}{json.dumps(value)}")
        return self.pick(self.names) + (f"{{{', '.join(matchers)}}}" if matchers and self.chance(0.4) else "")

    def modifiers(self):
        if self.chance(0.8):
            return ""
        return self.pick((" offset 1m", " offset -1m", " @ start()", " @ end()", " @ end() offset 2m"))

    def range_vector(self, depth):
        if depth > 0 and self.chance(0.2):
            step = self.pick(("", "30s", "1m", "15s"))
            return f"({self.vector(depth - 1)})[{self.pick(DURATIONS)}:{step}]{self.modifiers()}"
        return f"{self.selector()}[{self.pick(DURATIONS)}]{self.modifiers()}"

    def scalar(self, depth):
        if depth <= 0 or self.chance(0.6):
            return self.pick(NUMBERS)
        return self.pick(
            (
                lambda: f"scalar({self.vector(depth - 1)})",
                lambda: f"({self.scalar(depth - 1)} {self.pick(ARITHMETIC)} {self.scalar(depth - 1)})",
                lambda: f"({self.scalar(depth - 1)} {self.pick(COMPARISONS)} bool {self.scalar(depth - 1)})",
                lambda: "time()",
            )
        )()

    def labels(self):
        names = list(self.values) + ["nothing"]
        return ", ".join(self.random.sample(names, self.random.randint(0, min(2, len(names)))))

    def vector(self, depth):
        if depth <= 0 or self.chance(0.1):
            return self.selector() + self.modifiers()
        makers = (
            self.of_range,
            self.of_range,
            self.of_vector,
            self.histogram,
            self.with_scalars,
            self.relabelled,
            self.aggregation,
            self.aggregation,
            self.operation,
            lambda below: f"-{self.vector(below)}",
        )
        return self.pick(makers)(depth - 1)

    def of_range(self, depth):
        special = (
            lambda: f"quantile_over_time({self.pick(QUANTILES)}, {self.range_vector(depth)})",
            lambda: f"predict_linear({self.range_vector(depth)}, {self.pick(NUMBERS)})",
        )
        return self.pick(special)() if self.chance(0.15) else f"{self.pick(OF_RANGE)}({self.range_vector(depth)})"

    def of_vector(self, depth):
        return f"{self.pick(OF_VECTOR)}({self.vector(depth)})"

    def histogram(self, depth):
        if self.chance(0.5):
            return f"histogram_quantile({self.pick(QUANTILES)}, {self.vector(depth)})"
        return f"histogram_fraction({self.pick(NUMBERS)}, {self.pick(NUMBERS)}, {self.vector(depth)})"

    def with_scalars(self, depth):
        inner = self.vector(depth)
        return self.pick(
            (
                lambda: f"clamp({inner}, {self.scalar(depth)}, {self.scalar(depth)})",
                lambda: f"clamp_min({inner}, {self.scalar(depth)})",
                lambda: f"clamp_max({inner}, {self.scalar(depth)})",
                lambda: f"round({inner}, {self.pick(NUMBERS)})",
                lambda: f"vector({self.scalar(depth)})",
            )
        )()

    def relabelled(self, depth):
        target = self.pick(list(self.values) + ["new", "__name__"])
        source = self.pick(list(self.values))
        if self.chance(0.5):
            return f'label_join({self.vector(depth)}, "{target}", "-", "{source}", "nothing")'
        replacement = self.pick(("$1", "v-$1", "", "same"))
        pattern = self.pick(("(.*)", "(.).*", ".*", "("))
        return f'label_replace({self.vector(depth)}, "{target}", "{replacement}", "{source}", "{pattern}")'

    def aggregation(self, depth):
        grouping = self.pick(("", f" by ({self.labels()}) ", f" without ({self.labels()}) "))
        inner = self.vector(depth)
        if self.chance(0.65):
            return f"{self.pick(AGGREGATIONS)}{grouping}({inner})"
        return self.pick(
            (
                lambda: f"{self.pick(('topk', 'bottomk'))}{grouping}({self.pick(('1', '2', '3', '0'))}, {inner})",
                lambda: f"quantile{grouping}({self.pick(QUANTILES)}, {inner})",
                lambda: f'count_values{grouping}("value", {inner})',
            )
        )()

    def operation(self, depth):
        left, right = self.vector(depth), self.vector(depth)
        op = self.pick(ARITHMETIC + COMPARISONS + SET_OPERATORS)
        bool_word = " bool" if op in COMPARISONS and self.chance(0.3) else ""
        if op not in SET_OPERATORS and self.chance(0.4):
            sides = (left, self.scalar(depth)) if self.chance(0.5) else (self.scalar(depth), right)
            return f"({sides[0]} {op}{bool_word} {sides[1]})"
        matching = ""
        if self.chance(0.7):
            matching = self.pick((f" on ({self.labels()})", f" ignoring ({self.labels()})"))
            if op not in SET_OPERATORS and self.chance(0.6):
                matching += self.pick((" group_left", " group_right", " group_left ()", " group_right ()"))
        return f"({left} {op}{bool_word}{matching} {right})"


def series_of(base):
    """The label sets that the server has."""
    wanted = urllib.parse.urlencode({"match[]": '{__name__=~".+"}', "limit": SERIES_MAX, "start": 0})
    with urllib.request.urlopen(f"{base.rstrip('/')}/api/v1/series?{wanted}") as answer:
        return json.load(answer)["data"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="base URL of a server with the series")
    parser.add_argument("--seed", type=int, default=1, help="1 by default")
    parser.add_argument("--count", type=int, default=1000, help="1000 by default")
    options = parser.parse_args()
    generator = Generator(options.seed, series_of(options.base))
    for _ in range(options.count):
        print(generator.query())


if __name__ == "__main__":
    main()
