"""The finest series that the truth is kept for: a leaf, split by AI model; and which of them a scope contains."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast.company.span import Booleans
from forecast.errors import InputError
from forecast.spend.scope import Scope, unknown_value

KEY_COLUMNS = ("provider", "service", "team", "stage", "workload", "project", "region", "ai_model", "charge_category")


def require_known(scope: Scope, keys: pd.DataFrame) -> None:
    """UnknownScopeError where a scope names a value that no row of `keys` has; a value that was misspelt would else be nothing."""
    for clause in scope.clauses:
        if clause.dimension in keys.columns:
            known = sorted(set(keys[clause.dimension].astype(str)))
            for value in clause.values:
                if value not in known:
                    raise unknown_value(clause.dimension, value, known)


def selected(scope: Scope, keys: pd.DataFrame) -> Booleans:
    """Which rows of `keys` a scope contains, (n,). InputError where it names a dimension that keys do not have."""
    found = np.ones(len(keys), dtype=np.bool_)
    for clause in scope.clauses:
        if clause.dimension not in keys.columns:
            kept = ", ".join(keys.columns)
            raise InputError(
                f"scope {str(scope)!r} cannot be answered from the known truth: {clause.dimension!r} is not kept; allowed are {kept}",
                field="scope",
                got=clause.dimension,
                allowed=kept,
            )
        found &= keys[clause.dimension].isin(list(clause.values)).to_numpy(dtype=np.bool_) != clause.exclude
    return found
