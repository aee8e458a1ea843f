"""What the makers share: where a file goes, how a program is run, what the seeds are.

A maker is a function that takes a `Shelf` and fills it with files of other software. It
runs in a process of its own; a file it cannot make is noted and left out.
"""

import hashlib
import os
import random
import shutil
import subprocess
import zlib
from pathlib import Path

MAKERS = []


class Missing(Exception):
    """A program that is not on this machine."""


def maker(producer, *needs):
    """Registers a maker: `producer` names the software, `needs` the programs it runs."""

    def register(function):
        MAKERS.append((producer, needs, function))
        return function

    return register


def run(*command, stdin=None, cwd=None, env=None, timeout=120):
    """A program's standard output; a failure is an exception with its last words."""
    command = [str(part) for part in command]
    done = subprocess.run(
        command,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=timeout,
    )
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"{command[0]}: exit {done.returncode}: {' '.join(words)}")
    return done.stdout


class Shelf:
    """Where one maker puts its files."""

    def __init__(self, out, producer):
        self.out = Path(out)
        self.producer = producer
        self.made = []
        self.trouble = []
        self.scratch = self.out / "scratch" / producer
        self.scratch.mkdir(parents=True, exist_ok=True)

    @property
    def seeds(self):
        return self.out / "seeds"

    def path(self, kind, name):
        """A path for a new file of `kind`."""
        folder = self.out / "honest" / kind
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.producer}-{name}.{kind}"

    def make(self, kind, name, how):
        """Calls `how(path)` and keeps the file when it is there afterwards."""
        path = self.path(kind, name)
        try:
            how(path)
            if not path.is_file() or path.stat().st_size == 0:
                raise RuntimeError("nothing was written")
            self.made.append((kind, path, self.producer))
        except Exception as why:  # noqa: BLE001: whatever other software throws
            path.unlink(missing_ok=True)
            self.trouble.append(f"{path.name}: {type(why).__name__}: {str(why)[:160]}")

    def copy(self, kind, name, source):
        """Keeps a copy of a file that is already there."""
        self.make(kind, name, lambda path: shutil.copyfile(source, path))

    def write(self, kind, name, data):
        """Keeps bytes that a library returned."""
        if isinstance(data, str):
            data = data.encode()
        self.make(kind, name, lambda path: path.write_bytes(data))


def seeded(*words):
    """A source of random numbers that is the same on every machine."""
    return random.Random(zlib.crc32("/".join(map(str, words)).encode()))


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


WORDS = (
    "river stone ledger window cargo harbour copper meadow signal paper engine winter "
    "orange bridge market garden silver north letter morning Zürich naïve café señor "
    "Łódź Ωmega 東京 данные 🙂"
).split()


def prose(seed, count):
    """`count` words with full stops, the same for the same seed."""
    source = seeded("prose", seed)
    words = [source.choice(WORDS) for _ in range(count)]
    for at in range(0, count, 9):
        words[at] = words[at].capitalize()
    for at in range(8, count, 9):
        words[at] += "."
    return " ".join(words)


def rows(seed, count, width=5):
    """A table of mixed cells with a heading."""
    source = seeded("rows", seed)
    heading = [f"{source.choice(WORDS[:20])}_{n}" for n in range(width)]
    body = [
        [
            source.choice(
                [source.randint(-999, 99999), round(source.random() * 50, 3), source.choice(WORDS), f"2024-0{source.randint(1, 9)}-1{source.randint(0, 9)}"]
            )
            for _ in range(width)
        ]
        for _ in range(count)
    ]
    return [heading, *body]


def nested(seed, depth=3):
    """A value as JSON and YAML hold it."""
    source = seeded("nested", seed, depth)
    if depth == 0:
        return source.choice([None, True, 17, -2.5e-3, "naïve \"quoted\"", "", [], {}])
    if source.random() < 0.4:
        return [nested(f"{seed}{n}", depth - 1) for n in range(source.randint(1, 4))]
    return {source.choice(WORDS): nested(f"{seed}{n}", depth - 1) for n in range(source.randint(1, 4))}
