"""Who may import whom, and what a pure package may not do: the table of DESIGN.md, read off the source with `ast`.

Every import counts: lazy ones inside functions, ones under TYPE_CHECKING, relative ones and `import_module("literal")`.
A new package without a row fails. Exceptions stand in one short table with their reasons. The mutants at the end prove
that each rule can fail.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forecast.spend.focus import COLUMNS

ROOT = Path(__file__).resolve().parents[1]
PURE = frozenset({"spend", "paths", "snapshot", "evaluation", "forecasters", "budgets", "anomalies", "scenarios", "company", "alerts"})
"""Packages that compute, `errors` aside; `workflows` is as pure and may import all of them."""


@dataclass(frozen=True)
class Row:
    """What one package may import besides `errors`, itself and the standard library. "*" is all of `forecast`."""

    internal: frozenset[str]
    third_party: frozenset[str]
    pure: bool = False


def row(internal: str = "", third_party: str = "", *, pure: bool = False) -> Row:
    return Row(frozenset(internal.split()), frozenset(third_party.split()), pure)


_ALL_PURE = " ".join(sorted(PURE))

TABLE: dict[str, Row] = {
    "forecast": row("*", pure=True),
    "errors": row(pure=True),
    "config": row("", "pydantic pydantic_settings"),
    "spend": row("", "numpy pandas", pure=True),
    "paths": row("", "numpy pandas", pure=True),
    "snapshot": row("spend paths", "numpy pandas", pure=True),
    "evaluation": row("spend paths", "numpy pandas scipy", pure=True),
    "forecasters": row("spend paths evaluation", "numpy pandas scipy sklearn statsmodels lightgbm holidays", pure=True),
    "budgets": row("spend paths", "numpy pandas scipy sklearn", pure=True),
    "anomalies": row("spend paths", "numpy pandas scipy sklearn", pure=True),
    "scenarios": row("spend paths", "numpy pandas scipy sklearn yaml", pure=True),
    "company": row("spend", "numpy pandas", pure=True),
    "alerts": row(pure=True),
    "workflows": row(_ALL_PURE, "numpy pandas", pure=True),
    "adapters": row(_ALL_PURE, "numpy pandas pyarrow deltalake duckdb sqlalchemy alembic filelock openpyxl matplotlib lightgbm httpx watchfiles"),
    "serving": row(f"{_ALL_PURE} workflows adapters config", "numpy pandas bentoml pydantic starlette fastapi prometheus_client"),
    "training": row("*", "numpy pandas mlflow matplotlib"),
    "cli": row("*", "numpy pandas typer rich"),
}
"""The same table as in DESIGN.md. `commands/` is the command line too: it has the row of `cli`."""

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("config", "forecast.spend"): "the default leaf dimensions are the field's, and settings only name them",
}
"""(module or package, imported package) → why."""

_OUTSIDE_WORLD = """
    os io socket logging time random secrets uuid pathlib tempfile shutil glob subprocess urllib http ssl sqlite3 threading
    multiprocessing asyncio platform getpass
