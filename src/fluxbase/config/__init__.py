"""Layer 0: the typed configuration tree and how it is read."""

from fluxbase.config.load import load_config, variable_of
from fluxbase.config.model import Config, settings
from fluxbase.config.sources import ConfigError

__all__ = ["Config", "ConfigError", "load_config", "settings", "variable_of"]
