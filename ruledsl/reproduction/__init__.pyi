from .claims import Alternative, Claim, ClaimFile, LongStream, Measure, Theory, Training
from .document import Record, Reproduced, machine, signed, write_documents
from .locating import locate_claims, profiles, shipped
from .measures import MEASURES, episodes_of, measured, settling_episode
from .planning import Budget, Planner
from .reading import read_claims
from .rehearsal import rehearse
from .results import TrainingResult
from .verdicts import Judged, judge, verdict_of
from .work import record_of, reproduce, run_experiments

__all__ = [
    "MEASURES",
    "Alternative",
    "Budget",
    "Claim",
    "ClaimFile",
    "Judged",
    "LongStream",
    "Measure",
    "Planner",
    "Record",
    "Reproduced",
    "Theory",
    "Training",
    "TrainingResult",
    "episodes_of",
    "judge",
    "locate_claims",
    "machine",
    "measured",
    "profiles",
    "read_claims",
    "record_of",
    "rehearse",
    "reproduce",
    "run_experiments",
    "settling_episode",
    "shipped",
    "signed",
    "verdict_of",
    "write_documents",
]
