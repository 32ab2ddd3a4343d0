"""Which regularized losses a config offers, by name."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.config import Config, ConfigDict


def named_losses(config: Config, names: Sequence[str]) -> dict[str, ConfigDict]:
    """Look up losses in the ``regularized_losses`` of a config.

    Returns:
        By name, what ``MODELS.build`` takes, in the order of ``names``.

    Raises:
        ValueError: The config has none of some name.
    """
    known = config.get("regularized_losses", {})
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"no loss of the name {', '.join(unknown)}: {config.filename} has "
            f"{', '.join(known) or 'nothing'} in regularized_losses"
        )
    return {name: known[name] for name in names}
