"""Mutations of recorded JSON: of its bytes and of its structure. Every choice comes from one seed."""

import base64
import copy
import json
import random

TOKENS = [b"null", b"true", b"{}", b"[]", b'""', b"-0", b"1e999", b"NaN", b"\\u0000", b"\\ud800",
          b"\xff", b"\x00", b"\n", b'"id"', b'"task"', b'"headers"', b"[" * 2000, b"9" * 400]
VALUES = [None, True, False, 0, -1, 0.5, 1e300, 2**63, "", "x", "\x00", "a" * 5000, [], {}, [[]],
          [None], {"": None}, "2020-01-01T00:00:00", "celery", [1, 2], {"task": "test.noop"}]


class Mutator:
    """Makes wrong inputs out of good ones (texts of JSON envelopes)."""

    def __init__(self, seeds, seed):
        self.dice = random.Random(seed)
        self.seeds = [text if isinstance(text, bytes) else text.encode() for text in seeds]
        self.trees = [json.loads(text) for text in self.seeds]

    def make(self):
        """One mutated input as bytes."""
        if self.dice.random() < 0.5:
            return self._bytes(bytearray(self.dice.choice(self.seeds)))
        tree = copy.deepcopy(self.dice.choice(self.trees))
        for _ in range(self.dice.choice((1, 1, 1, 2, 3))):
            self._tree(tree)
        text = json.dumps(tree).encode()
        return self._bytes(bytearray(text)) if self.dice.random() < 0.1 else text

    def _bytes(self, data):
        for _ in range(self.dice.choice((1, 1, 2, 4))):
            at = self.dice.randrange(len(data) + 1)
            deed = self.dice.randrange(5)
            if deed == 0 and data:
                data[at % len(data)] ^= 1 << self.dice.randrange(8)
            elif deed == 1:
                del data[at:at + self.dice.choice((1, 2, 20, 1000))]
            elif deed == 2:
                data[at:at] = self.dice.choice(TOKENS)
            elif deed == 3:
                other = self.dice.choice(self.seeds)
                data[at:] = other[self.dice.randrange(len(other)):]
            else:
                data[at:at] = data[at:at + self.dice.choice((1, 10, 200))]
        return bytes(data)

    def _tree(self, tree):
        """Changes one value anywhere in the tree; a base64 body counts as a part of it."""
        body = self._open_body(tree)
        places = list(_places(tree if body is None else {"envelope": tree, "body": body}))
        parent, key = self.dice.choice(places)
        deed = self.dice.randrange(4)
        if deed == 0:
            del parent[key]
        elif deed == 1:
            parent[key] = copy.deepcopy(self.dice.choice(VALUES))
        elif deed == 2:
            parent[key] = [parent[key]]
        else:
            other, name = self.dice.choice(places)
            if not _holds(other[name], parent) and not _holds(parent[key], other):
                parent[key] = copy.deepcopy(other[name])
        if body is not None and isinstance(tree, dict) and "body" in tree:
            tree["body"] = base64.b64encode(json.dumps(body).encode()).decode()

    @staticmethod
    def _open_body(tree):
        try:
            return json.loads(base64.b64decode(tree["body"]))
        except (ValueError, KeyError, TypeError):
            return None


def _places(node):
    """(parent, key) of everything below node."""
    if isinstance(node, dict):
        keys = list(node)
    elif isinstance(node, list):
        keys = range(len(node))
    else:
        return
    for key in keys:
        yield node, key
        yield from _places(node[key])


def _holds(node, wanted):
    return node is wanted or any(parent[key] is wanted for parent, key in _places(node))
