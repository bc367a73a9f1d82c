"""Fields with their exact solutions, and what several test files measure with."""

import gc
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sknode import preset
from sknode.modules import MLPField
from sknode.ode import TABLEAUS
from sknode.ode.field import Dynamics

# Rounded so little that what is computed in two ways can be compared.
CLASSICAL = {**preset("classical"), "dtype": "float64"}


class Exponential(nn.Module):
    """z' = λz, with a rate for each dimension."""

    times = (0.0, 0.4, 1.3)

    def __init__(self, rates: Sequence[float] = (-1.0, 0.5)) -> None:
        super().__init__()
        self.rates = nn.Parameter(torch.tensor(rates, dtype=torch.float64))

    def initial(self) -> Tensor:
        return torch.tensor([[1.0, 2.0], [-0.5, 0.3], [2.0, -1.0]], dtype=torch.float64)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        return self.rates * z

    def exact(self, z0: Tensor, t: Tensor) -> Tensor:
        return z0 * torch.exp(self.rates * (t - t[0]).view(-1, 1, 1))


class Oscillator(nn.Module):
    """q'' = −ω²q as the pair (q, q')."""

    times = (0.0, 1.0, 3.0)

    def __init__(self, frequency: float = 1.7) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.tensor(frequency, dtype=torch.float64))

    def initial(self) -> Tensor:
        return torch.tensor([[1.0, 0.0], [0.3, -1.0]], dtype=torch.float64)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        q, p = z.unbind(-1)
        return torch.stack((p, -(self.frequency**2) * q), -1)

    def exact(self, z0: Tensor, t: Tensor) -> Tensor:
        w, (q, p) = self.frequency, z0.unbind(-1)
        s = (t - t[0]).view(-1, 1)
        cos, sin = torch.cos(w * s), torch.sin(w * s)
        return torch.stack((q * cos + p / w * sin, p * cos - q * w * sin), -1)


class Logistic(nn.Module):
    """z' = rz(1 − z)."""

    # Backwards the row above one blows up at t = -0.96.
    times = (0.0, 0.3, 0.8)

    def __init__(self, rate: float = 1.3) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(rate, dtype=torch.float64))

    def initial(self) -> Tensor:
        return torch.tensor([[0.1], [0.5], [1.4]], dtype=torch.float64)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        return self.rate * z * (1 - z)

    def exact(self, z0: Tensor, t: Tensor) -> Tensor:
        growth = torch.exp(self.rate * (t - t[0])).view(-1, 1, 1)
        return z0 * growth / (1 + z0 * (growth - 1))


class Driven(nn.Module):
    """z' = a·cos(t)·z, which depends on time."""

    times = (0.2, 1.0, 2.5)

    def __init__(self, amplitude: float = 1.2) -> None:
        super().__init__()
        self.amplitude = nn.Parameter(torch.tensor(amplitude, dtype=torch.float64))

    def initial(self) -> Tensor:
        return torch.tensor([[1.0, -0.4], [2.0, 0.7]], dtype=torch.float64)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        return self.amplitude * torch.cos(t) * z

    def exact(self, z0: Tensor, t: Tensor) -> Tensor:
        return z0 * torch.exp(self.amplitude * (torch.sin(t) - torch.sin(t[0]))).view(-1, 1, 1)


class Orbit(nn.Module):
    """A circular orbit, q'' = −q/|q|³, as (q, q')."""

    times = (0.0, 0.7, 1.5)

    def initial(self) -> Tensor:
        return torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=torch.float64)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        q, p = z[..., :2], z[..., 2:]
        return torch.cat((p, -q * q.square().sum(-1, keepdim=True) ** -1.5), -1)

    def exact(self, z0: Tensor, t: Tensor) -> Tensor:
        cos, sin = torch.cos(t - t[0]), torch.sin(t - t[0])
        return torch.stack((cos, sin, -sin, cos), -1).unsqueeze(1)


