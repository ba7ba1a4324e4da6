from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

from app.core.catalog import Catalog
from app.ui.models.tree_layout import TreeLane, TreeLayout, TreeNode, lay_out


def at(layout: TreeLayout) -> dict[str, TreeNode]:
    return {node.model.id: node for node in layout.nodes}


def test_every_model_has_a_place_of_its_own(catalog: Catalog) -> None:
    layout = lay_out(catalog)
    assert sorted(at(layout)) == sorted(model.id for model in catalog.models)
    columns: dict[int, list[float]] = {}
    for node in layout.nodes:
        columns.setdefault(node.column, []).append(node.row)
    for rows in columns.values():
        rows.sort()
        assert all(lower - upper > 0.999 for upper, lower in pairwise(rows))


def test_time_goes_from_left_to_right(catalog: Catalog) -> None:
    layout = lay_out(catalog)
    places = at(layout)
    assert layout.edges
    assert all(places[parent].column < places[child].column for parent, child in layout.edges)
    assert [year.year for year in layout.years] == sorted({model.year for model in catalog.models})
    of_year = {year.year: range(year.first_column, year.last_column + 1) for year in layout.years}
    assert all(node.column in of_year[node.model.year] for node in layout.nodes)
    assert sum(len(columns) for columns in of_year.values()) == layout.columns


def test_lanes_hold_their_family_and_never_overlap(catalog: Catalog) -> None:
    layout = lay_out(catalog)
    lanes = {lane.family: lane for lane in layout.lanes}
    assert len(lanes) == len(layout.lanes) == len({model.family for model in catalog.models})
    for node in layout.nodes:
        lane = lanes[node.model.family]
        assert lane.first_column <= node.column <= lane.last_column
        assert lane.top <= node.row
        assert node.row + 1 <= lane.top + lane.height + 0.001
    assert not [pair for pair in combinations(layout.lanes, 2) if overlap(*pair)]


def overlap(one: TreeLane, other: TreeLane) -> bool:
    beside = one.last_column < other.first_column or other.last_column < one.first_column
    below = one.top + one.height <= other.top + 0.001 or other.top + other.height <= one.top + 0.001
    return not (beside or below)


def test_a_catalogue_of_one_row_and_families_that_come_from_each_other(catalog: Catalog) -> None:
    a, b, c = (replace(model, parents=(), year=2023) for model in catalog.models[:3])
    alone = lay_out(replace(catalog, models=(a,)))
    assert [(node.column, alone.columns) for node in alone.nodes] == [(0, 1)]
    mixed = (
        replace(a, family="A"),
        replace(b, family="B", parents=(a.id,)),
        replace(c, family="A", parents=(b.id,)),
    )
    places = at(lay_out(replace(catalog, models=mixed)))
    assert [places[model.id].column for model in mixed] == [0, 1, 2]
