"""PTB-XL as a training and evaluation set (Wagner et al. 2020, doi:10.1038/s41597-020-0495-6, CC BY 4.0)."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import wfdb
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.clean import clean
from encoders.errors import RecordingError
from encoders.vocabulary import CODES

__all__ = ["PtbXl", "load_ptbxl"]

SEXES = {0: "M", 1: "F"}  # PTB-XL's own coding


@dataclass(frozen=True)
class PtbXl:
    """Selected folds of PTB-XL.

    ``table`` one row per recording, indexed by ecg_id; ``labels`` uint8 (records, 71), 1 where the code is listed,
    whatever its likelihood; ``likelihoods`` float32 (records, 71), NaN where the code is not listed.
    """

    folder: Path
    table: pd.DataFrame
    labels: NDArray[np.uint8]
    likelihoods: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ids(self) -> NDArray[np.int64]:
        return self.table.index.to_numpy()

    @property
    def patients(self) -> NDArray[np.int64]:
        return self.table["patient_id"].to_numpy().astype(np.int64)

    @property
    def folds(self) -> NDArray[np.int64]:
        return self.table["strat_fold"].to_numpy().astype(np.int64)

    @property
    def ages(self) -> NDArray[np.float64]:
        """Years, NaN where unknown; what the set masks (300: 90 or older) counts as 90."""
        years = self.table["age"].to_numpy(float)
        return np.where(years > 130, 90.0, years)

    def path(self, ecg_id: int) -> Path:
        return self.folder / str(self.table.at[ecg_id, "filename_lr"])

    def take(self, keep: NDArray[np.bool_]) -> PtbXl:
        """The same set, only the rows where ``keep`` is true."""
        return PtbXl(self.folder, self.table[keep], self.labels[keep], self.likelihoods[keep])

    def signals(self, cache: Path | None = None) -> NDArray[np.float16]:
        """Cleaned 100 Hz signals, float16 (records, 12, 1000) in mV; kept in ``cache`` (safe to delete) where given."""
        if cache is not None:
            file = cache / f"ptbxl-{len(self)}-{int(self.ids[0])}-{int(self.ids[-1])}-{int(self.ids.sum())}.npy"
            if file.exists():
                kept: NDArray[np.float16] = np.load(file, mmap_mode="r")
                return kept
        out = np.zeros((len(self), 12, 1000), np.float16)
        for row, ecg_id in enumerate(tqdm(self.ids, desc="reading PTB-XL", unit="rec", disable=None)):
            physical, _ = wfdb.rdsamp(str(self.path(int(ecg_id))))
            out[row] = clean(physical.T.astype(np.float32), 100.0)
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)
            with open(file.with_suffix(".part"), "wb") as handle:
                np.save(handle, out)
            file.with_suffix(".part").rename(file)
        return out


def load_ptbxl(folder: str | Path, folds: tuple[int, ...] | None = None) -> PtbXl:
    """PTB-XL from its own folder (``ptbxl_database.csv`` beside ``records100``); ``folds`` 1-10, all where None."""
    folder = Path(folder)
    file = folder / "ptbxl_database.csv"
    if not file.exists():
        raise RecordingError(f"There is no ptbxl_database.csv in {folder.name!r}; give the folder of an unpacked PTB-XL.")
    table = pd.read_csv(file, index_col="ecg_id")
    if folds is not None:
        table = table[table["strat_fold"].isin(folds)]
    column = {code: i for i, code in enumerate(CODES)}
    likelihoods = np.full((len(table), len(CODES)), np.nan, np.float32)
    for row, text in enumerate(table["scp_codes"]):
        for code, value in ast.literal_eval(text).items():
            if code in column:
                likelihoods[row, column[code]] = value
    return PtbXl(folder, table, (~np.isnan(likelihoods)).astype(np.uint8), likelihoods)


