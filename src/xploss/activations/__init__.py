"""What turns logits into probabilities, one activation per file, and derivatives back."""

from .activation import Activation
from .margin import MarginSigmoid
from .probability import Probability
from .sigmoid import Sigmoid
from .softmax import Softmax

__all__ = ["Activation", "MarginSigmoid", "Probability", "Sigmoid", "Softmax"]
