"""The checks of generative models: a faulty loop, which is named first, and its twin, of which nothing is said."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import seewhy
from seewhy.diagnosis import network

PIXELS, LATENTS, ROWS = 16, 4, 64


@pytest.fixture(autouse=True)
def probes_do_not_depend_on_the_clock(monkeypatch):
    monkeypatch.setattr(network, "SHARE", math.inf)


def images():
    """Two factors, seen through a fixed map, and a little noise."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(2048, 2, generator=generator)
    x = torch.tanh(factors @ torch.randn(2, PIXELS, generator=generator))
    return x + 0.05 * torch.randn(x.shape, generator=generator)


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(PIXELS, 32), nn.Tanh(), nn.Linear(32, 2 * LATENTS))
        self.decoder = nn.Sequential(nn.Linear(LATENTS, 32), nn.Tanh(), nn.Linear(32, PIXELS))

    def forward(self, x):
        mean, log_std = self.encoder(x).chunk(2, 1)
        return self.decoder(mean + log_std.exp() * torch.randn_like(mean)), mean, log_std


def train_vae(beta):
    torch.manual_seed(0)
    x, model = images(), VAE()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    with seewhy.watch(model, optimizer, tell=None) as why:
        for _ in range(300):
            batch = x[torch.randint(len(x), (ROWS,))]
            made, mean, log_std = model(batch)
            rate = 0.5 * (mean.square() + (2 * log_std).exp() - 2 * log_std - 1).sum(1).mean()
            loss = 5 * (made - batch).square().sum(1).mean() + beta * rate
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            why.observe(loss=loss)
    assert not why.error, why.error
    return why


def train_gan(g_rate, d_rate, make=lambda made: made):
    torch.manual_seed(0)
    x = images()
    G = nn.Sequential(nn.Linear(LATENTS, 32), nn.ReLU(), nn.Linear(32, PIXELS), nn.Tanh())
    D = nn.Sequential(nn.Linear(PIXELS, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
    opt_g, opt_d = torch.optim.Adam(G.parameters(), g_rate), torch.optim.Adam(D.parameters(), d_rate)
    ones, zeros = torch.ones(ROWS, 1), torch.zeros(ROWS, 1)
    with seewhy.watch(G, opt_g, tell=None, discriminator=D, d_optimizer=opt_d) as why:
        for _ in range(420):
            made = G(make(torch.randn(ROWS, LATENTS)))
            scores = D(torch.cat([x[torch.randint(len(x), (ROWS,))], made.detach()]))
            opt_d.zero_grad()
            F.binary_cross_entropy_with_logits(scores, torch.cat([ones, zeros])).backward()
            opt_d.step()
            opt_g.zero_grad()
            F.binary_cross_entropy_with_logits(D(made), ones).backward()
            opt_g.step()
    assert not why.error, why.error
    return why


def few(noise):
    """Return noise of which there are four different rows only."""
    return noise[:4].repeat(len(noise) // 4, 1)


PAIRS = {
    "posterior_collapse": (lambda: train_vae(50.0), lambda: train_vae(1.0)),
    "mode_collapse": (lambda: train_gan(1e-3, 1e-3, few), lambda: train_gan(1e-3, 1e-3)),
    "discriminator_wins": (lambda: train_gan(1e-5, 3e-3), lambda: train_gan(1e-3, 1e-3)),
}


@pytest.mark.parametrize("code", PAIRS)
def test_the_fault_is_named_first_and_its_twin_not_at_all(code):
    faulty, healthy = PAIRS[code]
    why = faulty()
    assert [finding.code for finding in why.findings][:1] == [code], str(why)
    twin = healthy()
    assert [str(found) for found in twin.findings] == []
    assert next(check for check in twin.checks if check.code == code).status == "passed"