"""
FORBIDDEN_IN_PURE = frozenset(_OUTSIDE_WORLD.split())
NEVER = frozenset({"pickle", "cloudpickle", "dill", "shelve", "marshal"})
"""No pickle anywhere: an artifact is data, not code."""

TRAINING_COMMANDS = frozenset({"forecast.commands.models"})
"""Modules of the command line whose functions may import `training`."""

TRACKING = "training.tracking"
FOCUS_HOME = "forecast.spend.focus"
FOCUS_NAMES = re.compile(r"\b(" + "|".join(column.name for column in COLUMNS if column.name != "Tags") + r")\b")
"""`Tags` is an English word too, so it is looked for as a whole string only."""

CLOCKS = frozenset({"now", "today", "utcnow"})
RANDOM_TYPES = frozenset({"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937"})
FILE_CALLS = frozenset({"open", "input", "print", "exec", "eval", "__import__"})
_FILE_METHODS = "fromfile tofile memmap save savez savez_compressed load loadtxt savetxt"
FILE_METHODS = re.compile(rf"^(read_(csv|parquet|json|excel|sql|table|pickle|feather|orc)|{'|'.join(_FILE_METHODS.split())})$")
LIBRARY_ROOTS = frozenset({"np", "numpy", "pd", "pandas"})


def check_source(source: str, module: str) -> list[str]:
    """Broken rules in one module, as sentences; empty where all is well. `module` is its dotted name."""
    tree = ast.parse(source)
    package = package_of(module)
    rules = TABLE.get(package)
    if rules is None:
        return [f"{module}: package {package!r} has no row in the import table"]
    found = [problem for name, node, inside in imports(tree, module) for problem in _check_import(name, node.lineno, inside, module, package, rules)]
    found += _check_focus_names(tree, module)
    found += _check_pickles(tree, module)
    if rules.pure:
        found += _check_purity(tree, module)
    return found


def package_of(module: str) -> str:
    """Row name of a module: `forecast.spend.scope` → spend, `forecast.commands.budget` → cli, `training.train` → training."""
    parts = module.split(".")
    if parts[0] == "training":
        return "training"
    if len(parts) == 1:
        return "forecast"
    return "cli" if parts[1] == "commands" else parts[1]


def imports(tree: ast.AST, module: str) -> Iterator[tuple[str, ast.stmt | ast.expr, bool]]:
    """(dotted name, node, whether inside a function) of every import, `from x import y` as x.y."""
    lazy = {id(child) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node, id(node) in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *([node.module] if node.module else [])])
            yield from ((f"{base}.{alias.name}", node, id(node) in lazy) for alias in node.names)
        elif isinstance(node, ast.Call) and _name(node.func).endswith("import_module") and node.args and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value), node, id(node) in lazy


def _check_import(name: str, line: int, inside: bool, module: str, package: str, rules: Row) -> Iterator[str]:
    top, where = name.split(".")[0], f"{module}:{line}"
    if top in NEVER:
        yield f"{where}: imports {top}; artifacts are data, not code"
    elif top == "mlflow" and module != TRACKING:
        yield f"{where}: imports mlflow; only {TRACKING} may"
    elif top == "training" and package == "cli":
        if not inside or module not in TRAINING_COMMANDS:
            yield f"{where}: imports training outside a command that trains"
    elif top == "training" and package != "training":
        yield f"{where}: imports training"
    elif top == "forecast":
        target = package_of(name)
        allowed = {"errors", package} | rules.internal
        if "*" not in allowed and target not in allowed and not _excepted(module, package, f"forecast.{target}"):
            yield f"{where}: {package} may not import forecast.{target}"
    elif top in sys.stdlib_module_names:
        if rules.pure and top in FORBIDDEN_IN_PURE and not _excepted(module, package, top):
            yield f"{where}: a pure package may not import {top}"
    elif top not in rules.third_party and top != "training" and not _excepted(module, package, top):
        yield f"{where}: {package} may not import {top}"


def _excepted(module: str, package: str, target: str) -> bool:
    return (module, target) in EXCEPTIONS or (package, target) in EXCEPTIONS


def _check_focus_names(tree: ast.AST, module: str) -> Iterator[str]:
    if module == FOCUS_HOME or _excepted(module, package_of(module), "FOCUS names"):
        return
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            match = FOCUS_NAMES.search(node.value)
            if match or node.value == "Tags":
                yield f"{module}:{node.lineno}: writes the FOCUS column name {match[0] if match else 'Tags'}; it belongs to {FOCUS_HOME}"


def _check_pickles(tree: ast.AST, module: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if name in {"joblib.load", "joblib.dump", "pd.read_pickle", "pandas.read_pickle"} or name.endswith(".to_pickle"):
                yield f"{module}:{node.lineno}: calls {name}; artifacts are data, not code"
            if any(
                keyword.arg == "allow_pickle" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
                for keyword in node.keywords
            ):
                yield f"{module}:{node.lineno}: allows pickles in {name}"


def _check_purity(tree: ast.AST, module: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"{module}:{node.lineno}: has global state ({', '.join(node.names)})"
        if isinstance(node, ast.Attribute) and _name(node.value) in {"np.random", "numpy.random"} and node.attr not in RANDOM_TYPES:
            yield f"{module}:{node.lineno}: uses the global random state np.random.{node.attr}"
        if not isinstance(node, ast.Call):
            continue
        name = _name(node.func)
        last = name.rsplit(".", 1)[-1]
        if name in FILE_CALLS:
            yield f"{module}:{node.lineno}: calls {name}()"
        if last in CLOCKS and name.split(".")[0] in {"datetime", "date", "dt", "pd", "pandas"} | {"Timestamp"}:
            yield f"{module}:{node.lineno}: reads the clock with {name}()"
        if last == "fromtimestamp" and len(node.args) + len(node.keywords) < 2:
            yield f"{module}:{node.lineno}: reads the machine's time zone with {name}()"
        if name.split(".")[0] in LIBRARY_ROOTS and FILE_METHODS.match(last):
            yield f"{module}:{node.lineno}: touches a file with {name}()"
        if last == "default_rng" and not node.args and not node.keywords:
            yield f"{module}:{node.lineno}: draws a seed from the machine with {name}()"


def _name(node: ast.expr) -> str:
    """Dotted name of an expression such as `np.random.seed`; "" where it is not one."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _name(node.value)
        return f"{base}.{node.attr}" if base else node.attr
    return ""


