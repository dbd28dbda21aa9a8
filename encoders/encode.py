"""The encoder as the rest of the house uses it: recordings in, calibrated probabilities, embedding and tokens out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from encoders.calibrate import Calibration
from encoders.clean import MODEL_FS_HZ, clean
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import ArtefactError
from encoders.files import file_sha256
from encoders.fusion import FUSED_READINGS, Fusion, load_fusions, measured_row
from encoders.leadsets import ALL_LEADS, needed_set, with_limb_leads

if TYPE_CHECKING:
    from encoders.measurements import Measurements
    from encoders.network import EncoderNetwork

__all__ = ["WEIGHTS", "Encoder", "Encoding", "prepare", "save_encoder"]

WEIGHTS = Path(__file__).with_name("weights")
#: Samples that the network sees at most: 10 s at 100 Hz; longer recordings are read from their start.
N_SAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Encoding:
    """What the encoder says of one recording.

    ``probabilities`` float32 (71,), calibrated; ``logits`` float32 (71,), the network's own; ``embedding`` float32 (256,) of
    unit length; ``tokens`` float32 (16, 256), in order of time. ``lead_set``: name of the set of leads it was read from
    (``encoders.leadsets``).
    """

    probabilities: NDArray[np.float32]
    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    tokens: NDArray[np.float32]
    lead_set: str = ALL_LEADS


def prepare(ecg: ECG) -> NDArray[np.float32]:
    """Cleaned leads at 100 Hz, first 10 s, in mV: (12, 1000). Rows outside the recording's set of leads and missing time are 0.

    Missing limb leads are computed first. Raises RecordingError where the recording contains no calibrated set of leads.
    """
    chosen = needed_set(ecg.leads)
    out = np.zeros((12, N_SAMPLES), np.float32)
    if ecg.n_samples:
        span = int(round(N_SAMPLES / MODEL_FS_HZ * ecg.fs_hz))
        signal = with_limb_leads(ecg).select(chosen.leads).signal_mv[:, :span]
        cleaned = clean(signal, ecg.fs_hz)[:, :N_SAMPLES]
        # Beyond ±10 mV nothing is an ECG; a bound keeps a wrong gain from overflowing the network.
        for row, lead in enumerate(chosen.leads):
            out[STANDARD_LEADS.index(lead), : cleaned.shape[1]] = np.clip(cleaned[row], -10, 10)
    return out


class Encoder:
    """The trained network with its calibration. Loads once; not safe for use from several threads at a time."""

    def __init__(
        self, network: EncoderNetwork, calibration: Calibration, digest: str, fusions: Mapping[str, Fusion] | None = None
    ) -> None:
        self.network = network.eval()
        self.calibration = calibration
        self._fusions = fusions
        #: SHA-256 of the weights file: what every artefact made with this encoder names.
        self.hash = digest

    @classmethod
    def load(cls, path: str | Path | None = None, *, calibrated: bool = True) -> Encoder:
        """The encoder in ``path`` (a folder with encoder.*, fusion.* and calibration.json); built-in by default.

        Without ``calibrated`` only the network is read: such an encoder is there to be calibrated, its probabilities are those
        of the bare logits.
        """
        from safetensors.torch import load_file

        from encoders.network import EncoderConfig, EncoderNetwork

        folder = Path(path) if path is not None else WEIGHTS
        file = folder / "encoder.safetensors"
        if not file.exists():
            raise ArtefactError("The encoder weights are missing (encoder.safetensors); reinstall or run `ecg-assistant train`.")
        digest = file_sha256(file)
        card = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
        if card["sha256"] != digest:
            raise ArtefactError("The encoder weights differ from their card (sha256); reinstall or train again.")
        network = EncoderNetwork(EncoderConfig.from_json(card["network"]))
        network.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in load_file(file).items()})
        if not calibrated:
            return cls(network, Calibration.identity(digest), digest)
        return cls(network, Calibration.load(folder / "calibration.json", digest), digest, load_fusions(folder, digest))

    @cached_property
    def _running(self) -> EncoderNetwork:
        """The network as it runs fastest; made when the first recording is read (0.1 s)."""
        from encoders.folded import folded

        return folded(self.network)

    def fused(self) -> Mapping[str, Fusion]:
        """What joins the network with measurements, by set of leads. Raises ArtefactError where the encoder was loaded without
        calibration."""
        if self._fusions is None:
            raise ArtefactError("The encoder was loaded without the weights of the measurements; load it calibrated.")
        return self._fusions

    def encode(self, ecgs: Sequence[ECG], batch: int = 32) -> list[Encoding]:
        """One Encoding per recording, in order, each read from the largest set of leads that it contains.

        Raises RecordingError where one contains none.
        """
        names = [needed_set(ecg.leads).name for ecg in ecgs]
        return self.encode_arrays(np.stack([prepare(ecg) for ecg in ecgs]), batch, names) if ecgs else []

    def with_measurements(
        self, encoding: Encoding, measurements: Measurements, age_years: float | None, sex: str | None
    ) -> Encoding:
        """The same with the probabilities that network and measurements give together (``encoders.fusion``).

        Raises ArtefactError where the encoder was loaded without calibration.
        """
        scores = self.joined_scores(encoding, measurements, age_years, sex)
        return replace(encoding, probabilities=self.calibration.apply(scores, FUSED_READINGS[encoding.lead_set]))

    def joined_scores(
        self, encoding: Encoding, measurements: Measurements, age_years: float | None, sex: str | None
    ) -> NDArray[np.float32]:
        """Scores (71,) of network and measurements together, before calibration."""
        row = measured_row(measurements, age_years, sex)
        return np.asarray(self.fused()[encoding.lead_set].apply(encoding.logits[None], row[None])[0])

    def encode_arrays(
        self, signals_mv: NDArray[np.floating], batch: int = 32, lead_sets: str | Sequence[str] = ALL_LEADS
    ) -> list[Encoding]:
        """The same from prepared arrays (records, 12, 1000) in mV, rows outside their set of leads silent already.

        ``lead_sets``: name of the set that all were read from, or of each recording's.
        """
        import torch

        names = [lead_sets] * len(signals_mv) if isinstance(lead_sets, str) else list(lead_sets)
        out: list[Encoding] = []
        with torch.inference_mode():
            for start in range(0, len(signals_mv), batch):
                x = torch.from_numpy(np.asarray(signals_mv[start : start + batch], dtype=np.float32))
                logits, embeddings, tokens = (t.numpy() for t in self._running.encode(x))
                part = names[start : start + batch]
                probabilities = self.calibration.apply(logits, part)
                out += [Encoding(probabilities[i], logits[i], embeddings[i], tokens[i], part[i]) for i in range(len(logits))]
        return out


def save_encoder(network: EncoderNetwork, folder: Path, card: dict[str, object]) -> str:
    """Writes encoder.safetensors (half precision) and encoder.json; returns the hash. Calibration is fitted after it."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    save_file(tensors, folder / "encoder.safetensors")
    digest = file_sha256(folder / "encoder.safetensors")
    text = json.dumps({"sha256": digest, "network": asdict(network.config), **card}, indent=1)
    (folder / "encoder.json").write_text(text + "\n", encoding="utf-8")
    return digest
