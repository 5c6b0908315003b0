"""In a graph nothing covers anything, and whatever a stage needs is a line to it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cicdctl.server.charts.cards import Card, Cell, Node
from cicdctl.server.charts.graph import Picture, lay_out


def cell(id: str, note: str = "1.2s") -> Cell:
    return Cell(id=id, label=id, look="ok", icon="check", says="passed", note=note, href=f"/r/1?stage={id}")


def node(name: str, *needs: str, cells: int = 1) -> Node:
    ids = [name] if cells == 1 else [f"{name}[{number}]" for number in range(cells)]
    return Node(name=name, needs=needs, cells=tuple(map(cell, ids)))


@st.composite
def pipelines(draw) -> list[Node]:
    """Stages in an order in which each follows what it needs; some are a matrix, many need the same."""
    nodes: list[Node] = []
    for number in range(draw(st.integers(0, 30))):
        before = [one.name for one in nodes]
        needs = draw(st.lists(st.sampled_from(before), max_size=4, unique=True)) if before else []
        nodes.append(node(f"s{number}", *needs, cells=draw(st.sampled_from([1, 1, 1, 1, 2, 13, 60]))))
    return nodes


@settings(max_examples=60, deadline=None)
@given(pipelines())
def test_nothing_overlaps_and_every_need_is_drawn(nodes):
    picture = lay_out(nodes)
    has_every_cell(picture, nodes)
    has_every_need(picture, nodes)
    is_apart(picture)
    for line in picture.lines:
        runs_free(picture, line)


def has_every_cell(picture: Picture, nodes: list[Node]) -> None:
    shown = [place.cell.id for card in picture.cards for place in card.places]
    assert sorted(shown) == sorted(one.id for node in nodes for one in node.cells)
    for card in picture.cards:
        assert card.x >= 0 and card.x + card.width <= picture.width + 0.2
        assert card.y >= -0.1 and card.y + card.height <= picture.height + 0.2
        boxes = [(place.x, place.y, place.width, place.height) for place in card.places]
        for at, (x, y, width, height) in enumerate(boxes):
            assert x >= 0 and x + width <= card.width + 0.2 and y >= 0 and y + height <= card.height + 0.2
            assert not any(overlap(boxes[at], other) for other in boxes[at + 1 :])


def has_every_need(picture: Picture, nodes: list[Node]) -> None:
    home = {name: at for at, card in enumerate(picture.cards) for name in card.names}
    wanted = {(home[need], home[node.name]) for node in nodes for need in node.needs}
    assert sorted((line.source, line.target) for line in picture.lines) == sorted(wanted)


def is_apart(picture: Picture) -> None:
    boxes = [(card.x, card.y, card.width, card.height) for card in picture.cards]
    for at, box in enumerate(boxes):
        assert not any(overlap(box, other) for other in boxes[at + 1 :])


def runs_free(picture: Picture, line) -> None:
    """Its ends are at its cards, it goes from left to right, and passes above or below of every other card."""
    source, target = picture.cards[line.source], picture.cards[line.target]
    assert line.points[0][0] == source.x + source.width and source.y < line.points[0][1] < source.y + source.height
    assert line.points[-1][0] == target.x and target.y < line.points[-1][1] < target.y + target.height
    for (x, y), (to_x, to_y) in zip(line.points, line.points[1:], strict=False):
        assert x <= to_x
        swept = (x, min(y, to_y), to_x - x, abs(to_y - y))
        assert not any(meets(swept, card) for card in picture.cards), (line, swept)


def overlap(one, other) -> bool:
    return (
        one[0] < other[0] + other[2] - 0.2
        and other[0] < one[0] + one[2] - 0.2
        and one[1] < other[1] + other[3] - 0.2
        and other[1] < one[1] + one[3] - 0.2
    )


def meets(box, card: Card) -> bool:
    x, y, width, height = box
    return x < card.x + card.width and card.x < x + width and y < card.y + card.height and card.y < y + height


def test_layers_follow_the_longest_path():
    """A stage stands to the right of everything it waits for, however short another way is."""
    picture = lay_out([node("a"), node("b", "a"), node("c", "b"), node("d", "a", "c")])
    left = {card.names[0]: card.x for card in picture.cards}
    assert left["a"] < left["b"] < left["c"] < left["d"]
    passing = next(
        line for line in picture.lines if picture.cards[line.source].names == ("a",) and len(line.points) > 3
    )
    assert "C" in passing.path and "H" in passing.path


def test_matrix_is_one_card_with_a_title():
    picture = lay_out([node("lint"), node("unit", "lint", cells=6), node("ship", "unit")])
    matrix = next(card for card in picture.cards if card.title)
    assert (matrix.title, len(matrix.places)) == ("unit", 6)
    assert len(picture.lines) == 2


def test_many_stages_of_the_same_kind_share_a_card():
    """200 stages that wait for nothing are a field of icons, not a column of 6,000 pixels."""
    names = [f"n{number}" for number in range(199)]
    picture = lay_out([*map(node, names), node("last", *names)])
    assert [len(card.places) for card in picture.cards] == [199, 1]
    assert picture.cards[0].places[0].is_square
    assert picture.height < 400
    assert len(picture.lines) == 1


def test_needs_of_stages_that_are_not_there_are_no_lines():
    """A run of some stages only: what is left out is not drawn."""
    assert lay_out([node("unit", "gone"), node("ship", "unit")]).lines[0].target == 1
    assert lay_out([]).cards == ()


def test_lines_do_not_cross_without_need():
    """What needs a stage above stands above what needs one below, whatever the order in the file."""
    picture = lay_out(
        [node("lint"), node("compile"), node("unit", "lint"), node("ship", "unit", "compile"), node("docs", "lint")]
    )
    at = {card.names[0]: card.y for card in picture.cards}
    passing = next(line for line in picture.lines if len(line.points) > 3).points[1][1]
    assert at["unit"] < passing and at["docs"] < passing or at["unit"] > passing and at["docs"] > passing


def test_critical_path_is_marked():
    """Only its own steps, not every line between stages on it."""
    nodes = [node("types"), node("compile", "types"), node("unit", "types", "compile")]
    picture = lay_out(nodes, ["types", "compile", "unit"])
    marked = [
        (picture.cards[line.source].names[0], picture.cards[line.target].names[0])
        for line in picture.lines
        if line.is_critical
    ]
    assert marked == [("types", "compile"), ("compile", "unit")]
