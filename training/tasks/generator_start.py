"""What a generator goes on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from faceedit.hub import load_network
from training.config import ConfigError


def _started(folder: Path, config: GeneratorConfig) -> Generator:
    """Return the generator of a folder; a mapping network of another depth begins anew.

    Raises:
        ConfigError: If its synthesis network has another size.
    """
    generator: Generator = load_network(Generator, folder)
    if generator.config == config:
        return generator
    if replace(generator.config, mapping_layers=config.mapping_layers) != config:
        raise ConfigError(f"the generator in {folder} has another size")
    fresh = Generator(config)
    kept = {k: v for k, v in generator.state_dict().items() if not k.startswith("mapping.")}
    fresh.load_state_dict(kept, strict=False)
    return fresh
