"""Where the models of the family tree stand: time from left to right, each family in a lane of its own.

All lengths are in cells: a column is one cell wide, a model one cell high.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.catalog import Catalog, CatalogModel

HEAD_CELLS = 0.55  # the name of a lane, above its models
FOOT_CELLS = 0.2  # what lies between a lane and the next
CROWD = 16  # more models of the same year and depth stand in two columns
TALL_STACK = 2  # a family with more of them stands in both of these, side by side

_Stage = tuple[int, int]
"""Year, and how many models of the same year came before: what decides on the column."""


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A model and its place: `column` counts from the left, `row` from the top."""

    model: CatalogModel
    column: int
    row: float


@dataclass(frozen=True, slots=True)
class TreeLane:
    """The models of one family, from `first_column` to `last_column`, from `top` over `height` cells."""

    family: str
    first_column: int
    last_column: int
    top: float
    height: float


@dataclass(frozen=True, slots=True)
class TreeYear:
    """A year and its columns; a year in which models led to others has several."""

    year: int
    first_column: int
    last_column: int


@dataclass(frozen=True, slots=True)
class TreeLayout:
    """The whole picture. `edges` are pairs of ids, parent and child; a parent always stands left of its child."""

    nodes: tuple[TreeNode, ...]
    lanes: tuple[TreeLane, ...]
    years: tuple[TreeYear, ...]
    edges: tuple[tuple[str, str], ...]
    columns: int
    rows: float


def lay_out(catalog: Catalog) -> TreeLayout:
    """Place all models of a catalogue, whose rows form no circle.

    A family comes after the one it descends from, in the free place nearest to that: lines stay short, and few cross.
    """
    depths = _depths(catalog)
    stages = {model.id: (model.year, depths[model.id]) for model in catalog.models}
    columns = _columns(stages)
    families: dict[str, list[CatalogModel]] = {}
    for model in catalog.models:
        families.setdefault(model.family, []).append(model)
    board = _Board(stages, columns)
    lanes = tuple(board.add(family, families[family]) for family in _family_order(catalog, families))
    return TreeLayout(
        nodes=tuple(TreeNode(model, *board.places[model.id]) for model in catalog.models),
        lanes=lanes,
        years=_years(columns),
        edges=tuple((parent, model.id) for model in catalog.models for parent in model.parents),
        columns=sum(len(places) for places in columns.values()),
        rows=max((lane.top + lane.height for lane in lanes), default=0.0),
    )


def _depths(catalog: Catalog) -> dict[str, int]:
    """How many models of the same year each one descends from, one after the other."""
    depths: dict[str, int] = {}
    waiting = list(catalog.models)
    while waiting:
        later = []
        for model in waiting:
            close = [parent for parent in model.parents if _year(catalog, parent) == model.year]
            if all(parent in depths for parent in close):
                depths[model.id] = max((depths[parent] + 1 for parent in close), default=0)
            else:
                later.append(model)
        waiting = later
    return depths


def _year(catalog: Catalog, model_id: str) -> int | None:
    model = catalog.model(model_id)
    return model.year if model is not None else None


def _columns(stages: Mapping[str, _Stage]) -> dict[_Stage, range]:
    """The columns of each stage, from left to right."""
    counts = Counter(stages.values())
    columns: dict[_Stage, range] = {}
    begin = 0
    for stage in sorted(counts):
        columns[stage] = range(begin, begin + (2 if counts[stage] > CROWD else 1))
        begin = columns[stage].stop
    return columns


def _years(columns: Mapping[_Stage, range]) -> tuple[TreeYear, ...]:
    years: dict[int, TreeYear] = {}
    for (year, _), places in columns.items():
        begin = years[year].first_column if year in years else places.start
        years[year] = TreeYear(year, begin, places.stop - 1)
    return tuple(years.values())


