"""The task of the RQ workers."""


def noop():
    return None
