"""Layer 0: the typed configuration tree and how it is read."""

from fluxbase.config.load import ConfigError, load_config, variable_of
from fluxbase.config.model import Config, settings

__all__ = ["Config", "ConfigError", "load_config", "settings", "variable_of"]