def _family_order(catalog: Catalog, families: dict[str, list[CatalogModel]]) -> list[str]:
    """Each family after the one it descends from first; those with many descendants before the others."""
    came_from = {family: _origin(catalog, family, models) for family, models in families.items()}
    led_to: dict[str, list[str]] = defaultdict(list)
    for family, origin in came_from.items():
        if origin:
            led_to[origin].append(family)

    order: list[str] = []

    def visit(family: str) -> None:
        if family in order:
            return
        order.append(family)
        for child in sorted(led_to[family], key=lambda name: -len(led_to[name])):
            visit(child)

    roots = [family for family, origin in came_from.items() if not origin]
    for family in sorted(roots, key=lambda name: -len(led_to[name])):
        visit(family)
    for family in families:  # families that descend from each other have no root
        visit(family)
    return order


def _origin(catalog: Catalog, family: str, models: Sequence[CatalogModel]) -> str:
    """The other family that the oldest of these descends from; empty when there is none."""
    for model in sorted(models, key=lambda model: model.year):
        for parent_id in model.parents:
            parent = catalog.model(parent_id)
            if parent is not None and parent.family != family:
                return parent.family
    return ""


class _Board:
    """Takes lanes one after the other; `places` are the column and row of each model so far."""

    def __init__(self, stages: Mapping[str, _Stage], columns: Mapping[_Stage, range]) -> None:
        self.places: dict[str, tuple[int, float]] = {}
        self._stages = stages
        self._columns = columns
        self._taken: dict[int, list[tuple[float, float]]] = defaultdict(list)

    def add(self, family: str, models: Sequence[CatalogModel]) -> TreeLane:
        """Find a free place for a lane, and fill it."""
        origins = [row for model in models for row in self._parent_rows(model)]
        lanes = [self._best_lane(family, cells, origins) for cells in self._arrangements(models)]
        _, lane, cells = min(lanes, key=lambda found: found[0])
        for model_id, (column, row) in cells.items():
            self.places[model_id] = (column, lane.top + HEAD_CELLS + row)
        for column in range(lane.first_column, lane.last_column + 1):
            self._taken[column].append((lane.top, lane.top + lane.height + FOOT_CELLS))
        return lane

    def _arrangements(self, models: Sequence[CatalogModel]) -> list[dict[str, tuple[int, int]]]:
        """How the models can stand inside their lane: small stacks left or right where a stage has two columns."""
        stacks: dict[_Stage, list[CatalogModel]] = defaultdict(list)
        for model in models:
            stacks[self._stages[model.id]].append(model)
        for stack in stacks.values():
            stack.sort(key=lambda model: _mean(self._parent_rows(model)))
        found = []
        for side in (0, -1):
            cells = {}
            for stage, stack in stacks.items():
                columns = self._columns[stage]
                used = columns if len(stack) > TALL_STACK else (columns[side],)
                for place, model in enumerate(stack):
                    cells[model.id] = (used[place % len(used)], place // len(used))
            found.append(cells)
        return found

    def _best_lane(
        self, family: str, cells: dict[str, tuple[int, int]], origins: Sequence[float]
    ) -> tuple[float, TreeLane, dict[str, tuple[int, int]]]:
        """The lane in its best place, after how far that is from the wished one."""
        columns = [column for column, _ in cells.values()]
        first, last = min(columns), max(columns)
        height = HEAD_CELLS + 1 + max(row for _, row in cells.values())
        wished = max(0.0, _mean(origins) - height / 2)
        taken = [span for column in range(first, last + 1) for span in self._taken[column]]
        top = _free_top(wished, height + FOOT_CELLS, taken)
        return abs(top - wished), TreeLane(family, first, last, top, height), cells

    def _parent_rows(self, model: CatalogModel) -> list[float]:
        return [self.places[parent][1] for parent in model.parents if parent in self.places]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _free_top(wished: float, height: float, used: Sequence[tuple[float, float]]) -> float:
    """The place nearest to `wished` where `height` cells meet none of the spans that are used."""
    tops = []
    free_from = 0.0
    for begin, end in sorted(used):
        if begin - free_from >= height:
            tops.append(min(max(wished, free_from), begin - height))
        free_from = max(free_from, end)
    tops.append(max(wished, free_from))
    return min(tops, key=lambda top: abs(top - wished))
