from .archive import ARCHIVE, Family, Requirement, best_of_kinds, once_each
from .budget import GROUP, SEARCH, TRAINED, Search
from .discover import discover
from .factoring import Product, factored, factored_terms, formula
from .front import DISCOVERY, FOUND, FRONT, Front, best_by_locality
from .ground import Contender, Ground
from .ideas import WAYS, Grown, Idea, Scene
from .judging import BASELINES, Judged, preferred
from .library import library_of
from .question import QUESTION, Question, read_question
from .reading import read_archive, read_front
from .search import GROWTH, OWN_MEASURES, Candidate, beam_of, finalists
from .settling import with_rivals, without_one
from .shelf import Shelf
from .stability import Part, Recurrence, parts_of, recurring, recurring_pairs

__all__ = [
    "ARCHIVE",
    "BASELINES",
    "DISCOVERY",
    "FOUND",
    "FRONT",
    "GROUP",
    "GROWTH",
    "OWN_MEASURES",
    "QUESTION",
    "SEARCH",
    "TRAINED",
    "WAYS",
    "Candidate",
    "Contender",
    "Family",
    "Front",
    "Ground",
    "Grown",
    "Idea",
    "Judged",
    "Part",
    "Product",
    "Question",
    "Recurrence",
    "Requirement",
    "Scene",
    "Search",
    "Shelf",
    "beam_of",
    "best_by_locality",
    "best_of_kinds",
    "discover",
    "factored",
    "factored_terms",
    "finalists",
    "formula",
    "library_of",
    "once_each",
    "parts_of",
    "preferred",
    "read_archive",
    "read_front",
    "read_question",
    "recurring",
    "recurring_pairs",
    "with_rivals",
    "without_one",
]
