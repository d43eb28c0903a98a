"""Steps of small networks: perceptrons, LeNet, an autoencoder, recurrent and graph networks."""

from .row import CLASSIFY, OPTIMIZERS, Row, training

LENET = """
class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.dropout(x.flatten(1))
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))
"""

TINY = """
model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
x, y = torch.randn(1, 4), torch.randint(0, 2, (1,))
"""

PERCEPTRON = """
model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(),
                      nn.Linear(128, 10))
x, y = torch.randn(64, 784), torch.randint(0, 10, (64,))
"""

LENET_DATA = """
model = LeNet()
x, y = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))
"""

VAE = """
class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 400)
        self.mean, self.log_variance = nn.Linear(400, 20), nn.Linear(400, 20)
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))

    def forward(self, x):
        h = F.relu(self.hidden(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        noise = torch.randn_like(mean)
        return self.decoder(mean + noise * torch.exp(0.5 * log_variance)), mean, log_variance

model = Autoencoder()
x = torch.rand(128, 784)

def loss():
    logits, mean, log_variance = model(x)
    likelihood = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
    return likelihood + divergence
"""

# Characters are predicted from those before: 64 at a time from 32 places of a text of 65 kinds.
RECURRENT = """
class Characters(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(65, 64)
        self.network = nn.{network}(64, 256, num_layers=2)
        self.head = nn.Linear(256, 65)

    def forward(self, x):
        return self.head(self.network(self.table(x))[0]).flatten(0, 1)

model = Characters()
x, y = torch.randint(0, 65, (64, 32)), torch.randint(0, 65, (64 * 32,))
"""

# Two graph convolutions on a graph of the size of Cora, and features as sparse as its words.
GRAPH = """
nodes = 2708
edges = torch.randint(0, nodes, (2, 5278))
loops = torch.arange(nodes).expand(2, nodes)
edges = torch.cat([edges, edges.flip(0), loops], 1)
degrees = torch.zeros(nodes).index_add_(0, edges[0], torch.ones(edges.shape[1]))
weights = (degrees[edges[0]] * degrees[edges[1]]).rsqrt()
adjacency = torch.sparse_coo_tensor(edges, weights, (nodes, nodes), check_invariants=True)
adjacency = adjacency.coalesce()

class GraphNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(1433, 16, bias=False), nn.Linear(16, 7, bias=False)

    def forward(self, x):
        h = F.relu(torch.sparse.mm(adjacency, self.first(F.dropout(x, 0.5))))
        return torch.sparse.mm(adjacency, self.second(F.dropout(h, 0.5)))

model = GraphNetwork()
x = (torch.rand(nodes, 1433) < 0.0127).float()
y, seen = torch.randint(0, 7, (nodes,)), torch.arange(140)

def loss():
    return F.cross_entropy(model(x)[seen], y[seen])
"""


def recurrent_flops(gates: int) -> float:
    """Of a step of two layers of 256 units: three products for each of the forward direction."""
    layers = 2 * 64 * 32 * gates * 256 * ((64 + 256) + (256 + 256))
    return 3.0 * (layers + 2 * 64 * 32 * 256 * 65)


def rows() -> list[Row]:
    result = []
    for name, model, at_least in (
        ("tiny MLP 4-32-2, batch 1", TINY, 8),
        ("MLP 784-128-128-10, batch 64", PERCEPTRON, 3),
        ("LeNet, batch 64", LENET + LENET_DATA, 3),
    ):
        for optimizer in OPTIMIZERS:
            memory = 3 if model.startswith(LENET) else 0
            result.append(
                training(
                    "training",
                    name,
                    model + CLASSIFY,
                    at_least,
                    optimizer,
                    memory_at_least=memory,
                )
            )
    result.append(training("training", "VAE 784-400-20, batch 128", VAE))
    result.append(training("graph", "GCN 1433-16-7, 2708 nodes", GRAPH))
    for network, gates, at_least in (("LSTM", 4, 1.5), ("GRU", 3, 2)):
        model = RECURRENT.replace("{network}", network) + CLASSIFY
        name = f"{network} 2 x 256, 64 steps, batch 32"
        flops = recurrent_flops(gates)
        result.append(training("recurrent", name, model, at_least, flops=flops))
    return result
