"""Maps made from labels: distances, border weights, and class weights from frequencies."""

from ._border import border_weight
from ._distance import distance_transform
from ._frequencies import class_weights

__all__ = ["border_weight", "class_weights", "distance_transform"]
