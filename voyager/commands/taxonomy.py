"""Taxonomies: trees of classes that are handled like folders.

A path begins with the name of the taxonomy: fashion/shoes/heels. One that begins with no taxonomy
means the only one that has it. Where several paths are taken they may be globs, and \\/ is a slash
inside a name. Classes keep their ids, so that no label is rewritten when one is renamed, moved or
merged; vgr undo takes each change back.

Example:
  $ vgr taxonomy mkdir -p fashion/shoes/heels
  $ vgr taxonomy mv fashion/shoes fashion/footwear
  $ vgr taxonomy merge fashion/footwear/pumps fashion/footwear/heels
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from voyager.commands.context import Context
from voyager.commands.reports import quoted
from voyager.commands.sizes import counted
from voyager.commands.trees import Tree, tree_lines
from voyager.errors import UsageError
from voyager.repo import taxonomies
from voyager.repo.class_use import label_counts
from voyager.repo.taxonomies import Done, words_of_use
from voyager.schema.taxonomy_paths import (
    Place,
    find_place,
    is_glob,
    living_taxonomies,
    match_path,
    path_of,
)
from voyager.schema.vocabulary import Vocabulary

app = typer.Typer()
DEFAULT = "ls"
_MOST = 20

_Path = Annotated[str, typer.Argument(metavar="PATH", help="a class or a taxonomy")]
_Moved = Annotated[
    list[str], typer.Argument(metavar="PATH", help="what is meant, and last where it goes")
]
_DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="only tell what would change")]
_Counts = Annotated[
    bool, typer.Option("--counts", help="count the labels it touches, however many samples")
]


@app.command("ls")
def list_classes(
    ctx: Context,
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH", help="classes, taxonomies or globs")
    ] = None,
    *,
    long: Annotated[bool, typer.Option("-l", "--long", help="id, labels, order, aliases")] = False,
) -> None:
    """List taxonomies, or the classes right below others.

    What has classes below it ends in /. A glob lists what it matches. -l shows the id, how many
    labels name the class itself, its place in exports, and its aliases.

    JSON: a line for each: {"path", "taxonomy", "id", "order", "aliases", "classes", "labels"};
    classes are those below it, labels null without -l.

    Example:
      $ vgr taxonomy ls
      $ vgr taxonomy ls -l fashion/shoes
    """
    version = ctx.open_repository().staged()
    vocabulary = version.vocabulary
    counts = label_counts(version, progress=ctx.progress("counting")) if long else None
    for place in dict.fromkeys(_listed(vocabulary, paths or [])):
        node = _node_json(vocabulary, place, counts)
        if ctx.json:
            ctx.emit_line(node)
            continue
        name = quoted(node["path"]) + "/" * bool(node["classes"])
        if long:
            ident = node["id"][:12] if node["id"] else ""
            order = "" if node["order"] is None else node["order"]
            aliases = f"  ({', '.join(map(quoted, node['aliases']))})" if node["aliases"] else ""
            ctx.show(f"{ident:<12} {node['labels']:>8,} {order:>5}  {name}{aliases}")
        else:
            ctx.show(name)


def _listed(vocabulary: Vocabulary, paths: Sequence[str]) -> Iterator[Place]:
    if not paths:
        yield from (Place(taxonomy.name) for taxonomy in living_taxonomies(vocabulary))
    for path in paths:
        if is_glob(path):
            yield from match_path(vocabulary, path)
            continue
        place = find_place(vocabulary, path)
        below = vocabulary.taxonomies[place.taxonomy].children(place.node)
        inner = [Place(place.taxonomy, node) for node in below]
        yield from inner or ([] if place.node is None else [place])


def _node_json(vocabulary: Vocabulary, place: Place, counts: Any) -> dict[str, Any]:
    taxonomy = vocabulary.taxonomies[place.taxonomy]
    node = None if place.node is None else taxonomy.nodes[place.node]
    named = list(taxonomy) if place.node is None else [place.node]
    return {
        "path": path_of(vocabulary, place),
        "taxonomy": place.taxonomy,
        "id": None if place.node is None else place.node.hex(),
        "order": None if node is None else node.order,
        "aliases": [] if node is None else list(node.aliases),
        "classes": len(taxonomy.below(place.node)),
        "labels": None if counts is None else sum(counts[key] for key in named),
    }


@app.command("tree")
def show_tree(
    ctx: Context,
    path: Annotated[
        str | None, typer.Argument(metavar="PATH", help="a taxonomy, or a class in one")
    ] = None,
    *,
    counts: Annotated[
        bool, typer.Option("--counts", help="and how many labels each has, those below included")
    ] = False,
    depth: Annotated[int | None, typer.Option(metavar="N", min=0, help="N levels deep")] = None,
) -> None:
    """Show taxonomies as trees, aliases in brackets.

    JSON: [{"name", "path", "id", "aliases", "labels", "children": […]}]; labels are those of the
    class and all below it, null without --counts.

    Example:
      $ vgr taxonomy tree --counts
      $ vgr taxonomy tree fashion/shoes --depth 1
    """
    version = ctx.open_repository().staged()
    vocabulary = version.vocabulary
    if path is None:
        places = [Place(taxonomy.name) for taxonomy in living_taxonomies(vocabulary)]
    else:
        places = [find_place(vocabulary, path)]
    labels = label_counts(version, progress=ctx.progress("counting")) if counts else None
    trees = [_tree(vocabulary, place, labels) for place in places]
    if ctx.json:
        ctx.emit([_tree_json(tree, depth) for tree in trees])
    for tree in trees:
        for line in tree_lines(tree, depth):
            ctx.show(line)


def _tree(vocabulary: Vocabulary, place: Place, counts: Any) -> Tree:
    taxonomy = vocabulary.taxonomies[place.taxonomy]
    path = path_of(vocabulary, place)
    below = (Place(place.taxonomy, node) for node in taxonomy.children(place.node))
    children = tuple(_tree(vocabulary, inner, counts) for inner in below)
    own = 0 if counts is None or place.node is None else counts[place.node]
    total = None if counts is None else own + sum(child.count or 0 for child in children)
    node = None if place.node is None else taxonomy.nodes[place.node]
    return Tree(
        name=place.taxonomy if node is None else node.name,
        path=path,
        id=place.node,
        aliases=() if node is None else node.aliases,
        count=total,
        children=children,
    )


def _tree_json(tree: Tree, depth: int | None) -> dict[str, Any]:
    deeper = None if depth is None else depth - 1
    return {
        "name": tree.name,
        "path": tree.path,
        "id": None if tree.id is None else tree.id.hex(),
        "aliases": list(tree.aliases),
        "labels": tree.count,
        "children": [] if depth == 0 else [_tree_json(child, deeper) for child in tree.children],
    }


@app.command("mkdir")
def make(
    ctx: Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="new classes, taxonomies")],
    *,
    parents: Annotated[
        bool, typer.Option("-p", "--parents", help="and those above; what is there is no error")
    ] = False,
    dry_run: _DryRun = False,
) -> None:
    """Make classes; a path of one name makes a taxonomy.

    JSON: {"changed": [{"kind": "made", "from": null, "to"}], "labels", "samples"}.

    Example:
      $ vgr taxonomy mkdir fashion
      $ vgr taxonomy mkdir -p fashion/shoes/heels fashion/bags
    """
    repo = ctx.open_repository()
    _tell(ctx, taxonomies.make_classes(repo, paths, parents=parents, dry_run=dry_run), dry_run)


@app.command("mv")
def move(ctx: Context, paths: _Moved, *, counts: _Counts = False, dry_run: _DryRun = False) -> None:
    """Rename or move classes, or rename a taxonomy; no label is rewritten.

    The last PATH is the new name. When it is there already, or ends in /, the others go into it.
    How many labels read differently now is counted below 20,000 samples, and else with --counts,
    -n or -v, since the change itself costs the same however many there are.

    JSON: {"changed": [{"kind": "renamed" or "moved", "from", "to"}], "labels", "samples"}, null
    where nobody counted.

    Example:
      $ vgr taxonomy mv fashion/shoes fashion/footwear
      $ vgr taxonomy mv 'fashion/footwear/*' fashion/shoes/
    """
    *sources, target = _two_or_more(paths, "mv")
    done = taxonomies.move_classes(
        ctx.open_repository(),
        sources,
        target,
        count=_counting(ctx, counts, dry_run),
        dry_run=dry_run,
        progress=ctx.progress("counting"),
    )
    _tell(ctx, done, dry_run)


@app.command("cp")
def copy(
    ctx: Context,
    paths: _Moved,
    *,
    recursive: Annotated[
        bool, typer.Option("-r", "-R", "--recursive", help="and all that lies below")
    ] = False,
    dry_run: _DryRun = False,
) -> None:
    """Copy classes; the copies have ids of their own, and no labels yet.

    The last PATH is where they go, as in vgr taxonomy mv, and may be in another taxonomy.

    JSON: {"changed": [{"kind": "copied", "from", "to"}], "labels", "samples"}.

    Example:
      $ vgr taxonomy cp -r fashion/shoes sport/footwear
    """
    *sources, target = _two_or_more(paths, "cp")
    repo = ctx.open_repository()
    done = taxonomies.copy_classes(repo, sources, target, recursive=recursive, dry_run=dry_run)
    _tell(ctx, done, dry_run)


@app.command("rm")
def remove(
    ctx: Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="classes or taxonomies")],
    *,
    recursive: Annotated[
        bool, typer.Option("-r", "-R", "--recursive", help="and all that lies below")
    ] = False,
    relabel_to: Annotated[
        str | None, typer.Option(metavar="PATH", help="give their labels this class")
    ] = None,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="leave labels that name no living class")
    ] = False,
    dry_run: _DryRun = False,
) -> None:
    """Remove classes or taxonomies.

    A class that labels, negatives or coverage name, or that a task applies to, needs --relabel-to
    or --force. With --relabel-to labels are rewritten, and negatives and coverage of the class go:
    neither is known of the other one. vgr fsck counts labels of removed classes.

    JSON: {"changed": [{"kind": "removed", "from", "to": null}], "labels", "samples"}.

    Example:
      $ vgr taxonomy rm fashion/shoes/clogs --relabel-to fashion/shoes
      $ vgr taxonomy rm -r fashion/bags --force
    """
    if force and relabel_to is not None:
        raise UsageError(
            "--force and --relabel-to exclude each other", hint="vgr taxonomy rm --help"
        )
    done = taxonomies.remove_classes(
        ctx.open_repository(),
        paths,
        recursive=recursive,
        relabel_to=relabel_to,
        force=force,
        dry_run=dry_run,
        progress=ctx.progress("counting"),
    )
    _tell(ctx, done, dry_run, relabeled=relabel_to)


@app.command("merge")
def merge(
    ctx: Context, paths: _Moved, *, counts: _Counts = False, dry_run: _DryRun = False
) -> None:
    """Merge classes into the last one; no label is rewritten.

    What named them means the last one from now on, and their names become its aliases. Classes
    below them move below it, and are merged where it has one of that name. Labels are counted as
    in vgr taxonomy mv.

    JSON: {"changed": [{"kind": "merged" or "moved", "from", "to"}], "labels", "samples"}, null
    where nobody counted.

    Example:
      $ vgr taxonomy merge fashion/trainers fashion/sneakers fashion/shoes
    """
    *sources, target = _two_or_more(paths, "merge")
    done = taxonomies.merge_classes(
        ctx.open_repository(),
        sources,
        target,
        count=_counting(ctx, counts, dry_run),
        dry_run=dry_run,
        progress=ctx.progress("counting"),
    )
    _tell(ctx, done, dry_run)


@app.command("alias")
def alias(
    ctx: Context,
    path: _Path,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="other names of the class")],
    *,
    drop: Annotated[bool, typer.Option("--rm", help="take these aliases away")] = False,
    dry_run: _DryRun = False,
) -> None:
    """Give a class other names, by which labels and imports find it.

    JSON: {"path", "aliases"}.

    Example:
      $ vgr taxonomy alias fashion/shoes/heels pumps stilettos
      $ vgr taxonomy alias fashion/shoes/heels pumps --rm
    """
    repo = ctx.open_repository()
    full, aliases = taxonomies.set_aliases(repo, path, names, drop=drop, dry_run=dry_run)
    if ctx.json:
        ctx.emit({"path": full, "aliases": list(aliases)})
    known = ", ".join(map(quoted, aliases)) or "none"
    ctx.say(f"aliases of {quoted(full)}{' would be' * dry_run}: {known}")


# -- what was done --------------------------------------------------------------------------------

_WOULD = {
    "made": "would make",
    "renamed": "would rename",
    "moved": "would move",
    "copied": "would copy",
    "merged": "would merge",
    "removed": "would remove",
}


def _two_or_more(paths: Sequence[str], verb: str) -> Sequence[str]:
    if len(paths) < 2:
        raise UsageError(
            f"vgr taxonomy {verb} wants a PATH and where it goes", hint=f"vgr taxonomy {verb} A B"
        )
    return paths


def _counting(ctx: Context, counts: bool, dry_run: bool) -> bool | None:
    return True if counts or dry_run or ctx.verbose else None


def _tell(ctx: Context, done: Done, dry_run: bool, *, relabeled: str | None = None) -> None:
    use = done.use
    if ctx.json:
        changed = [
            {"kind": step.kind, "from": step.before, "to": step.after} for step in done.steps
        ]
        labels = {
            "labels": None if use is None else use.labels,
            "samples": None if use is None else use.samples,
        }
        ctx.emit({"changed": changed, **labels})
    for step in done.steps[:_MOST]:
        word = _WOULD[step.kind] if dry_run else step.kind
        paths = " -> ".join(quoted(path) for path in (step.before, step.after) if path is not None)
        below = len(step.nodes) - 1
        more = f" with {counted(below, 'class')} below" if below > 0 else ""
        ctx.say(f"{word} {paths}{more}")
    if len(done.steps) > _MOST:
        ctx.say(f"… and {len(done.steps) - _MOST:,} more")
    if not done.steps:
        ctx.say("nothing to do: all of it is there")
    if use:
        ctx.say(f"{words_of_use(use)}: {_outcome(done, relabeled)}")


def _outcome(done: Done, relabeled: str | None) -> str:
    if relabeled is not None:
        return f"relabeled to {quoted(relabeled)}"
    if any(step.kind == "removed" for step in done.steps):
        return "left without a class"
    return "no sample rewritten"
