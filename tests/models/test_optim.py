"""The optimiser: Muon for hidden kernels, AdamW for the rest."""

from __future__ import annotations

import pytest
import torch
from scanmend_models._train.optim import MuonAdamW, orthogonalised
from torch import nn


class Tiny(nn.Module):
    """A head, two hidden kernels, a gain and a tail."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.m_head = nn.Conv2d(8, 8, 1)
        self.body = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1, bias=False))
        self.tail = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.tail(self.body(self.m_head(self.head(x)).relu()))
        return y


def learn(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    generator = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(steps):
        x = torch.rand(4, 3, 12, 12, generator=generator)
        loss = (network(x) - 2 * x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("shape", [(4, 16, 144), (2, 96, 24), (1, 8, 8)])
def test_orthogonalised_matrices_have_singular_values_of_about_one(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-4

    values = torch.linalg.svdvals(orthogonalised(matrices))

    assert values.shape == (shape[0], min(shape[1:]))
    assert values.median() > 0.6
    assert values.max() < 1.3


def test_the_directions_of_a_matrix_are_kept() -> None:
    matrix = torch.randn(1, 6, 20, generator=torch.Generator().manual_seed(2))
    left, _, right = torch.linalg.svd(matrix[0], full_matrices=False)

    cosines = (left.T @ orthogonalised(matrix)[0] @ right.T).diagonal()

    assert cosines.min() > 0.3


def test_ends_gains_and_offsets_go_to_adamw_and_hidden_kernels_to_muon() -> None:
    network = Tiny()
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    muon, adamw = MuonAdamW(network, 0.02, 1e-3).param_groups

    assert {names[id(p)] for p in muon["params"]} == {"body.0.weight", "body.1.weight"}
    assert "body.0.bias" in {names[id(p)] for p in adamw["params"]}
    assert len(muon["params"]) + len(adamw["params"]) == len(names)


def test_a_network_without_hidden_kernels_learns_as_with_torch_s_adamw() -> None:
    ours, theirs = (nn.Sequential() for _ in range(2))
    for network in (ours, theirs):
        torch.manual_seed(0)
        network.add_module("head", nn.Conv2d(3, 3, 3, padding=1))

    first = learn(ours, MuonAdamW(ours, 0.02, 1e-3), 20)
    other = learn(theirs, torch.optim.AdamW(theirs.parameters(), 1e-3, (0.9, 0.99), weight_decay=0), 20)

    assert first == pytest.approx(other, rel=1e-4)


def test_it_learns() -> None:
    network = Tiny()
    losses = learn(network, MuonAdamW(network, 0.02, 4e-3), 80)

    assert losses[-1] < losses[0] / 10


def test_pace_scales_both_rates() -> None:
    optimizer = MuonAdamW(Tiny(), 0.02, 1e-3)
    optimizer.pace(0.5)
    optimizer.pace(0.25)

    assert [group["lr"] for group in optimizer.param_groups] == [0.005, 0.00025]


def test_a_kept_state_goes_on_as_if_nothing_had_been() -> None:
    through, broken = Tiny(), Tiny()
    whole = MuonAdamW(through, 0.02, 1e-3)
    learn(through, whole, 6)
    before = MuonAdamW(broken, 0.02, 1e-3)
    learn(broken, before, 6)
    after = MuonAdamW(broken, 0.02, 1e-3)
    after.load_state_dict(before.state_dict())

    assert learn(through, whole, 4) == learn(broken, after, 4)


def test_a_closure_is_refused() -> None:
    with pytest.raises(TypeError, match="closure"):
        MuonAdamW(Tiny(), 0.02, 1e-3).step(lambda: 0.0)
