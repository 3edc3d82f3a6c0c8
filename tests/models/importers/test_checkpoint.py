"""Weights are found in whatever containers and wrappers they come; what does not fit says what would."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from clearport.errors import BadInput
from clearport.models import weights
from clearport.models.importers.checkpoint import opened
from clearport.models.networks.deraining.prenet import SPEC as PRENET
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.registry import NETWORKS
from tests.models.networks.test_published_sr import PUBLISHED, Published

CONTAINERS = ("state_dict", "model_state_dict", "model", "net", "params", "params_ema", "generator", "netG", "ema")
WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "generator.", "netG.")
OTHERS = {"epoch": 3, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}}


def same(found: torch.nn.Module, network: torch.nn.Module) -> bool:
    state = network.state_dict()
    return all(torch.equal(value, state[key]) for key, value in found.state_dict().items())


def counted(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What thop leaves beside the weights."""
    modules = {key.rpartition(".")[0] for key in state}
    counters = {f"{m}.{name}".lstrip("."): torch.zeros(1) for m in modules for name in ("total_ops", "total_params")}
    return {**state, **counters, "total_ops": torch.zeros(1)}


@settings(max_examples=30, deadline=None)
@given(
    containers=st.lists(st.sampled_from(CONTAINERS), max_size=2),
    wrappers=st.lists(st.sampled_from(WRAPPERS), max_size=3),
    thop=st.booleans(),
    safetensors=st.booleans(),
    half=st.booleans(),
)
def test_any_stack_of_containers_and_wrappers(
    tmp_path_factory: pytest.TempPathFactory,
    containers: list[str],
    wrappers: list[str],
    *,
    thop: bool,
    safetensors: bool,
    half: bool,
) -> None:
    path, network = tmp_path_factory.mktemp("w") / "weights", SPEC.build(3)
    network = network.half().float() if half else network
    state = {"".join(wrappers) + key: v.half() if half else v for key, v in network.state_dict().items()}
    state = counted(state) if thop else state
    if safetensors:
        save_file(state, path)
    else:
        held: dict[str, object] = dict(state)
        for name in containers:
            held = {**OTHERS, name: held}
        torch.save(held, path)
    assert same(weights.load(SPEC, 3, path).module, network)


@pytest.mark.parametrize("published", PUBLISHED, ids=str)
def test_published_weights_are_taken_from_safetensors_and_wrapped(
    shared: Path, published: Published, tmp_path: Path
) -> None:
    file = shared / "weights" / published.file
    if file.suffix == ".pb":
        pytest.skip("a frozen TensorFlow graph has no other form")
    expected = weights.load(published.spec, published.scale, file).module
    state = {key: value.clone().contiguous() for key, value in opened(file).sources[0].named.tensors.items()}
    save_file(state, tmp_path / "a.safetensors")
    torch.save({"netG": {f"module.{k}": v for k, v in state.items()}, "netD": {"w": torch.ones(2)}}, tmp_path / "b.pt")
    for name in ("a.safetensors", "b.pt"):
        assert same(weights.load(published.spec, published.scale, tmp_path / name).module, expected)


def test_ddp_and_compile_as_torch_writes_them(tmp_path: Path) -> None:
    network = SPEC.build(3)
    wrapped = torch.nn.DataParallel(torch.compile(network, backend="eager"))
    torch.save({"model_state_dict": wrapped.state_dict()}, tmp_path / "a.pth")
    assert same(weights.load(SPEC, 3, tmp_path / "a.pth").module, network)
    network.body = torch.nn.DataParallel(network.body)  # a part of it alone
    torch.save(network.state_dict(), tmp_path / "b.pth")
    assert torch.equal(weights.load(SPEC, 3, tmp_path / "b.pth").module.tail.weight, network.tail.weight)
    averaged = torch.optim.swa_utils.AveragedModel(SPEC.build(3))
    torch.save(averaged.state_dict(), tmp_path / "c.pth")
    assert same(weights.load(SPEC, 3, tmp_path / "c.pth").module, averaged.module)


@pytest.mark.parametrize("average", ["params_ema", "ema", "model_ema", "generator_ema"])
def test_the_moving_average_is_preferred_and_reported(average: str, tmp_path: Path) -> None:
    mean, last = SPEC.build(3), SPEC.build(3)
    torch.save({"params": last.state_dict(), average: mean.state_dict()}, tmp_path / "a.pth")
    loaded = weights.load(SPEC, 3, tmp_path / "a.pth")
    assert same(loaded.module, mean)
    assert f"its {average}, preferred to params" in loaded.source


def test_an_average_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    network = SPEC.build(3)
    torch.save({"ema": {"decay": torch.ones(1)}, "model": network.state_dict()}, tmp_path / "a.pth")
    assert same(weights.load(SPEC, 3, tmp_path / "a.pth").module, network)


