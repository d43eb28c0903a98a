"""Steps of networks of images: residual, capsule, adversarial, diffusion, transformer."""

from .row import CLASSIFY, Row, training

RESNET = """
class Block(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x)
        return F.relu(y, inplace=True)

layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
channels = 64
for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
    layers += [Block(channels, width, stride), Block(width, width, 1)]
    channels = width
model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
x, y = torch.randn(16, 3, 32, 32), torch.randint(0, 10, (16,))
"""

# Sabour, Frosst, Hinton (2017): 1152 capsules of 8, routed in three rounds to 10 capsules of 16.
CAPSULES = """
def squash(s):
    square = (s * s).sum(-1, keepdim=True)
    return s * (square / (1 + square) / torch.sqrt(square + 1e-8))

class Capsules(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 256, 9)
        self.primary = nn.Conv2d(256, 256, 9, stride=2)
        self.weight = nn.Parameter(0.01 * torch.randn(1152, 10, 16, 8))

    def forward(self, x):
        u = self.primary(F.relu(self.conv(x)))
        u = squash(u.view(x.size(0), 32, 8, 36).permute(0, 1, 3, 2).reshape(x.size(0), 1152, 8))
        votes = torch.einsum("bni,njoi->bnjo", u, self.weight)
        fixed = votes.detach()
        logits = torch.zeros(x.size(0), 1152, 10)
        for _ in range(2):
            v = squash((F.softmax(logits, -1).unsqueeze(-1) * fixed).sum(1))
            logits = logits + (fixed * v.unsqueeze(1)).sum(-1)
        return squash((F.softmax(logits, -1).unsqueeze(-1) * votes).sum(1)).norm(dim=-1)

model = Capsules()
x, y = torch.rand(8, 1, 28, 28), F.one_hot(torch.randint(0, 10, (8,)), 10).float()

def loss():
    length = model(x)
    present, absent = F.relu(0.9 - length) ** 2, F.relu(length - 0.1) ** 2
    return (y * present + 0.5 * (1 - y) * absent).sum(1).mean()
"""

# Radford, Metz, Chintala (2015) on images of 32 x 32. A step teaches first one, then the other.
DCGAN = """
def up(channels_in, channels, stride, padding):
    return [nn.ConvTranspose2d(channels_in, channels, 4, stride, padding, bias=False),
            nn.BatchNorm2d(channels), nn.ReLU(True)]

def down(channels_in, channels):
    return [nn.Conv2d(channels_in, channels, 4, 2, 1, bias=False), nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.2, True)]

generator = nn.Sequential(
    *up(100, 256, 1, 0), *up(256, 128, 2, 1), *up(128, 64, 2, 1),
    nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())
critic = nn.Sequential(
    nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True), *down(64, 128),
    *down(128, 256), nn.Conv2d(256, 1, 4, 1, 0, bias=False), nn.Flatten(0))
teach_generator = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
teach_critic = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
images, real, fake = torch.rand(32, 3, 32, 32) * 2 - 1, torch.ones(32), torch.zeros(32)

def step():
    made = generator(torch.randn(32, 100, 1, 1))
    teach_critic.zero_grad()
    error = F.binary_cross_entropy_with_logits(critic(images), real)
    error = error + F.binary_cross_entropy_with_logits(critic(made.detach()), fake)
    error.backward()
    teach_critic.step()
    teach_generator.zero_grad()
    missed = F.binary_cross_entropy_with_logits(critic(made), real)
    missed.backward()
    teach_generator.step()
    return error, missed
"""

# A denoiser of images of 28 x 28: residual blocks that know the time, attention at 7 x 7.
DIFFUSION = """
class Block(nn.Module):
    def __init__(self, channels_in, channels):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels_in), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = nn.Linear(128, channels)
        self.skip = nn.Identity()
        if channels_in != channels:
            self.skip = nn.Conv2d(channels_in, channels, 1)

    def forward(self, x, time):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))

class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).view(b, 3, 4, c // 4, h * w).transpose(-1, -2).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(y.transpose(-1, -2).reshape(b, c, h, w))

class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(32, 128), nn.SiLU(), nn.Linear(128, 128))
        self.first = nn.Conv2d(1, 32, 3, padding=1)
        self.down1, self.shrink1 = Block(32, 32), nn.Conv2d(32, 32, 3, 2, 1)
        self.down2, self.shrink2 = Block(32, 64), nn.Conv2d(64, 64, 3, 2, 1)
        self.middle1, self.attention, self.middle2 = Block(64, 128), Attention(128), Block(128, 64)
        self.grow2, self.up2 = nn.Conv2d(64, 64, 3, padding=1), Block(128, 32)
        self.grow1, self.up1 = nn.Conv2d(32, 32, 3, padding=1), Block(64, 32)
        self.norm, self.last = nn.GroupNorm(8, 32), nn.Conv2d(32, 1, 3, padding=1)

    def forward(self, x, t):
        angles = t[:, None] * torch.exp(torch.arange(16) * (-math.log(10000) / 16))
        time = F.silu(self.time(torch.cat([angles.sin(), angles.cos()], 1)))
        x1 = self.down1(self.first(x), time)
        x2 = self.down2(self.shrink1(x1), time)
        h = self.middle1(self.shrink2(x2), time)
        h = self.middle2(self.attention(h), time)
        h = self.grow2(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        h = self.up2(torch.cat([h, x2], 1), time)
        h = self.grow1(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        h = self.up1(torch.cat([h, x1], 1), time)
        return self.last(F.silu(self.norm(h)))

model = Denoiser()
images = torch.rand(16, 1, 28, 28) * 2 - 1
kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)

def loss():
    t, noise = torch.randint(0, 1000, (16,)), torch.randn_like(images)
    share = kept[t][:, None, None, None]
    noisy = share.sqrt() * images + (1 - share).sqrt() * noise
    return F.mse_loss(model(noisy, t.float()), noise)
"""

VIT = """
class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(192), nn.LayerNorm(192)
        self.qkv, self.out = nn.Linear(192, 576), nn.Linear(192, 192)
        self.mlp = nn.Sequential(nn.Linear(192, 768), nn.GELU(), nn.Linear(768, 192))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, 3, 64).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.mlp(self.norm2(x))

class VisionTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 192, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 192))
        self.places = nn.Parameter(0.02 * torch.randn(1, 65, 192))
        self.layers = nn.Sequential(*[Layer() for _ in range(4)])
        self.norm, self.head = nn.LayerNorm(192), nn.Linear(192, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.size(0), -1, -1), x], 1) + self.places
        return self.head(self.norm(self.layers(x))[:, 0])

model = VisionTransformer()
x, y = torch.randn(32, 3, 32, 32), torch.randint(0, 10, (32,))
"""


def rows() -> list[Row]:
    return [
        training("vision", "ResNet-18 on 32 x 32, batch 16", RESNET + CLASSIFY, 1.5, "SGD"),
        training("vision", "ViT 4 x 192 on 32 x 32, batch 32", VIT + CLASSIFY, 1.5),
        training("generation", "diffusion U-Net on 28 x 28, batch 16", DIFFUSION, 1.5),
        Row("generation", "DCGAN on 32 x 32, batch 32, Adam", DCGAN, "step()", 1.5, step=True),
        training("capsules", "capsule network, batch 8", CAPSULES),
    ]
