"""Jobs below one another in a list: every job once, below its parent if that is there."""

from iris.cli.trees import in_trees
from iris.rpc import iris_pb2 as pb


def jobs(*paths: str) -> list[pb.Job]:
    """Jobs that came one after the other."""
    order = sorted(paths, key=lambda path: (path.count("/"), path))
    return [pb.Job(id=path, submitted_at_ms=order.index(path)) for path in paths]


def test_the_newest_tree_comes_first_and_in_a_tree_what_was_submitted_first() -> None:
    found = jobs("/a/x/k", "/a/y", "/a/x", "/a/y/m/n", "/a/y/m", "/a/y/l")
    labels = [line.label for line in in_trees(found, ())]
    assert labels == ["/a/y", "  l", "  m", "    n", "/a/x", "  k"]
    assert all(line.matches for line in in_trees(found, ()))


def test_a_job_whose_parent_is_not_there_is_a_tree_of_its_own() -> None:
    lines = in_trees(jobs("/a/gone/k/l", "/a/gone/k"), ())
    assert [(line.label, line.indent) for line in lines] == [("/a/gone/k", 0), ("  l", 1)]


def test_what_is_above_is_shown_and_told_apart() -> None:
    lines = in_trees(jobs("/a/x/k"), jobs("/a/x"))
    assert [(line.label, line.told()) for line in lines] == [
        ("/a/x", {"matches": False}),
        ("  k", {"matches": True}),
    ]
