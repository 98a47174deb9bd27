from .budget import GROUP, SEARCH, TRAINED, Search
from .discover import discover
from .factoring import Product, factored, factored_terms
from .front import DISCOVERY, FOUND, FRONT, Front, best_by_locality, formula
from .judging import BASELINES, Judged
from .library import library_of
from .question import QUESTION, Question, read_question
from .search import Candidate, finalists

__all__ = [
    "BASELINES",
    "DISCOVERY",
    "FOUND",
    "FRONT",
    "GROUP",
    "QUESTION",
    "SEARCH",
    "TRAINED",
    "Candidate",
    "Front",
    "Judged",
    "Product",
    "Question",
    "Search",
    "best_by_locality",
    "discover",
    "factored",
    "factored_terms",
    "finalists",
    "formula",
    "library_of",
    "read_question",
]
