#!/usr/bin/env python3
"""Compares the answers of two servers with the Prometheus HTTP API, point by point.

    tools/differential.py http://127.0.0.1:9090 http://127.0.0.1:9091 testdata/promql/differential.txt

tools/random_queries.py makes up longer lists. Each query of the list (one a line, `#` begins a comment) is asked of both servers as an instant query at the
end, in the middle and at the start of the range, and as a range query. Answers are the same if

- both fail with the same status, error type and text, or both succeed;
- the result types, the label sets and, where the query sorts, the order are the same;
- each series has the same timestamps, and floats, counts, sums and bucket bounds differ by at most the tolerance,
  relative to the larger one (NaN equals NaN; infinities equal themselves);
- with --annotations, warnings and infos are the same.

Both servers must hold the same samples. It is Python, so that no crate of the workspace needs an HTTP client for
it; only the standard library is used. Exit status: 0 if everything is the same, 1 if not, 2 if it can't be asked.
"""

import argparse
import json
import math
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# A query that takes longer is reported as different.
TIMEOUT_SECONDS = 120
# Relative error that different orders of summation may cause.
TOLERANCE = 1e-12
# Differences that are shown for one query.
SHOWN_MAX = 5
# Functions whose order of an instant vector is part of the answer.
ORDERED = ("sort(", "sort_desc(", "sort_by_label(", "sort_by_label_desc(", "topk(", "bottomk(")


def ask(base, path, params):
    """The decoded JSON of an answer, whatever its status, with the status under `code`."""
    data = urllib.parse.urlencode(params).encode()
    request = urllib.request.Request(base.rstrip("/") + path, data=data)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            code, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        code, body = error.code, error.read()
    decoded = json.loads(body)
    decoded["code"] = code
    return decoded


def same_number(left, right, tolerance):
    """Whether two numbers, written as text, are the same."""
    a, b = float(left), float(right)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if a == b:
        return True
    if math.isinf(a) or math.isinf(b):
        return False
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


def same_histogram(left, right, tolerance):
    """Whether two native histograms are the same, bucket by bucket."""
    if not all(same_number(left[key], right[key], tolerance) for key in ("count", "sum")):
        return False
    mine, theirs = left.get("buckets", []), right.get("buckets", [])
    if len(mine) != len(theirs):
        return False
    return all(
        a[0] == b[0] and all(same_number(x, y, tolerance) for x, y in zip(a[1:], b[1:]))
        for a, b in zip(mine, theirs)
    )


def points(series, kind):
    """The points of a series: of a vector one, of a matrix many."""
    single, many = ("value", "values") if kind == "float" else ("histogram", "histograms")
    return series.get(many, [series[single]] if single in series else [])


def compare_series(name, left, right, tolerance):
    """Yields what differs between two series with the same labels."""
    for kind, same in (("float", same_number), ("histogram", same_histogram)):
        mine, theirs = points(left, kind), points(right, kind)
        if len(mine) != len(theirs):
            yield f"{name}: {len(mine)} {kind} points and {len(theirs)}"
            continue
        for (t1, v1), (t2, v2) in zip(mine, theirs):
            if t1 != t2:
                yield f"{name}: a {kind} point at {t1} and at {t2}"
            elif not same(v1, v2, tolerance):
                yield f"{name} at {t1}: {v1} and {v2}"


def label_key(series):
    return json.dumps(series["metric"], sort_keys=True)


def compare_results(left, right, ordered, tolerance):
    """Yields what differs between the `data` of two answers."""
    if left["resultType"] != right["resultType"]:
        yield f"result types {left['resultType']} and {right['resultType']}"
        return
    mine, theirs = left["result"], right["result"]
    if left["resultType"] in ("scalar", "string"):
        same = mine == theirs
        if left["resultType"] == "scalar":
            same = mine[0] == theirs[0] and same_number(mine[1], theirs[1], tolerance)
        if not same:
            yield f"{mine} and {theirs}"
        return
    if ordered and [label_key(s) for s in mine] != [label_key(s) for s in theirs]:
        yield "the order of the series"
    theirs = {label_key(series): series for series in theirs}
    seen = set()
    for series in mine:
        key = label_key(series)
        if key in seen:
            yield f"{key} is there twice"
        seen.add(key)
        if key in theirs:
            yield from compare_series(key, series, theirs[key], tolerance)
        else:
            yield f"{key} is only in the first"
    for key in theirs.keys() - seen:
        yield f"{key} is only in the second"


def compare(left, right, ordered, options):
    """Yields what differs between two answers."""
    if left["code"] != right["code"] or left["status"] != right["status"]:
        yield (
            f"status {left['code']} ({left.get('error', 'success')}) and {right['code']} "
            f"({right.get('error', 'success')})"
        )
        return
    if left["status"] == "error":
        for key in ("errorType", "error"):
            if left.get(key) != right.get(key):
                yield f"{key} {left.get(key)!r} and {right.get(key)!r}"
        return
    yield from compare_results(left["data"], right["data"], ordered, options.tolerance)
    if options.annotations:
        for key in ("warnings", "infos"):
            mine, theirs = sorted(left.get(key) or []), sorted(right.get(key) or [])
            if mine != theirs:
                yield f"{key} {mine} and {theirs}"


def requests(query, options):
    """The ways in which a query is asked: a description, a path and parameters."""
    middle = (options.start + options.end) / 2
    for at in dict.fromkeys((options.end, middle, options.start)):
        yield f"at {at:.3f}", "/api/v1/query", {"query": query, "time": f"{at:.3f}"}
    window = {"start": f"{options.start:.3f}", "end": f"{options.end:.3f}", "step": f"{options.step}"}
    yield f"range by {options.step} s", "/api/v1/query_range", {"query": query, **window}


def read_queries(path):
    """The queries of a list, each once."""
    with open(path, encoding="utf-8") as lines:
        stripped = [line.strip() for line in lines]
    return list(dict.fromkeys(line for line in stripped if line and not line.startswith("#")))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", help="base URL of the first server")
    parser.add_argument("second", help="base URL of the second server")
    parser.add_argument("queries", help="file with a query on each line")
    now = int(time.time())
    parser.add_argument("--end", type=float, default=now, help="Unix time; now by default")
    parser.add_argument("--start", type=float, help="Unix time; an hour before the end by default")
    parser.add_argument("--step", type=float, default=15, help="seconds; 15 by default")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="relative error, 1e-12 by default")
    parser.add_argument("--annotations", action="store_true", help="compare warnings and infos, too")
    options = parser.parse_args()
    options.start = options.end - 3600 if options.start is None else options.start
    return options


def main():
    options = arguments()
    asked = different = 0
    for query in read_queries(options.queries):
        ordered = any(word in query for word in ORDERED)
        for how, path, params in requests(query, options):
            asked += 1
            try:
                left, right = (ask(base, path, params) for base in (options.first, options.second))
            except (OSError, ValueError) as error:
                print(f"can't ask {query!r} ({how}): {error}", file=sys.stderr)
                return 2
            in_order = ordered and path.endswith("/query")
            differences = list(compare(left, right, in_order, options))
            if differences:
                different += 1
                print(f"{query}  ({how})")
                for difference in differences[:SHOWN_MAX]:
                    print(f"    {difference}")
                if len(differences) > SHOWN_MAX:
                    print(f"    and {len(differences) - SHOWN_MAX} more")
    print(f"{asked - different} same, {different} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
