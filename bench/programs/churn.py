"""Documents parsed, indexed and rendered: objects of all sizes, deterministic."""
import json
import random
import re


class Record:
    def __init__(self, number, words):
        self.number = number
        self.words = words
        self.links = []


def document(rng):
    names = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(3, 12))) for _ in range(40)]
    return {"id": rng.randrange(1 << 30), "names": names, "nested": [{"k": n, "v": [len(n)] * 3} for n in names]}


def main():
    rng = random.Random(7)
    total = 0
    index = {}
    for turn in range(ROUNDS):
        texts = [json.dumps(document(rng)) for _ in range(120)]
        for text in texts:
            parsed = json.loads(text)
            record = Record(parsed["id"], parsed["names"])
            for word in re.findall(r"[a-z]{4,}", text):
                index.setdefault(word[:3], []).append(record)
            total += len(text)
        for key in [k for k in index if hash(tuple(map(ord, k))) % 3 == turn % 3]:
            record = index.pop(key)[-1]
            record.links = sorted(record.words)
    print(total, len(index), sum(len(v) for v in index.values()))


ROUNDS = 18
main()
