"""Optimal assignment: the pairs of rows and columns whose scores sum highest.

Pairs below the threshold are forbidden. What is left falls into groups that share no row and no
column; a group of one pair is taken as it is, the others are solved by shortest augmenting paths
(Jonker and Volgenant; O(n³), a vectorised step of O(n) at a time). Equal scores go to the lower
index, and equal input gives equal output on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def assign(scores: NDArray[Any], threshold: float) -> list[tuple[int, int]]:
    """The pairs (row, column), by row, with scores ≥ threshold and the highest sum of scores."""
    import numpy as np

    scores = np.asarray(scores, float)
    if not scores.size:
        return []
    allowed = scores >= threshold
    in_row, in_column = allowed.sum(axis=1), allowed.sum(axis=0)
    rows, columns = np.nonzero(allowed)
    alone = (in_row[rows] == 1) & (in_column[columns] == 1)
    pairs = list(zip(rows[alone].tolist(), columns[alone].tolist(), strict=True))
    left = np.zeros(len(scores), bool)
    left[rows[~alone]] = True
    for group_rows, group_columns in _groups(allowed, left):
        value = np.where(allowed, scores, -np.inf)[np.ix_(group_rows, group_columns)]
        pairs += [
            (int(group_rows[row]), int(group_columns[column])) for row, column in _solve(value)
        ]
    return sorted(pairs)


def _groups(allowed: NDArray[Any], left: NDArray[Any]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """The connected groups of the rows that are left, as (rows, columns), both rising."""
    import numpy as np

    groups = []
    while left.any():
        rows = np.zeros(len(left), bool)
        front = np.array([left.argmax()])
        columns = np.zeros(allowed.shape[1], bool)
        while len(front):
            rows[front] = True
            fresh = allowed[front].any(axis=0) & ~columns
            columns |= fresh
            front = np.flatnonzero(allowed[:, fresh].any(axis=1) & ~rows)
        left = left & ~rows
        groups.append((np.flatnonzero(rows), np.flatnonzero(columns)))
    return groups


def _solve(scores: NDArray[Any]) -> list[tuple[int, int]]:
    """The best pairs of one group; -inf is forbidden, and a row may stay alone."""
    import numpy as np

    rows, columns = scores.shape
    if rows > columns:
        return [(row, column) for column, row in _solve(scores.T)]
    # Staying alone is worth as little as the worst pair forbidden: nothing. Every row gets a
    # column of its own for it, so that each row finds a place and only sums decide.
    worth = np.full((rows, columns + rows), -np.inf)
    worth[:, :columns] = scores
    worth[np.arange(rows), columns + np.arange(rows)] = 0.0
    cost = -worth
    column_of = _shortest_paths(cost)
    return [(row, int(column)) for row, column in enumerate(column_of) if column < columns]


def _shortest_paths(cost: NDArray[Any]) -> NDArray[Any]:
    """The column of each row in the cheapest full assignment; rows ≤ columns, inf is forbidden."""
    import numpy as np

    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    column_of, row_of = np.full(rows, -1), np.full(columns, -1)
    for start in range(rows):
        distance = np.full(columns, np.inf)
        came_from = np.full(columns, -1)
        done = np.zeros(columns, bool)
        seen = [start]
        row, lowest = start, 0.0
        while True:
            step = lowest + cost[row] - row_price[row] - column_price
            nearer = (step < distance) & ~done
            distance[nearer] = step[nearer]
            came_from[nearer] = row
            open_distance = np.where(done, np.inf, distance)
            lowest = float(open_distance.min())
            ties = np.flatnonzero(open_distance == lowest)
            free = ties[row_of[ties] < 0]  # a free column ends the path: rows keep their order
            column = int(free[0] if len(free) else ties[0])
            done[column] = True
            if row_of[column] < 0:
                break
            row = int(row_of[column])
            seen.append(row)
        row_price[start] += lowest
        others = seen[1:]
        row_price[others] += lowest - distance[column_of[others]]
        column_price[done] -= lowest - distance[done]
        while True:
            row = int(came_from[column])
            row_of[column] = row
            column_of[row], column = column, column_of[row]
            if row == start:
                break
    return column_of
