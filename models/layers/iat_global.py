"""The global branch of IAT: one gamma and one color matrix per picture, by attention (arXiv 2205.14871).

Ten learned queries attend to all tokens, one per 4x4 pixels. Queries do not depend on the picture, so the key
projection is applied to them instead of the tokens, and the value projection to the ten weighted sums of each head
instead of the tokens: q·(K·x) = (Kᵀ·q)·x, and Σ w·(V·x) = V·(Σ w·x). This is equivalent and cheaper.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

_WIDTH = 64
_HEADS = 4
_QUERIES = 10  # one for gamma, nine for the matrix


class Attention(nn.Module):
    """Tokens (B, N, 64) to ten answers (B, 10, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.q = nn.Parameter(torch.ones(1, _QUERIES, _WIDTH))
        self.k = nn.Linear(_WIDTH, _WIDTH, bias=False)
        self.v = nn.Linear(_WIDTH, _WIDTH, bias=False)
        self.proj = nn.Linear(_WIDTH, _WIDTH)
        nn.init.zeros_(self.v.weight)  # initially no correction

    def questions(self) -> torch.Tensor:
        """(64, heads * queries): the matrix from tokens to attention logits."""
        size = _WIDTH // _HEADS
        queries = self.q[0].view(_QUERIES, _HEADS, size).transpose(0, 1)  # (heads, queries, size)
        keys = self.k.weight.view(_HEADS, size, _WIDTH)
        questions: torch.Tensor = queries @ keys * size**-0.5
        return questions.flatten(0, 1).T

    def values(self) -> torch.Tensor:
        """(heads, 64, size): the value projection of each head."""
        return self.v.weight.view(_HEADS, _WIDTH // _HEADS, _WIDTH).transpose(1, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return attend(tokens, self.questions(), self.values(), self.proj)


class PlainAttention(nn.Module):
    """``Attention`` with its two products of weights precomputed."""

    questions: torch.Tensor
    values: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("questions", torch.zeros(_WIDTH, _HEADS * _QUERIES))
        self.register_buffer("values", torch.zeros(_HEADS, _WIDTH, _WIDTH // _HEADS))
        self.proj = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return attend(tokens, self.questions, self.values, self.proj)


def attend(tokens: torch.Tensor, questions: torch.Tensor, values: torch.Tensor, proj: nn.Linear) -> torch.Tensor:
    """Ten answers (B, 10, 64) from tokens (B, N, 64)."""
    batch = tokens.shape[0]
    shares = (tokens @ questions).transpose(1, 2).softmax(dim=-1)  # (B, heads * queries, N)
    sums = (shares @ tokens).view(batch, _HEADS, _QUERIES, _WIDTH)
    answers = (sums @ values).transpose(1, 2).reshape(batch, _QUERIES, _WIDTH)
    projected: torch.Tensor = proj(answers)
    return projected


class Global(nn.Module):
    """RGB image (B, 3, H, W) in 0..1 to gamma (B, 1, 1, 1) and a color matrix (B, 3, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma_base = nn.Parameter(torch.ones(1))
        self.color_base = nn.Parameter(torch.eye(3))
        self.first = nn.Conv2d(3, _WIDTH // 2, 3, stride=2, padding=1)
        self.norm_first: nn.Module = nn.BatchNorm2d(_WIDTH // 2)
        self.second = nn.Conv2d(_WIDTH // 2, _WIDTH, 3, stride=2, padding=1)
        self.norm_second: nn.Module = nn.BatchNorm2d(_WIDTH)
        self.near = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, groups=_WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.attention: nn.Module = Attention()
        self.expand, self.reduce = nn.Linear(_WIDTH, 4 * _WIDTH), nn.Linear(4 * _WIDTH, _WIDTH)
        self.gamma, self.color = nn.Linear(_WIDTH, 1), nn.Linear(_WIDTH, 1)
        for linear in (self.gamma, self.color):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = F.gelu(self.norm_first(self.first(image)))
        features = self.norm_second(self.second(features))
        tokens = (features + self.near(features)).flatten(2).transpose(1, 2)  # (B, N, 64)
        answers = self.attention(self.norm1(tokens))
        answers = answers + self.reduce(F.gelu(self.expand(self.norm2(answers))))
        gamma = self.gamma(answers[:, :1]) + self.gamma_base
        color = self.color(answers[:, 1:]).view(-1, 3, 3) + self.color_base
        return gamma[..., None], color

    @torch.no_grad()
    def deploy(self) -> Global:
        """The equivalent branch with precomputed products of the attention's weights."""
        plain = Global()
        assert isinstance(self.attention, Attention)
        worked_out = PlainAttention()
        plain.load_state_dict(self.state_dict())
        worked_out.questions.copy_(self.attention.questions())
        worked_out.values.copy_(self.attention.values())
        worked_out.proj.load_state_dict(self.attention.proj.state_dict())
        plain.attention = worked_out
        return plain
