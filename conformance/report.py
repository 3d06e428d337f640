"""stub."""


def write(counts, long):
    print(len(counts))
