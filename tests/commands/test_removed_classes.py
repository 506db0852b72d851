"""Labels of a class that was removed: people read its last path, programs its id."""

from __future__ import annotations

import json

from sealed_world import World

HAT = "$SAMPLES/clothing/train/hat/00d94e21-5891-492e-be0e-792e7338c077.jpg"


def run(world: World, *lines: str) -> str:
    told = [world.run(line) for line in lines]
    assert [result.code for result in told] == [0] * len(told), told[-1].text
    return told[-1].out


def test_people_read_the_last_path(world: World) -> None:
    run(
        world,
        "vgr init -q",
        f"cp {HAT} 1.jpg",
        "vgr add -q .",
        "vgr task add -q what",
        "vgr taxonomy mkdir -q -p what/hat/cap what/hat/beret",
        "vgr label -q 1.jpg what=hat",
        "vgr commit -q -m base",
        "vgr switch -q -c ben",
        "vgr taxonomy rm -q what/hat/cap what/hat/beret",
        "vgr commit -q -m 'neither'",
        "vgr switch -q main",
        "vgr label -q 1.jpg what=hat/cap",
        "vgr negatives -q 1.jpg what=hat/beret",
        "vgr commit -q -m 'a cap'",
        "vgr merge -q ben",
    )
    assert "  what = hat/cap (removed) (human, accepted)" in run(world, "vgr show 1.jpg")
    assert "what=hat/cap (removed)" in run(world, "vgr blame 1.jpg")
    assert run(world, "vgr negatives 1.jpg") == "1.jpg: what=hat/beret (removed)\n"
    run(world, "vgr label -q 1.jpg what=hat")
    assert "what hat/cap (removed) → hat" in run(world, "vgr diff")
    said = json.loads(run(world, "vgr show --json HEAD:1.jpg"))["labels"][0]
    assert said["node"]
    assert "removed" not in json.dumps(said)
