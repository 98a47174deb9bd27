from . import torch
from .backend import CompiledRule, compile_rule
from .discovery import Front, Question, Search, discover
from .engines import MetaGradient, adapt, meta_gradient
from .enumeration import Alphabet, Enumeration, enumerate_terms
from .errors import DataError, PluginError, RunError, SettingsError, UserError
from .exports import export
from .ir import Locality, RuleError
from .pages import diff, report
from .rules import Rule, load, rule
from .runs import Metrics, Run, open_run
from .selection import select
from .settings import Network, TrainSettings
from .statistics import Interval
from .studies import Evaluation, Study, evaluate, train
from .tasks import Episode
from .theory import Explanation, explain

__version__: str

__all__ = [
    "Alphabet",
    "CompiledRule",
    "DataError",
    "Enumeration",
    "Episode",
    "Evaluation",
    "Explanation",
    "Front",
    "Interval",
    "Locality",
    "MetaGradient",
    "Metrics",
    "Network",
    "PluginError",
    "Question",
    "Rule",
    "RuleError",
    "Run",
    "RunError",
    "Search",
    "SettingsError",
    "Study",
    "TrainSettings",
    "UserError",
    "adapt",
    "compile_rule",
    "diff",
    "discover",
    "enumerate_terms",
    "evaluate",
    "explain",
    "export",
    "load",
    "meta_gradient",
    "open_run",
    "report",
    "rule",
    "select",
    "torch",
    "train",
]
