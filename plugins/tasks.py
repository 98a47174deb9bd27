"""What a network has to learn in an episode: a stream of samples, and the queries it is judged by."""

import numpy as np
import torch

from ruledsl.plugin import Task, TaskRequest, task


@task("classes")
def shuffled_classes(request: TaskRequest) -> Task:
    """A few classes, their images shuffled (Methods 4.1)."""
    classes, units = request.draw_classes()
    train, query = request.draw_places(classes)
    order = request.random.permutation(train.size)
    y, asked = np.repeat(units, train.shape[1])[order], np.repeat(units, query.shape[1])
    return request.task(train.reshape(-1)[order], y, query.reshape(-1), asked)


@task("incremental")
def one_class_after_another(request: TaskRequest) -> Task:
    """Class-incremental: all images of one class, then all of the next; queries ask for every class."""
    classes, units = request.draw_classes()
    train, query = request.draw_places(classes)
    return request.task(
        train.reshape(-1),
        np.repeat(units, train.shape[1]),
        query.reshape(-1),
        np.repeat(units, query.shape[1]),
    )


@task("permuted")
def permuted_pixels(request: TaskRequest) -> Task:
    """Half-way through the stream the pixels change places; queries are asked in both orders."""
    plain = shuffled_classes(request)
    order = torch.from_numpy(request.random.permutation(request.sizes[0]))
    half = len(plain.x) // 2
    x = torch.cat([plain.x[:half], plain.x[half:][:, order]])
    x_query = torch.cat([plain.x_query, plain.x_query[:, order]])
    return Task(x, plain.y, x_query, plain.y_query.repeat(2))


@task("cued")
def cued_labels(request: TaskRequest) -> Task:
    """A third of the labels are wrong, and `third` tells:
    1 with a right label, 0 with a wrong one (`--third task`)."""
    classes, units = request.draw_classes()
    train, query = request.draw_places(classes)
    order = request.random.permutation(train.size)
    y = np.repeat(units, train.shape[1])[order]
    right = request.random.random(len(y)) < 2 / 3
    y = np.where(right, y, request.random.choice(units, size=len(y)))
    asked = np.repeat(units, query.shape[1])
    return request.task(train.reshape(-1)[order], y, query.reshape(-1), asked, right.astype(np.int64))


@task("delayed")
def labels_that_come_late(request: TaskRequest) -> Task:
    """Every image is followed by a blank, and only there its label is told: `third` is 1 with blanks, else 0.

    With the images come labels drawn at random (`--third task`). Half as many images are seen as samples.
    """
    classes, units = request.draw_classes()
    train, query = request.draw_places(classes)
    order = request.random.permutation(train.size)[: train.size // 2]
    right = np.repeat(units, train.shape[1])[order]
    told = np.stack([request.random.choice(units, size=len(right)), right], 1).reshape(-1)
    late = np.tile([0, 1], len(right))
    asked = np.repeat(units, query.shape[1])
    seen = request.task(train.reshape(-1)[np.repeat(order, 2)], told, query.reshape(-1), asked, late)
    seen.x[1::2] = 0.0
    return seen


@task("teacher_network")
def random_teacher(request: TaskRequest) -> Task:
    """Regression: imitate a random network with one hidden layer of 50 tanh cells.

    Inputs are made of ten causes: 250 samples tell little of as many free numbers as there are pixels. They
    and the targets are about as large as images and labels, since learning rates are made for these.
    """
    request.require_linear("teacher_network")
    inputs, outputs, hidden, causes = request.sizes[0], request.sizes[-1], 50, 10
    mixed = request.random.standard_normal((inputs, causes)) / np.sqrt(causes)
    first = request.random.standard_normal((hidden, causes)) / np.sqrt(causes)
    second = request.random.standard_normal((outputs, hidden)) / np.sqrt(hidden)
    count = request.shape.stream
    cause = request.random.standard_normal((count + request.shape.labels * request.shape.queries, causes))
    x, y = cause @ mixed.T / 3, np.tanh(cause @ first.T) @ second.T / 3
    x, y = (torch.from_numpy(values.astype(np.float32)) for values in (x, y))
    return Task(x[:count], y[:count], x[count:], y[count:])


@task("samples")
def samples_of_a_file(request: TaskRequest) -> Task:
    """Regression on a data set with real targets:
    M · K samples to learn from and M · Q to be asked, at random."""
    request.require_linear("samples")
    places = request.draw_any()
    x, y = request.images(places), request.targets(places)
    count = request.shape.stream
    return Task(x[:count], y[:count], x[count:], y[count:])