@pytest.mark.parametrize("prefix", ["student.", "sr_net.module.", "module.backbone.", "a.b.c."])
def test_an_unknown_prefix_is_removed_where_the_remaining_names_match(prefix: str, tmp_path: Path) -> None:
    network = SPEC.build(3)
    state = {f"{prefix}{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": {**state, "discriminator.weight": torch.ones(3)}}, tmp_path / "a.pth")
    assert same(weights.load(SPEC, 3, tmp_path / "a.pth").module, network)


def test_a_torchscript_program_is_not_opened(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.13 calls it deprecated
        torch.jit.save(torch.jit.script(torch.nn.Conv2d(1, 1, 1)), tmp_path / "a.pt")
    with pytest.raises(BadInput, match="a TorchScript program, which is code"):
        weights.load(SPEC, 3, tmp_path / "a.pt")


def test_lightning_has_losses_beside_the_network(tmp_path: Path) -> None:
    network = SPEC.build(3)
    state = {f"model.{k}": v for k, v in network.state_dict().items()} | {"criterion.vgg.weight": torch.ones(3)}
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.5", "callbacks": {}}, tmp_path / "a.ckpt")
    assert same(weights.load(SPEC, 3, tmp_path / "a.ckpt").module, network)


def test_counters_of_batch_norm_may_be_missing_or_too_many(tmp_path: Path) -> None:
    spec = next(
        spec
        for spec in map(NETWORKS.get, NETWORKS.names())
        if any(key.endswith("num_batches_tracked") for key in spec.build(spec.default_scale).state_dict())
    )
    network = spec.build(spec.default_scale)
    old = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "a.pth")
    assert same(weights.load(spec, spec.default_scale, tmp_path / "a.pth").module, network)
    small = SPEC.build(3)
    torch.save({**small.state_dict(), "body.0.num_batches_tracked": torch.tensor(4)}, tmp_path / "b.pth")
    assert same(weights.load(SPEC, 3, tmp_path / "b.pth").module, small)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_that_fit_something_else_say_what(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"

    def write(state: dict[str, torch.Tensor]) -> None:
        save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)

    write(SPEC.build(2).state_dict())
    with pytest.raises(BadInput, match=r"tail.bias is \[12\].*These are weights of ncnet x2: add --scale 2"):
        weights.load(SPEC, 3, path)
    write({f"module.{key}": value for key, value in PRENET.build(1).state_dict().items()})
    with pytest.raises(BadInput, match=r"14 missing.*unknown\)\. They fit pre?net x1"):
        weights.load(SPEC, 3, path)


def test_a_start_goes_through_the_importers(shared: Path) -> None:
    """Names of the authors' file coincide with ours, and meant other layers."""
    path = shared / "weights/ncnet/ncnet_x3_fp32.pth"
    network = SPEC.build(3)
    start = weights.start_from(network, SPEC, 3, path)
    assert same(network, weights.load(SPEC, 3, path).module)
    assert not start.fresh
    assert str(start) == "starts from ncnet_x3_fp32.pth (published state dict): all 14 tensors"


def test_a_start_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"body.0.weight": SPEC.build(3).body[0].weight.data, "odd": torch.ones(2)}, path)
    with pytest.raises(BadInput, match=r"odd is unknown.*add --start-partial"):
        weights.start_from(SPEC.build(3), SPEC, 3, path)
    assert weights.start_from(SPEC.build(3), SPEC, 3, path, partial=True).taken == ("body.0.weight",)
    torch.save(PRENET.build(1).state_dict(), path)
    with pytest.raises(BadInput, match="They fit"):
        weights.start_from(SPEC.build(3), SPEC, 3, path, partial=True)
    weights.save(path, NETWORKS.get("abpn").build(3), "abpn", 3, {})
    with pytest.raises(BadInput, match="weights of abpn; expected those of ncnet"):
        weights.start_from(SPEC.build(3), SPEC, 3, path, partial=True)


@pytest.mark.parametrize("kind", ["sparse", "complex", "meta"])
def test_tensors_of_other_kinds_are_refused(kind: str, tmp_path: Path) -> None:
    state = SPEC.build(3).state_dict()
    bias = state["tail.bias"]
    state["tail.bias"] = {"sparse": bias.to_sparse(), "complex": bias.to(torch.complex64), "meta": bias.to("meta")}[
        kind
    ]
    torch.save({"params": state}, tmp_path / "a.pth")
    with pytest.raises(BadInput, match=r"a\.pth: tail\.bias is sparse, quantized, complex or without data"):
        weights.load(SPEC, 3, tmp_path / "a.pth")


def test_other_content_of_a_pickle_is_named(tmp_path: Path) -> None:
    torch.save({"state_dict": SPEC.build(3).state_dict(), "psnr": np.float64(31.5)}, tmp_path / "a.pth")
    with pytest.raises(BadInput, match=r"more than tensors \(numpy[\w.]*scalar\)"):
        weights.load(SPEC, 3, tmp_path / "a.pth")
