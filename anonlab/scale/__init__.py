"""Millions of photos on Ray Data: manifest in, hashed names and manifest out, a job that resumes.

Importing it raises `PackageMissing` where Ray is not installed, and sets Ray's environment.
"""

from .before_ray import check_packages, set_environment

check_packages()
set_environment()

from .job import anonymize_set  # noqa: E402
from .manifest import Outcome  # noqa: E402
from .worker import Task  # noqa: E402

__all__ = ["Outcome", "Task", "anonymize_set"]
