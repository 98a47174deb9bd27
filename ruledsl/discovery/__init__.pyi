from .archive import ARCHIVE, Entry, Family, Requirement, best_of_kinds, entries_of
from .budget import GROUP, SEARCH, TRAINED, Search
from .discover import discover
from .factoring import Product, factored, factored_terms, formula
from .front import DISCOVERY, FOUND, FRONT, Front, best_by_locality
from .judging import BASELINES, Judged
from .library import library_of
from .question import QUESTION, Question, read_question
from .search import Candidate, finalists

__all__ = [
    "ARCHIVE",
    "BASELINES",
    "DISCOVERY",
    "FOUND",
    "FRONT",
    "GROUP",
    "QUESTION",
    "SEARCH",
    "TRAINED",
    "Candidate",
    "Entry",
    "Family",
    "Front",
    "Judged",
    "Product",
    "Question",
    "Requirement",
    "Search",
    "best_by_locality",
    "best_of_kinds",
    "discover",
    "entries_of",
    "factored",
    "factored_terms",
    "finalists",
    "formula",
    "library_of",
    "read_question",
]
