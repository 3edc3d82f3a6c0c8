"""8-bit weights with 16-bit activations."""

from __future__ import annotations

import numpy as np

from clearport.base import Graph
from clearport.graph import nodes as graphs
from clearport.quantize import qdq, scheme, weight_only, wide
from clearport.quantize.weights import arrays as weights


def output(graph: Graph, model: object, image: np.ndarray) -> np.ndarray:
    (found,) = graphs.session(model).run(None, {graph.input.name: image})
    return found.astype(np.float64)


def test_weights_are_those_of_float_activations_which_all_but_vanish(chain: Graph, photos: list[np.ndarray]) -> None:
    made, alone = wide.quantize(chain, photos), weight_only.quantize(chain, photos)
    image = photos[1][None, 8:24, 12:28].transpose(0, 3, 1, 2).astype(np.float32)
    wanted = output(chain, chain.model, image)
    errors = [np.square(output(chain, model, image) - wanted).mean() for model in (qdq.to_qdq(made), alone.graph.model)]
    assert 0 < errors[0] < 1.1 * errors[1]


def test_biases_of_large_layers_cost_no_weight_a_bit(chain: Graph, photos: list[np.ndarray]) -> None:
    """On the finer grid of 16-bit inputs a bias has 257 times as many steps."""
    made = wide.quantize(chain, photos)
    for node in weights.convolutions(made.graph):
        weight, params = graphs.need_constant(node, 1), made.table[graphs.name_of(graphs.need(node, 1))]
        levels = np.abs(scheme.to_integers(weight, params).astype(int))
        assert levels.reshape(levels.shape[0], -1).max() == 127


def test_values_beyond_the_calibration_range_are_not_clipped(chain: Graph, photos: list[np.ndarray]) -> None:
    dim = [(photo // 2).astype(np.uint8) for photo in photos]
    made = wide.quantize(chain, dim)
    image = photos[1][None, 8:24, 12:28].transpose(0, 3, 1, 2).astype(np.float32)
    wanted = output(chain, chain.model, image)
    off = output(chain, qdq.to_qdq(made), image) - wanted
    assert 10 * np.log10(np.square(wanted).mean() / np.square(off).mean()) > 30
