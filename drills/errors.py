"""What can go wrong with a drill itself, as opposed to what it finds.

DrillError
├── EngineMissing   there is no Docker engine, image or compose here, and it may not or cannot be made
├── DockerFailed    a docker command failed, or did not end in time
├── NotSteady       the cluster did not get into the state that was waited for; the message says what is missing
├── NemesisFailed   a fault could not be done or undone
├── ShopFailed      the drill's own event could not be made
└── AuditFailed     the auditor could not read a store
"""


class DrillError(Exception):
    """The drill cannot go on; the message says why, for the person who runs it."""


class EngineMissing(DrillError):
    pass


class DockerFailed(DrillError):
    pass


class NotSteady(DrillError):
    pass


class NemesisFailed(DrillError):
    pass


class ShopFailed(DrillError):
    pass


class AuditFailed(DrillError):
    pass
