"""The commands and the global flags, as static tables that import nothing.

A command `name` is the module `voyager.commands.name`; adding one is adding its line here.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A line of the command table; `completes` is what its arguments name."""

    group: str
    help: str
    completes: str = ""


_BEGIN = "Start a repository"
_CHANGE = "Change what the next commit holds"
_LOOK = "Look at the dataset and its history"
_TRADE = "Bring labels in, and take them to other tools"
_GROW = "Grow and mark history"
_SHARE = "Share with others"
_TRAIN = "Train models, and say what they are made of"
_CARE = "Settings and care"

COMMANDS: dict[str, Entry] = {
    "init": Entry(_BEGIN, "Make a new, empty repository", "folders"),
    "clone": Entry(_BEGIN, "Make a repository of what a remote has", "folders"),
    "demo": Entry(_BEGIN, "Make a small repository with photographs to try things on", "folders"),
    "add": Entry(_CHANGE, "Stage images and other files", "files"),
    "rm": Entry(_CHANGE, "Remove samples from the next version", "keys"),
    "mv": Entry(_CHANGE, "Rename a sample or a folder, labels and all", "keys"),
    "restore": Entry(_CHANGE, "Bring back files or staged rows", "keys"),
    "label": Entry(_CHANGE, "Say what samples and regions are", "keys"),
    "taxonomy": Entry(_CHANGE, "Arrange classes: trees that are handled like folders", "classes"),
    "task": Entry(_CHANGE, "Say what is asked of samples and regions", "tasks"),
    "negatives": Entry(_CHANGE, "Say what is verified not to be in samples", "keys"),
    "coverage": Entry(_CHANGE, "Say how completely samples are labeled", "keys"),
    "region": Entry(_CHANGE, "Draw, move and remove regions", "keys"),
    "link": Entry(_CHANGE, "Link regions, and show links both ways", "keys"),
    "edit": Entry(_CHANGE, "Edit all that is said of a sample, as JSON", "keys"),
    "guard": Entry(_CHANGE, "Keep images of the test split out of all other splits", "keys"),
    "split": Entry(_CHANGE, "Divide samples into train, val, test or other parts", "keys"),
    "import": Entry(_TRADE, "Take labels and images from another tool's files", "files"),
    "predictions": Entry(_TRADE, "Say what models said of samples, beside the dataset"),
    "bind": Entry(_TRADE, "Keep a label file in step with HEAD, and edit labels in it", "files"),
    "unbind": Entry(_TRADE, "Let go of a bound label file, which stays", "files"),
    "export": Entry(_TRADE, "Write a version in the format of another tool", "files"),
    "stash": Entry(_CHANGE, "Put changes aside and bring them back later"),
    "status": Entry(_LOOK, "Say what is staged, changed and untracked"),
    "log": Entry(_LOOK, "List commits, newest first", "revisions"),
    "show": Entry(_LOOK, "Show a commit, or a sample with its labels", "revisions"),
    "ls": Entry(_LOOK, "List the samples of a version", "revisions"),
    "search": Entry(_LOOK, "Find images and regions by words, by pictures, by likeness"),
    "sql": Entry(_LOOK, "Ask questions of versions in SQL"),
    "duplicates": Entry(_LOOK, "Find images that are there twice, and take them out", "revisions"),
    "derive": Entry(_LOOK, "Compute what is derived from images, ahead of time", "revisions"),
    "cat": Entry(_LOOK, "Write the bytes of an image or the content of an object", "revisions"),
    "stats": Entry(_LOOK, "Say what a version consists of, and what deserves a look", "revisions"),
    "du": Entry(_LOOK, "Say how much space a version and the store take", "revisions"),
    "diff": Entry(_LOOK, "Show what differs between two versions, in words of labels", "revisions"),
    "blame": Entry(_LOOK, "Say who made each label of a sample what it is, and when", "keys"),
    "bisect": Entry(_LOOK, "Find the commit that broke something, by halving", "revisions"),
    "commit": Entry(_GROW, "Record the staged version in history"),
    "branch": Entry(_GROW, "List, make, rename or delete branches", "branches"),
    "merge": Entry(_GROW, "Bring the changes of other branches into this one", "revisions"),
    "conflicts": Entry(_GROW, "List what merges left undecided", "keys"),
    "resolve": Entry(_GROW, "Decide what merges left undecided", "keys"),
    "rebase": Entry(_GROW, "Make the commits of a branch again on top of another", "revisions"),
    "cherry-pick": Entry(_GROW, "Do here what commits did elsewhere", "revisions"),
    "revert": Entry(_GROW, "Undo what commits did, by new commits", "revisions"),
    "switch": Entry(_GROW, "Go to another branch", "branches"),
    "checkout": Entry(_GROW, "Go to any version, or bring back files from it", "revisions"),
    "reset": Entry(_GROW, "Point the branch at another commit", "revisions"),
    "tag": Entry(_GROW, "List, make or delete tags", "tags"),
    "undo": Entry(_GROW, "Take back the last operation, or any one"),
    "op": Entry(_GROW, "List the operations that can be undone"),
    "reflog": Entry(_GROW, "List where HEAD or a branch has been", "branches"),
    "fetch": Entry(_SHARE, "Bring what a remote has, and touch no branch of your own", "branches"),
    "get": Entry(_SHARE, "Bring images that a lazy clone left out", "keys"),
    "cache": Entry(_SHARE, "Show or limit what a lazy clone keeps of images looked at"),
    "pull": Entry(_SHARE, "Fetch, then merge or rebase", "branches"),
    "push": Entry(_SHARE, "Send commits and images to a remote, and move its refs", "branches"),
    "train": Entry(_TRAIN, "Train a network on a commit", "revisions"),
    "runs": Entry(_TRAIN, "List trainings, compare them, take them out", "runs"),
    "why": Entry(_TRAIN, "Walk from a model to the data that made it", "runs"),
    "eval": Entry(_TRAIN, "Say how good a run is, and where it fails", "runs"),
    "remote": Entry(_SHARE, "Name the places that versions are sent to and come from", "remotes"),
    "config": Entry(_CARE, "Read or change settings", "settings"),
    "gc": Entry(_CARE, "Pack the store and drop what nothing points to"),
    "fsck": Entry(_CARE, "Verify every byte, and rebuild the index from what is verified"),
    "purge": Entry(_CARE, "Remove the bytes of images for good, from every version", "keys"),
    "doctor": Entry(_CARE, "Check this installation and this repository"),
    "completion": Entry(_CARE, "Print the script that completes vgr in your shell", "shells"),
}


