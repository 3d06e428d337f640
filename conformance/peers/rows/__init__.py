"""The rows of each library."""

SINGLE = 2e-6  # the peer computes in float32
FEW = 2e-6  # the peer adds about 1e-7 to a denominator
CLASSES_OF_MEAN = "the peer divides by the number of classes, too"
UNNORMALISED = 'the peer does not divide by the weights; "mean" does'
