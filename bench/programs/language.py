"""Steps of transformers that predict the next token, and answers to one input at a time."""

from .row import Row, training, under_autocast
from .small import LENET, PERCEPTRON

GPT = """
class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x, past=None):
        b, t, c = x.shape
        q, k, v = (
            p.view(b, t, self.heads, -1).transpose(1, 2)
            for p in self.qkv(self.norm1(x)).split(c, 2)
        )
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=past is None)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.mlp(self.norm2(x))

class GPT(nn.Module):
    def __init__(self, kinds, layers, width, heads, context):
        super().__init__()
        self.tokens, self.places = nn.Embedding(kinds, width), nn.Embedding(context, width)
        self.layers = nn.ModuleList([Layer(width, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, kinds, bias=False)

    def forward(self, x, pasts=None):
        first = 0 if pasts is None else pasts[0][0].size(2)
        x = self.tokens(x) + self.places(torch.arange(first, first + x.size(1)))
        for i, layer in enumerate(self.layers):
            x = layer(x, None if pasts is None else pasts[i])
        return self.head(self.norm(x))
"""

GPT_STEP = """
model = GPT(65, {layers}, {width}, {heads}, {context})
x, y = torch.randint(0, 65, ({batch}, {context})), torch.randint(0, 65, ({batch}, {context}))

def loss():
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())
"""

# One token after 127 others, whose keys and values are kept.
DECODE = """
model = GPT(65, 4, 128, 4, 128).eval()
token = torch.randint(0, 65, (1, 1))
pasts = [torch.randn(2, 1, 4, 127, 32).unbind(0) for _ in range(4)]

@torch.no_grad()
def answer():
    return model(token, pasts)
"""

ANSWER = """
model.eval()
x = x[:1]

@torch.no_grad()
def answer():
    return model(x)
"""

LENET_INPUT = """
model = LeNet()
x = torch.randn(1, 1, 28, 28)
"""


def rows() -> list[Row]:
    result = []
    for layers, width, heads, context, batch, marks in (
        (4, 128, 4, 64, 12, (1.3, 1.3)),
        (6, 384, 6, 256, 4, (1.4, 2.5)),
    ):
        model = GPT + GPT_STEP
        for key, value in (
            ("layers", layers),
            ("width", width),
            ("heads", heads),
            ("context", context),
            ("batch", batch),
        ):
            model = model.replace(f"{{{key}}}", str(value))
        name = f"GPT {layers} x {width}, T {context}, batch {batch}"
        result.append(training("language", name, model, marks[0]))
        autocast = under_autocast(model)
        result.append(training("language", f"{name}, bfloat16", autocast, marks[1], bf16=True))
    for name, model in (
        ("MLP 784-128-128-10, one input", PERCEPTRON + ANSWER),
        ("LeNet, one input", LENET + LENET_INPUT + ANSWER),
        ("GPT 4 x 128, one token after 127", GPT + DECODE),
    ):
        result.append(Row("inference", name, model, "answer()", 1.3, step=True))
    return result