class Flag(NamedTuple):
    """A global flag: the attribute of Context that it sets, its spellings and help."""

    name: str
    spellings: tuple[str, ...]
    help: str
    metavar: str | None = None


FLAGS = (
    Flag("directory", ("-C",), "run as if started in DIR", "DIR"),
    Flag("json", ("--json",), "answer in JSON"),
    Flag("quiet", ("-q", "--quiet"), "say only what was asked for"),
    Flag("verbose", ("-v", "--verbose"), "say more about errors"),
    Flag("no_progress", ("--no-progress",), "no progress bars"),
)

HELP = Flag("help", ("-h", "--help"), "show this help")

ALL_FLAGS = (
    *FLAGS,
    Flag("version", ("--version",), "show the version"),
    HELP,
)
"""Also those that only stand before a command's name."""


def help_text() -> str:
    """What `vgr --help` prints."""
    groups: dict[str, list[str]] = {}
    for name, entry in COMMANDS.items():
        groups.setdefault(entry.group, []).append(f"  {name:<12}{entry.help}")
    blocks = [f"{title}:\n" + "\n".join(lines) for title, lines in groups.items()]
    spelled = [", ".join(flag.spellings) + f" {flag.metavar or ''}" for flag in ALL_FLAGS]
    flags = [f"  {names:<22}{flag.help}" for names, flag in zip(spelled, ALL_FLAGS, strict=True)]
    blocks.append("Global options:\n" + "\n".join(flags))
    head = "usage: vgr [options] COMMAND [arguments]\n\nGit for vision datasets."
    return "\n\n".join([head, *blocks, "Help of a command: vgr COMMAND --help"]) + "\n"
