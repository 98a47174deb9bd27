"""From what a user asks for to runs: specifications, one training, many of them, and where they run."""

from ruledsl.studies.carrying import Parcel, Returned
from ruledsl.studies.cells import Cell, Place, Plan, Tick, Watcher
from ruledsl.studies.crews import AT_ONCE, crews, portioned
from ruledsl.studies.evaluation import SEEDS, Evaluation, evaluate
from ruledsl.studies.file import keep_study, open_study, read_study
from ruledsl.studies.found import coefficients_of, rule_of, run_of, settings_of
from ruledsl.studies.places import Far, Here, Processes, named_folders, open_place
from ruledsl.studies.specify import (
    Opened,
    check_writable,
    default_folder,
    known_terms,
    open_data,
    read_config_file,
    specify,
)
from ruledsl.studies.study import Study, StudyCell, digest, hashed, shown
from ruledsl.studies.training import RuleWarning, keywords, train

__all__ = [
    "AT_ONCE",
    "SEEDS",
    "Cell",
    "Evaluation",
    "Far",
    "Here",
    "Opened",
    "Parcel",
    "Place",
    "Plan",
    "Processes",
    "Returned",
    "RuleWarning",
    "Study",
    "StudyCell",
    "Tick",
    "Watcher",
    "check_writable",
    "coefficients_of",
    "crews",
    "default_folder",
    "digest",
    "evaluate",
    "hashed",
    "keep_study",
    "keywords",
    "known_terms",
    "named_folders",
    "open_data",
    "open_place",
    "open_study",
    "portioned",
    "read_config_file",
    "read_study",
    "rule_of",
    "run_of",
    "settings_of",
    "shown",
    "specify",
    "train",
]
