from .again import Diagnosis, diagnose
from .config import RunConfig, read_config, read_toml, recorded_runs, used_plugins
from .driver import Listener, Outcome, is_in_use, locked, refuse_used, use_threads
from .metrics import Metrics, read_metrics
from .names import CONFIG, DATA, RULE
from .panels import curve_of, end_accuracy, training_panels
from .run import Run, open_run
from .schema import INTERVAL, checked
from .spec import Crews, Spec
from .summary import grouped, late_episodes, recorded_groups
from .tensorboard import export_events

__all__ = [
    "CONFIG",
    "DATA",
    "INTERVAL",
    "RULE",
    "Crews",
    "Diagnosis",
    "Listener",
    "Metrics",
    "Outcome",
    "Run",
    "RunConfig",
    "Spec",
    "checked",
    "curve_of",
    "diagnose",
    "end_accuracy",
    "export_events",
    "grouped",
    "is_in_use",
    "late_episodes",
    "locked",
    "open_run",
    "read_config",
    "read_metrics",
    "read_toml",
    "recorded_groups",
    "recorded_runs",
    "refuse_used",
    "training_panels",
    "use_threads",
    "used_plugins",
]