def modules() -> list[tuple[str, Path]]:
    found = [*(ROOT / "src").rglob("*.py"), *(ROOT / "training").rglob("*.py")]
    return sorted((_module_name(path), path) for path in found)


def _module_name(path: Path) -> str:
    relative = path.relative_to(ROOT / "src" if (ROOT / "src") in path.parents else ROOT).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__")


@pytest.mark.parametrize(("module", "path"), modules(), ids=[name for name, _ in modules()])
def test_module_keeps_the_import_rules(module: str, path: Path) -> None:
    assert check_source(path.read_text(encoding="utf-8"), module) == []


def test_every_row_of_the_table_is_a_package_or_module_of_the_design() -> None:
    known = {package_of(name) for name, _ in modules()}
    assert set(TABLE) <= known


def test_every_exception_is_still_needed() -> None:
    needless = []
    for (who, target), reason in EXCEPTIONS.items():
        assert reason
        sources = [(name, path) for name, path in modules() if who in {name, package_of(name)}]
        if target == "FOCUS names":
            used = any(FOCUS_NAMES.search(path.read_text(encoding="utf-8")) for _, path in sources)
        else:
            found = [imported for name, path in sources for imported, _, _ in imports(ast.parse(path.read_text(encoding="utf-8")), name)]
            used = any(f"{imported}.".startswith(f"{target}.") for imported in found)
        if not used:
            needless.append((who, target))
    assert needless == []


def test_models_folder_holds_no_python() -> None:
    assert list((ROOT / "models").rglob("*.py")) == []


