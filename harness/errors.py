"""Everything that can go wrong, in one tree.

* HarnessError
  + ConfigError        the request cannot be understood; nothing has run
  + PluginError        a named plug-in is missing or broken; nothing has run
  + DataError          a file, data set, model or tokenizer is not what was asked for
  + StoreError         the run directory cannot be used as asked; nothing was overwritten
  + CollapseError      a model's own judgements can no longer be trained on; the run stops here
  + JudgeUnavailable   a model on a server does not answer, or no verdict of a judge can be read
  + BudgetExceeded     the money is spent; what it bought is kept

Each message says what was asked, what there is, and what to do: the command line shows it as one
line, without a traceback. What is wrong with one row is not an error but a `records.Failure`.
"""


class HarnessError(Exception):
    """An error whose message is enough for the user."""


class ConfigError(HarnessError):
    """The request cannot be understood."""


class PluginError(HarnessError):
    """A plug-in was named that cannot be found or loaded."""


class DataError(HarnessError):
    """A file, data set, model or tokenizer is not what was asked for."""


class StoreError(HarnessError):
    """The run directory cannot be used as asked."""


class CollapseError(HarnessError):
    """A model's own judgements can no longer be trained on."""


class JudgeUnavailable(HarnessError):
    """A model on a server cannot be asked, or did not answer; or a judge says nothing readable."""


class BudgetExceeded(HarnessError):
    """The next call would cost more than is left."""
