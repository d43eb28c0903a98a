"""Finding the operation that made a NaN or whose backward failed."""

from __future__ import annotations

import warnings

from .. import _C

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class detect_anomaly:
    """Keep where each operation's forward was called, and check gradients for NaN.

    Inside the block a backward that raises is followed by a warning with the traceback of the
    forward, and a backward that makes a NaN raises ``RuntimeError``, which names the operation
    and the first operation whose forward made a NaN. Slow; for debugging.

    Parameters
    ----------
    check_nan : bool
        Whether a NaN in a gradient raises.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self._before = (_C.is_anomaly_enabled(), _C.is_anomaly_check_nan_enabled())
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self._before = (_C.is_anomaly_enabled(), _C.is_anomaly_check_nan_enabled())
        _C._forget_nan()
        _C._set_anomaly(True, self.check_nan)

    def __exit__(self, *args) -> None:
        _C._set_anomaly(*self._before)


class set_detect_anomaly:
    """Switch anomaly detection on or off: at once when called, until its end in a with block.

    Parameters
    ----------
    mode : bool
        Whether anomalies are detected.
    check_nan : bool
        Whether a NaN in a gradient raises.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = (_C.is_anomaly_enabled(), _C.is_anomaly_check_nan_enabled())
        _C._forget_nan()
        _C._set_anomaly(bool(mode), bool(check_nan))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *args) -> None:
        _C._set_anomaly(*self._before)
