"""Short-time Fourier transforms."""

from __future__ import annotations

import warnings

from . import _C, fft

Tensor = _C.Tensor


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _centred(window: Tensor, n_fft: int) -> Tensor:
    """The window in the middle of `n_fft` elements."""
    left = (n_fft - len(window)) // 2
    return _C.pad(window, [left, n_fft - len(window) - left])


def _check_window_length(name: str, win_length: int, n_fft: int) -> None:
    if not 0 < win_length <= n_fft:
        raise RuntimeError(
            f"{name}: expected 0 < win_length <= n_fft, but got win_length={win_length}"
        )


def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """Fourier transforms of overlapping frames of a signal.

    Parameters
    ----------
    input
        ``(L,)`` or ``(B, L)``, real or complex.
    n_fft
        Elements of a frame.
    hop_length
        Distance between frames, by default ``n_fft // 4``.
    win_length
        Elements of the window, which stands in the middle of the frame; by default ``n_fft``.
    window
        ``(win_length,)``, by default ones.
    center
        Pad the signal by ``n_fft // 2`` at either end, so that frame t is centred at element
        ``t * hop_length``.
    pad_mode
        How, as :func:`ember.nn.functional.pad` has it.
    normalized
        Divide by the root of ``n_fft``.
    onesided
        Return the first ``n_fft // 2 + 1`` frequencies alone; by default where all is real.
    return_complex
        Return a complex tensor, and not one with a last dim of 2. Must be given for real signals.
    align_to_window
        Let the first window, not the first frame, begin with the signal; without `center` alone.

    Returns
    -------
    Tensor
        ``(B, frequencies, frames)``, without B where the input has none.
    """
    if center and align_to_window is not None:
        raise RuntimeError("stft: align_to_window should only be set when center = false")
    if not input.is_floating_point() and not input.is_complex():
        raise RuntimeError(
            f"stft: expected a tensor of floating point or complex values, got {input.dtype}"
        )
    if input.dim() not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, got shape {_shape(input)}")
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not is_complex:
            raise RuntimeError("stft: requires the return_complex parameter for real inputs")
        return_complex = True
    if center:
        pad = n_fft // 2
        signal = input.reshape([1] * (3 - input.dim()) + list(input.shape))
        signal = _C.pad(signal, [pad, pad], pad_mode)
        input = signal.reshape(signal.shape[3 - input.dim() :])
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    if not 0 < n_fft <= input.shape[-1]:
        raise RuntimeError(f"stft: expected 0 < n_fft < {input.shape[-1]}, but got n_fft={n_fft}")
    if hop_length <= 0:
        raise RuntimeError(f"stft: expected hop_length > 0, but got hop_length={hop_length}")
    _check_window_length("stft", win_length, n_fft)
    if window is not None and _shape(window) != (win_length,):
        raise RuntimeError(
            f"stft: expected a 1D window tensor of size equal to win_length={win_length}, but got "
            f"window with size {_shape(window)}"
        )
    if is_complex and onesided:
        raise RuntimeError("stft: cannot have onesided output if window or input is complex")
    onesided = not is_complex if onesided is None else onesided
    if window is None and win_length < n_fft:
        window = _C.ones(win_length, dtype=input.dtype, device=input.device)
    if win_length < n_fft:
        window = _centred(window, n_fft)
        if align_to_window:
            left = (n_fft - win_length) // 2
            input = _C.pad(input, [left, n_fft - win_length - left])
    frames = input.unfold(-1, n_fft, hop_length)
    if window is not None:
        frames = frames * window
    norm = "ortho" if normalized else "backward"
    transform = fft.rfft if onesided else fft.fft
    result = transform(frames, norm=norm).transpose(-1, -2)
    if return_complex:
        return result
    warnings.warn("stft with return_complex=False is deprecated", stacklevel=2)
    return _C.view_as_real(result)


def _overlapped(frames: Tensor, hop_length: int) -> Tensor:
    """The sum of frames (B, T, N) laid `hop_length` apart: (B, N + hop_length * (T - 1))."""
    batch, count, n = frames.shape
    starts = _C.arange(count, device=frames.device).unsqueeze(1) * hop_length
    places = (starts + _C.arange(n, device=frames.device)).reshape(-1)
    length = n + hop_length * (count - 1)
    out = _C.zeros(batch, length, dtype=frames.dtype, device=frames.device)
    return out.index_add(1, places, frames.reshape(batch, -1))


def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """Inverse of :func:`stft` (D. Griffin and J. Lim, 1984, "Signal estimation from modified
    short-time Fourier transform").

    Parameters are those of :func:`stft`, and:

    Parameters
    ----------
    input
        ``(frequencies, frames)`` or ``(B, frequencies, frames)``, complex.
    length
        Elements of the signal; where the frames give fewer, zeros follow.
    return_complex
        The signal is complex.

    Returns
    -------
    Tensor
        ``(L,)`` or ``(B, L)``. RuntimeError where the windows' squares add up to zero.
    """
    if not input.is_complex():
        raise RuntimeError(
            "istft: requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True"
        )
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    if input.numel() == 0:
        raise RuntimeError("istft: input tensor cannot be empty")
    if input.dim() not in (2, 3):
        raise RuntimeError(f"istft: expected a tensor with 2 or 3 dims, got shape {_shape(input)}")
    size, count = input.shape[-2:]
    onesided = size != n_fft if onesided is None else onesided
    if size != (n_fft // 2 + 1 if onesided else n_fft):
        raise RuntimeError(
            f"istft: expected the frequency dimension of the input to match "
            f"{'n_fft / 2 + 1' if onesided else 'n_fft'} when onesided={onesided}, but got {size}"
        )
    if not 0 < hop_length <= win_length:
        raise RuntimeError(
            f"istft: expected 0 < hop_length <= win_length, but got hop_length={hop_length}"
        )
    _check_window_length("istft", win_length, n_fft)
    if window is None:
        window = _C.ones(win_length, dtype=_C.real(input[..., :0]).dtype, device=input.device)
    elif _shape(window) != (win_length,):
        raise RuntimeError("istft: window has to be 1D and of length win_length")
    window = _centred(window, n_fft)
    spectra = input.transpose(-1, -2)
    spectra = spectra.unsqueeze(0) if input.dim() == 2 else spectra
    norm = "ortho" if normalized else "backward"
    if return_complex:
        if onesided:
            raise RuntimeError("istft: cannot have onesided output if window or input is complex")
        frames = fft.ifft(spectra, norm=norm)
    else:
        if window.is_complex():
            raise RuntimeError("istft: complex windows are incompatible with return_complex=False")
        frames = fft.irfft(spectra[..., : n_fft // 2 + 1], n_fft, norm=norm)
    signal = _overlapped(frames * window, hop_length)
    envelope = _overlapped((window * window).expand(1, count, n_fft), hop_length)
    start = n_fft // 2 if center else 0
    expected = signal.shape[1]
    if length is not None:
        end = start + length
    else:
        end = expected - (n_fft // 2 if center else 0)
    signal, envelope = signal[:, start:end], envelope[:, start:end]
    lowest = envelope.detach().abs()
    if lowest.numel() == 0 or bool(lowest.min() < 1e-11):
        raise RuntimeError("istft: the windows' squares add up to zero somewhere")
    signal = signal / envelope
    if end > expected:
        warnings.warn(
            "istft: the length of the signal is shorter than the length parameter; zeros follow",
            stacklevel=2,
        )
        signal = _C.pad(signal, [0, end - expected])
    return signal.squeeze(0) if input.dim() == 2 else signal
