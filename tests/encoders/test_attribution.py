"""Attribution: it adds up, says nothing of silent leads, and its order beats a random one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from encoders.attribution import attribute_array, faithfulness
from encoders.network import EncoderConfig, EncoderNetwork

TINY = EncoderConfig(complete_only=(False,), stem=8, widths=(8, 8), blocks=1, kernel=3)


def test_attributions_add_up_and_find_what_the_network_looks_at():
    torch.manual_seed(0)
    network = EncoderNetwork(TINY).eval()
    x = np.random.default_rng(0).normal(0, 0.3, (12, 1000)).astype(np.float32)
    values, logit = attribute_array(network, x, 3, steps=64)
    with torch.inference_mode():
        silent = float(network.encode(torch.zeros(1, 12, 1000))[0][0, 3])
    assert values.shape == (12, 1000) and values.sum() == pytest.approx(logit - silent, rel=0.1, abs=0.02)
    x[5] = 0
    assert np.abs(attribute_array(network, x, 3)[0][5]).sum() == 0, "a silent lead says nothing"


def test_a_faithful_order_beats_a_random_one():
    torch.manual_seed(0)
    network = EncoderNetwork(TINY).eval()
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.5, (12, 1000)).astype(np.float32)
    column = 3
    values, logit = attribute_array(network, x, column, steps=16)
    if values.sum() < 0:  # a statement that the recording speaks for
        with torch.no_grad():
            network.towers[0].head.weight.neg_()
        values = -values
    scores = faithfulness(network, x, column, values, rng)
    assert scores["insertion"] > scores["random_insertion"] and scores["deletion"] < scores["random_deletion"]
