"""A job as many services run it: read a day's events, aggregate them, keep the totals, wait for the next.

    cargo neap run -- python3 examples/burst.py

It prints its resident memory after each phase. While it works it needs some 300 MiB; afterwards only
the totals live. What the last lines say depends on the allocator: memory that is given back while the
process sleeps is gone from them, without a call of the program's.
"""

import json
import time


def resident_mib():
    with open("/proc/self/smaps_rollup") as rollup:
        for line in rollup:
            if line.startswith("Rss:"):
                return int(line.split()[1]) / 1024
    raise SystemExit("no Rss in /proc/self/smaps_rollup")


def show(phase):
    print(f"{phase:<28}{resident_mib():8.1f} MiB resident", flush=True)


def events(count):
    """A day's log, a JSON document a line, as it would come from a file."""
    for number in range(count):
        yield json.dumps({
            "user": f"user-{number * 7919 % 20011}",
            "path": f"/shop/item/{number % 997}?from={number % 31}",
            "bytes": number * 31 % 50021,
            "agent": "browser/" + "x" * (number % 600),
        })


def aggregate(lines):
    parsed = [json.loads(line) for line in lines]
    show(f"{len(parsed)} events parsed")
    by_user = {}
    for event in parsed:
        by_user.setdefault(event["user"], []).append(event)
    report = {user: (len(own), sum(e["bytes"] for e in own)) for user, own in by_user.items()}
    page = "\n".join(f"{user} {count} {total}" for user, (count, total) in sorted(report.items()))
    images = [bytearray(200_000) for _ in range(300)]
    show("reports and images made")
    return page, len(images)


def main():
    show("start")
    lines = list(events(160_000))
    show("log read")
    page, images = aggregate(lines)
    del lines
    show("done, the totals are kept")
    print(f"{len(page.splitlines())} users, {images} images")
    for _ in range(5):
        time.sleep(0.2)
        show("idle")


if __name__ == "__main__":
    main()
