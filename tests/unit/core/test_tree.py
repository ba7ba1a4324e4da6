import pytest

from app.core.messages import ConversationId, Message, MessageId, Role, TextPart
from app.core.tree import MessageTree, VersionPosition


def message(name: str, parent: str | None, role: Role = Role.USER) -> Message:
    parent_id = MessageId(parent) if parent else None
    return Message(MessageId(name), ConversationId("c"), parent_id, role, (TextPart(name),))


def ids(tree: MessageTree) -> list[str]:
    return [m.id for m in tree.active_path()]


@pytest.fixture
def tree() -> MessageTree:
    """q1 — a1 — q2 — a2, and a second answer b1 to q1 with q3 after it."""
    chain = [("q1", None), ("a1", "q1"), ("q2", "a1"), ("a2", "q2"), ("b1", "q1"), ("q3", "b1")]
    return MessageTree(message(name, parent) for name, parent in chain)


def test_an_empty_tree_has_an_empty_path() -> None:
    assert MessageTree().active_path() == []
    assert MessageTree().active_leaf_id is None


def test_the_newest_message_is_on_screen(tree: MessageTree) -> None:
    assert ids(tree) == ["q1", "b1", "q3"]


def test_the_stored_leaf_is_on_screen(tree: MessageTree) -> None:
    again = MessageTree(
        [tree[MessageId(x)] for x in ("q1", "a1", "q2", "a2", "b1", "q3")], active_leaf_id=MessageId("a2")
    )
    assert ids(again) == ["q1", "a1", "q2", "a2"]


def test_a_leaf_that_does_not_exist_is_ignored(tree: MessageTree) -> None:
    assert ids(MessageTree([tree[MessageId("q1")]], MessageId("gone"))) == ["q1"]


def test_versions_count_siblings(tree: MessageTree) -> None:
    assert tree.versions(MessageId("a1")) == VersionPosition(0, 2)
    assert tree.versions(MessageId("b1")) == VersionPosition(1, 2)
    assert tree.versions(MessageId("q1")) == VersionPosition(0, 1)


def test_selecting_a_version_goes_down_to_its_newest_leaf(tree: MessageTree) -> None:
    assert tree.select_version(MessageId("b1"), -1)
    assert ids(tree) == ["q1", "a1", "q2", "a2"]
    assert tree.select_version(MessageId("a1"), 1)
    assert ids(tree) == ["q1", "b1", "q3"]


def test_there_is_no_version_beyond_the_ends(tree: MessageTree) -> None:
    assert not tree.select_version(MessageId("b1"), 1)
    assert not tree.select_version(MessageId("a1"), -1)
    assert ids(tree) == ["q1", "b1", "q3"]


def test_the_first_message_can_have_versions_too(tree: MessageTree) -> None:
    tree.add(message("other", None))
    assert ids(tree) == ["other"]
    assert tree.versions(MessageId("other")) == VersionPosition(1, 2)


def test_wrong_messages_are_refused(tree: MessageTree) -> None:
    with pytest.raises(ValueError, match="already"):
        tree.add(message("q1", None))
    with pytest.raises(ValueError, match="not in the tree"):
        tree.add(message("x", "nobody"))
    with pytest.raises(ValueError, match="parent"):
        tree.replace(message("a1", None))


def test_replacing_keeps_the_place(tree: MessageTree) -> None:
    changed = tree[MessageId("b1")].with_text("other words", reasoning="because")
    tree.replace(changed)
    assert tree[MessageId("b1")].text == "other words"
    assert tree[MessageId("b1")].reasoning == "because"
    assert ids(tree) == ["q1", "b1", "q3"]


def test_ten_thousand_messages_in_one_line_do_not_recurse() -> None:
    chain = MessageTree()
    for n in range(10_000):
        chain.add(message(str(n), str(n - 1) if n else None))
    assert len(chain.active_path()) == 10_000
    assert chain.newest_leaf_under(MessageId("0")) == "9999"
