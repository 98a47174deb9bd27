"""How the paper's released code (2023-03-06) draws its tasks, for `reproduce --profile released-code`."""

import numpy as np

from ruledsl.plugin import Task, TaskRequest, task


@task("classes_with_replacement")
def classes_with_replacement(request: TaskRequest) -> Task:
    """Five labels drawn one by one: about one task in five shows a class twice,
    with the same images both times."""
    classes, units = drawn_one_by_one(request)
    distinct, place = np.unique(classes, return_inverse=True)
    train, query = request.draw_places(distinct)
    return stream_of(request, train[place], query[place], units)


def drawn_one_by_one(request: TaskRequest) -> tuple[np.ndarray, np.ndarray]:
    """M classes that may repeat, and their output units."""
    request.draw_classes()  # refuses what cannot be drawn
    count, outputs = request.source.classes, request.sizes[-1]
    classes = request.random.choice(count, size=request.shape.labels)
    if count <= outputs:
        return classes, classes
    return classes, request.random.permutation(outputs)[np.unique(classes, return_inverse=True)[1]]


@task("first_images")
def first_images(request: TaskRequest) -> Task:
    """Every task of a class shows its first K images and asks for the next Q: none is ever held out."""
    return images_in_order(request, *request.draw_classes())


@task("first_images_with_replacement")
def first_images_with_replacement(request: TaskRequest) -> Task:
    """Both together, as in the released code."""
    return images_in_order(request, *drawn_one_by_one(request))


def images_in_order(request: TaskRequest, classes: np.ndarray, units: np.ndarray) -> Task:
    """A task of the first K + Q images of each class."""
    shots, queries = request.shape.shots, request.shape.queries
    places = np.stack([request.source.members[c][: shots + queries] for c in classes])
    return stream_of(request, places[:, :shots], places[:, shots:], units)


def stream_of(request: TaskRequest, train: np.ndarray, query: np.ndarray, units: np.ndarray) -> Task:
    """A shuffled stream of the images at `train`, (M, K) places, and queries at (M, Q)."""
    order = request.random.permutation(train.size)
    y, asked = np.repeat(units, train.shape[1])[order], np.repeat(units, query.shape[1])
    return request.task(train.reshape(-1)[order], y, query.reshape(-1), asked)
