"""Files of other projects that lie on this machine, taken when a decoder of their type agrees."""

import os
import sys

from . import digest, maker

ROOTS = (
    "/usr/share",
    "/usr/lib",
    "/usr/local/go",
    "/usr/local/lib",
    "/usr/local/share",
    "/opt",
    sys.prefix,
    sys.base_prefix,
    os.path.expanduser("~/.cargo/registry/src"),
)
# Not more of one kind from one project, and not more of one kind.
FROM_ONE, IN_ALL, BIGGEST = 3, 30, 300 * 1024
KINDS = {
    **{kind: kind for kind in (
        "jpg png gif webp avif heic bmp tiff ico svg psd jp2 pdf docx xlsx pptx doc xls ppt odt ods odp epub rtf csv tsv txt md json xml html css js yaml toml sh "
        "zip gz bz2 xz zst 7z tar rar jar mp4 mov m4a webm mkv avi mp3 wav ogg opus flac aac aiff woff woff2 ttf otf wasm exe class ps eps sqlite mid"
    ).split()},
    "jpeg": "jpg", "tif": "tiff", "htm": "html", "aif": "aiff", "yml": "yaml", "dll": "exe", "oga": "ogg", "tgz": "gz",
}  # fmt: skip


def walk():
    """Every file with an extension we know: (kind, project, path)."""
    seen = set()
    for root in dict.fromkeys(map(os.path.realpath, ROOTS)):
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if name not in (".git", "__pycache__") and not os.path.islink(os.path.join(folder, name))]
            for name in names:
                kind = KINDS.get(name.rpartition(".")[2].lower())
                path = os.path.join(folder, name)
                if kind is None or path in seen or os.path.islink(path):
                    continue
                seen.add(path)
                below = os.path.relpath(folder, root).split(os.sep)
                yield kind, "/".join([root, *below[:2]]), path


@maker("machine")
def of_the_machine(shelf):
    from .checks import agreed

    chosen = {}
    for kind, project, path in walk():
        chosen.setdefault(kind, {}).setdefault(project, []).append(path)
    for kind, projects in sorted(chosen.items()):
        order = sorted(
            (place, digest(path), path)
            for paths in projects.values()
            for place, path in enumerate(sorted(paths, key=digest)[:12])
        )
        taken, per_project, prints = 0, {}, set()
        for _, name, path in order[:600]:
            if taken == IN_ALL:
                break
            try:
                size = os.path.getsize(path)
                if not 0 < size <= BIGGEST:
                    continue
                with open(path, "rb") as file:
                    whole = digest(file.read().hex())
            except OSError:
                continue
            project = os.path.dirname(path)
            if whole in prints or per_project.get(project, 0) >= (9 if kind == "exe" else FROM_ONE) or not agreed(kind, path):
                continue
            prints.add(whole)
            per_project[project] = per_project.get(project, 0) + 1
            taken += 1
            shelf.copy(kind, f"{os.path.basename(path).rpartition('.')[0][:30].replace(' ', '_')}-{name[:6]}", path)
    (shelf.out / "machine.txt").write_text("\n".join(f"{kind}\t{sum(map(len, projects.values()))}" for kind, projects in sorted(chosen.items())) + "\n")


@maker("compiled", "cc")
def of_the_system(shelf):
    """Programs: what the loader runs is an ELF file, no extension needed."""
    taken = 0
    for path in sorted(os.listdir("/usr/bin"), key=digest):
        whole = os.path.join("/usr/bin", path)
        if os.path.islink(whole) or not os.path.isfile(whole) or os.path.getsize(whole) > BIGGEST:
            continue
        with open(whole, "rb") as file:
            if file.read(4) != b"\x7fELF":
                continue
        shelf.copy("elf", path, whole)
        taken += 1
        if taken == 24:
            break
