"""What is compared of a distribution."""

import json
import statistics

SHARES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.5": 0.995}


def line(name, seconds):
    """The figures of times in seconds, in milliseconds, as one line of JSON."""
    ordered = sorted(second * 1000 for second in seconds)
    figures = {"who": name, "count": len(ordered), "min": ordered[0]}
    for share_name, share in SHARES.items():
        figures[share_name] = ordered[min(len(ordered) - 1, int(share * len(ordered)))]
    figures |= {"max": ordered[-1], "mean": statistics.fmean(ordered)}
    figures["stdev"] = statistics.pstdev(ordered)
    return json.dumps({key: round(it, 2) if isinstance(it, float) else it for key, it in figures.items()})