MUTANTS: list[tuple[str, str, str]] = [
    ("forecast.alarms.new", "", "no row"),
    ("forecast.spend.bad", "from forecast.budgets.budget import Budget", "spend may not import forecast.budgets"),
    ("forecast.spend.bad", "from forecast import snapshot", "spend may not import forecast.snapshot"),
    ("forecast.spend.bad", "from ..budgets import budget", "spend may not import forecast.budgets"),
    ("forecast.evaluation.bad", "def f():\n    from forecast.forecasters import base", "evaluation may not import forecast.forecasters"),
    ("forecast.paths", "import importlib\nimportlib.import_module('forecast.snapshot')", "paths may not import forecast.snapshot"),
    ("forecast.budgets.bad", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import duckdb", "budgets may not import duckdb"),
    ("forecast.spend.bad", "import scipy.stats", "spend may not import scipy"),
    ("forecast.workflows.bad", "from forecast.adapters import ledger", "workflows may not import forecast.adapters"),
    ("forecast.workflows.bad", "import sqlalchemy", "workflows may not import sqlalchemy"),
    ("forecast.adapters.bad", "import bentoml", "adapters may not import bentoml"),
    ("forecast.adapters.bad", "from forecast.config import load_settings", "adapters may not import forecast.config"),
    ("forecast.serving.bad", "from training.train import train", "imports training"),
    ("forecast.serving.bad", "import typer", "serving may not import typer"),
    ("forecast.commands.models", "from training.train import train", "outside a command that trains"),
    ("forecast.commands.budget", "def f():\n    import training.train", "outside a command that trains"),
    ("forecast.commands.models", "def f():\n    import mlflow", "only training.tracking may"),
    ("training.train", "import mlflow.sklearn", "only training.tracking may"),
    ("forecast.cli", "import duckdb", "cli may not import duckdb"),
    ("forecast.adapters.bad", "import pickle", "data, not code"),
    ("forecast.adapters.bad", "import numpy as np\nnp.load('x.npy', allow_pickle=True)", "allows pickles"),
    ("training.bad", "def f(joblib):\n    joblib.load('x')", "data, not code"),
    ("forecast.adapters.bad", "column = 'BilledCost'", "FOCUS column name BilledCost"),
    ("forecast.adapters.bad", "sql = f'select sum(EffectiveCost) from {1}'", "FOCUS column name EffectiveCost"),
    ("forecast.serving.bad", "row['Tags']", "FOCUS column name Tags"),
    *[("forecast.scenarios.bad", f"import {name}", f"may not import {name}") for name in ("os", "io", "socket", "logging", "time", "random")],
    ("forecast.spend.bad", "import os.path", "may not import os"),
    ("forecast.spend.bad", "from datetime import datetime\ndatetime.now()", "reads the clock"),
    ("forecast.spend.bad", "from datetime import date\ndate.today()", "reads the clock"),
    ("forecast.spend.bad", "import datetime\ndatetime.datetime.utcnow()", "reads the clock"),
    ("forecast.spend.bad", "import pandas as pd\npd.Timestamp.now()", "reads the clock"),
    ("forecast.spend.bad", "from datetime import datetime\ndatetime.fromtimestamp(0)", "time zone"),
    ("forecast.spend.bad", "open('bill.csv')", "calls open"),
    ("forecast.spend.bad", "print('seen')", "calls print"),
    ("forecast.spend.bad", "import pandas as pd\npd.read_csv('bill.csv')", "touches a file"),
    ("forecast.spend.bad", "import numpy as np\nnp.save('x', 1)", "touches a file"),
    ("forecast.company.bad", "import numpy as np\nnp.random.seed(1)", "global random state"),
    ("forecast.company.bad", "import numpy as np\nnp.random.normal()", "global random state"),
    ("forecast.company.bad", "import numpy as np\nnp.random.default_rng()", "draws a seed from the machine"),
    ("forecast.company.bad", "count = 0\ndef f():\n    global count\n    count += 1", "global state"),
]


@pytest.mark.parametrize(("module", "source", "problem"), MUTANTS, ids=[f"{module}: {problem}" for module, _, problem in MUTANTS])
def test_checker_catches_the_mutant(module: str, source: str, problem: str) -> None:
    assert any(problem in found for found in check_source(source, module))


CLEAN: list[tuple[str, str]] = [
    ("forecast.spend.good", "import math, re\nimport numpy as np\nfrom forecast.errors import InputError\nfrom forecast.spend.scope import Scope"),
    ("forecast.company.good", "import numpy as np\nnp.random.default_rng(7).normal()"),
    ("forecast.spend.good", '"""EffectiveCost is explained here."""'),
    ("forecast.commands.models", "def f():\n    from training.train import train"),
    ("training.tracking", "import mlflow"),
    ("forecast.adapters.good", "import os, time\nfrom forecast.snapshot import Snapshot\nimport duckdb"),
]


@pytest.mark.parametrize(("module", "source"), CLEAN)
def test_checker_lets_good_code_pass(module: str, source: str) -> None:
    assert check_source(source, module) == []