class LaneEmden(nn.Module):
    """θ'' + 2θ'/x + θᵐ = 0 as the pair (θ, θ'), with θ(0) = 1 and θ'(0) = 0."""

    times = (0.0, 0.5, 2.0)

    def __init__(self, m: int) -> None:
        super().__init__()
        self.m = m

    def initial(self) -> Tensor:
        return torch.tensor([[1.0, 0.0]], dtype=torch.float64)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        theta, slope = z[..., :1], z[..., 1:]
        # At the centre 2θ'/x is 0/0; its limit makes θ'' = −θᵐ/3 there.
        centre = x == 0
        friction = 2 * slope / torch.where(centre, 1.0, x)
        bend = torch.where(centre, -(theta**self.m) / 3, -(theta**self.m) - friction)
        return torch.cat((slope, bend), -1)

    def exact(self, z0: Tensor, x: Tensor) -> Tensor:
        if self.m == 0:
            theta, slope = 1 - x**2 / 6, -x / 3
        elif self.m == 1:
            safe = torch.where(x == 0, 1.0, x)
            theta = torch.where(x == 0, 1.0, torch.sin(safe) / safe)
            slope = torch.where(x == 0, 0.0, (torch.cos(safe) - theta) / safe)
        else:
            assert self.m == 5
            theta = (1 + x**2 / 3) ** -0.5
            slope = -x / 3 * theta**3
        return torch.stack((theta, slope), -1).unsqueeze(1)


PROBLEMS = {
    "exponential": Exponential,
    "oscillator": Oscillator,
    "logistic": Logistic,
    "driven": Driven,
    "orbit": Orbit,
    "lane_emden_0": lambda: LaneEmden(0),
    "lane_emden_1": lambda: LaneEmden(1),
    "lane_emden_5": lambda: LaneEmden(5),
}
ADAPTIVE = tuple(name for name, tableau in TABLEAUS.items() if tableau.adaptive)


class Counted(nn.Module):
    """A field that counts its calls, and hides any closed form."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field
        self.calls = 0

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        self.calls += 1
        return self.field(t, z)


class Weighed(nn.Module):
    """Decay that notes, every so many calls, how many bytes of tensors are alive."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
        self.every, self.calls = every, 0
        self.bytes: list[int] = []

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        if self.calls % self.every == 0:
            self.bytes.append(live_bytes())
        self.calls += 1
        return -self.rate * z


class Blowup(nn.Module):
    """z' = z², whose solution z0/(1 − z0·t) ends at t = 1/z0."""

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        return z**2


class WalledDecay(nn.Module):
    """z' = −az + exp(2000·(0.1 − z)): decay, and a wall that overflows a step far too long.

    Above z = 0.2 the wall is below e⁻²⁰⁰ and the solution the exponential's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
        self.overflowed = False

    def initial(self) -> Tensor:
        return torch.tensor([[1.6], [2.0], [3.0]], dtype=torch.float64)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        dz = -self.rate * z + torch.exp(2000 * (0.1 - z))
        self.overflowed |= not bool(torch.isfinite(dz).all())
        return dz

    def exact(self, z0: Tensor, t: Tensor) -> Tensor:
        return z0 * torch.exp(-self.rate * (t - t[0])).view(-1, 1, 1)


def walled_field() -> MLPField:
    """Return z' = 1 − relu(z) + K·relu(−z − 1) − K·relu(z − 20): relaxation between two walls."""
    field = MLPField(1, (3,), "relu", time_dependent=False).double()
    with torch.no_grad():
        field.layers[0].weight.copy_(torch.tensor([[1.0], [-1.0], [1.0]]))
        field.layers[0].bias.copy_(torch.tensor([0.0, -1.0, -20.0]))
        field.layers[1].weight.copy_(torch.tensor([[-1.0, 1e200, -1e200]], dtype=torch.float64))
        field.layers[1].bias.fill_(1.0)
    return field


class ConvField(nn.Module):
    """A small convolutional field of images, (rows, 2, height, width), with a frozen parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.scale = nn.Parameter(torch.tensor(0.8), requires_grad=False)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        return self.scale * torch.tanh(self.conv(z)) * torch.cos(t)


def times(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def extended(system: Dynamics, z: Tensor, t: float) -> Tensor:
    """Return states as the extended states of a system."""
    x = z.new_empty(system.shape)
    system.enter(z, t, out=x)
    return x


def slope(sizes: Sequence[float], errors: Sequence[float]) -> float:
    """Fit p in error ∝ size^p."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def live_bytes() -> int:
    """Return the bytes of all dense tensors that Python can reach."""
    # Not isinstance: that would ask lazily loaded modules for their class, and so load them.
    tensors = (x for x in gc.get_objects() if issubclass(type(x), Tensor))
    dense = [x.untyped_storage() for x in tensors if x.layout == torch.strided]
    storages = {storage.data_ptr(): storage.nbytes() for storage in dense}
    return sum(storages.values())
