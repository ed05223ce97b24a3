"""The run in MLflow: the only module that imports it. Imported late, because that alone takes a second or two.

SQLite store and artifact folder of the home by default; an address of a tracking server when the settings give one. The
records decide what serves; the registry's alias `champion` mirrors them. What is registered is a folder of data, no pickle.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.adapters.folders import canonical
from forecast.config import Settings, hide_password
from forecast.errors import ConfigError, NotFoundError
from training.moved_home import bring_artifacts_home

EXPERIMENT = "spend"
ALIAS = "champion"
ARTIFACT = "forecaster"
MOST_NODES = 300
"""Nodes whose error at each cutoff becomes a metric of the run; all of them are in backtest.json and backtest_rows.csv."""
_BATCH = 1000  # metrics that MLflow takes in one call


@dataclass(frozen=True)
class RunRecord:
    """One training run, as it is to be written down.

    params : plain values. dataset : name, digest and facts of the training data. record, rows, summary, coverage : of the backtest.
    files : file name → content, beside the forecaster's own. artifact : folder of the fitted forecaster.
    """

    params: Mapping[str, Any]
    tags: Mapping[str, str]
    dataset: Mapping[str, Any]
    record: Mapping[str, Any]
    rows: pd.DataFrame
    summary: pd.DataFrame
    coverage: pd.DataFrame
    files: Mapping[str, bytes]
    artifact: Path
    card: str


@dataclass(frozen=True)
class RegisteredVersion:
    name: str
    version: str
    run_id: str


class Tracking:
    """Runs and registered versions at the settings' tracking address. Opening a fresh SQLite store takes a few seconds.

    Raises ConfigError for an address that cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
        quiet()
        import mlflow
        from mlflow.exceptions import MlflowException

        quiet()  # the import sets its own levels

        self._error = MlflowException
        address = settings.tracking_address
        if address.startswith("sqlite:///"):
            Path(address.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        try:
            if settings.mlflow_tracking_uri is None:
                bring_artifacts_home(Path(address.removeprefix("sqlite:///")), settings.tracking_artifacts, EXPERIMENT)
            self._client = mlflow.MlflowClient(tracking_uri=address, registry_uri=address)
            self._experiment = self._experiment_id(settings)
        except Exception as error:  # MLflow, SQLAlchemy and requests raise their own; the address is what they have in common
            raise ConfigError(f"The MLflow tracking store {hide_password(address)} cannot be used: {error}") from error

    def log_run(self, run: RunRecord, *, name: str) -> str:
        """Write a run down; returns its id. A run that fails half way is marked as failed."""
        with self._run(name, run.tags) as run_id:
            self._log_params(run_id, run.params)
            self._log_metrics(run_id, run)
            self._log_dataset(run_id, run.dataset)
            with tempfile.TemporaryDirectory() as folder:
                for file, content in self._files(run).items():
                    (Path(folder) / file).write_bytes(content)
                self._client.log_artifacts(run_id, folder)
            self._client.log_artifacts(run_id, str(run.artifact), ARTIFACT)
            return run_id

    def register(self, run_id: str, *, name: str, card: str, tags: Mapping[str, str]) -> RegisteredVersion:
        """A new version of the registered model `name` that holds the run's forecaster."""
        try:
            self._client.create_registered_model(
                name, description="Forecaster of AI spend. Versions are folders of data: state.json, arrays.npz, texts."
            )
        except self._error as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{self._client.get_run(run_id).info.artifact_uri}/{ARTIFACT}"
        version = self._client.create_model_version(name, source=source, run_id=run_id, tags=dict(tags), description=card)
        return RegisteredVersion(name, str(version.version), run_id)

    def point_champion(self, name: str, version: str) -> None:
        """Set the alias `champion`; NotFoundError where the version is not registered."""
        try:
            self._client.set_registered_model_alias(name, ALIAS, version)
        except self._error as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise NotFoundError(
                f"No model {name} version {version} is registered in MLflow", field="version", got=f"{name}/{version}", allowed="a registered version"
            ) from None

    def champion(self, name: str) -> str | None:
        """The version that the alias points to, None where there is none."""
        try:
            return str(self._client.get_model_version_by_alias(name, ALIAS).version)
        except self._error as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise

    def download(self, name: str, version: str, folder: Path) -> Path:
        """The forecaster's folder of a registered version, copied into `folder`."""
        from mlflow.artifacts import download_artifacts

        source = self._client.get_model_version_download_uri(name, version)
        return Path(download_artifacts(artifact_uri=source, dst_path=str(folder)))

    def _experiment_id(self, settings: Settings) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        # A server has its own place for artifacts; for a local store MLflow would write to ./mlruns of wherever we stand.
        local = settings.mlflow_tracking_uri is None
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=settings.tracking_artifacts.as_uri() if local else None))

    @contextmanager
    def _run(self, name: str, tags: Mapping[str, str]) -> Iterator[str]:
        run_id = str(self._client.create_run(self._experiment, run_name=name, tags=dict(tags)).info.run_id)
        try:
            yield run_id
        except BaseException:
            self._client.set_terminated(run_id, status="FAILED")
            raise
        self._client.set_terminated(run_id)

    def _log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        self._client.log_batch(run_id, params=[Param(name, str(value)) for name, value in params.items()])

    def _log_metrics(self, run_id: str, run: RunRecord) -> None:
        """Metrics by level and days; and, step by step over the cutoffs, the error of each node's total."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = []
        for row in run.summary.to_dict("records"):
            for metric in ("wape", "bias", "coverage_80", "scaled_crps", "skill"):
                if np.isfinite(row[metric]):
                    metrics.append(Metric(metric_name(metric, row["level"], row["days"]), float(row[metric]), now, 0))
        metrics += [Metric(*values) for values in _per_cutoff(run.rows, int(run.record["horizon_days"]))]
        for begin in range(0, len(metrics), _BATCH):
            self._client.log_batch(run_id, metrics=metrics[begin : begin + _BATCH])

    def _log_dataset(self, run_id: str, dataset: Mapping[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        facts = {name: value for name, value in dataset.items() if name not in {"name", "digest"}}
        entity = Dataset(
            name=str(dataset["name"]),
            digest=str(dataset["digest"])[:36],  # MLflow's own limit
            source_type="ledger",
            source=canonical({"digest": dataset["digest"]}).decode(),
            schema=canonical({"columns": ["unique_id", "ds", "y"]}).decode(),
            profile=canonical(facts).decode(),
        )
        self._client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])

    @staticmethod
    def _files(run: RunRecord) -> dict[str, bytes]:
        tables = {"backtest_rows.csv": run.rows, "backtest_summary.csv": run.summary, "coverage.csv": run.coverage}
        return {
            **run.files,
            "card.md": run.card.encode(),
            "backtest.json": canonical(run.record),
            **{name: table.to_csv(index=False).encode() for name, table in tables.items()},
        }


def metric_name(metric: str, place: str, days: int) -> str:
    """A name that MLflow takes (letters, digits, `_-./: `): `wape_28d/team:search`."""
    text = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-./: ") else "_" for letter in place.replace("=", ":"))
    return f"{metric}_{days}d/{text}"[:250]


def _per_cutoff(rows: pd.DataFrame, days: int) -> Iterator[tuple[str, float, int, int]]:
    """(name, |mean − actual| / actual, cutoff in milliseconds, number of the cutoff) of the largest nodes."""
    chosen = rows[(rows["days"] == days) & (rows["level"] != "leaf") & (rows["actual"] != 0)]
    largest = set(chosen.groupby("unique_id")["actual"].sum().abs().nlargest(MOST_NODES).index)
    chosen = chosen[chosen["unique_id"].isin(largest)]
    steps = {cutoff: number for number, cutoff in enumerate(sorted(chosen["cutoff"].unique()))}
    errors = (chosen["mean"] - chosen["actual"]).abs() / chosen["actual"].abs()
    for node, cutoff, error in zip(chosen["unique_id"], chosen["cutoff"], errors, strict=True):
        yield metric_name("error", str(node), days), float(error), int(pd.Timestamp(cutoff).timestamp() * 1000), steps[cutoff]


def quiet() -> None:
    """MLflow talks on its logger while it works; only what goes wrong is worth a line."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # MLflow 3.17 uses a loader strategy that SQLAlchemy 2.1 has marked for removal; nothing that we or the user can change.
    warnings.filterwarnings("ignore", message="The ``noload`` loader strategy is deprecated")
