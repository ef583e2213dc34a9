"""What is installed, what this machine offers, and whether a run has all that it needs."""

from dist_mcl.doctor.examination import examine
from dist_mcl.doctor.finding import Finding, print_findings

__all__ = ["Finding", "examine", "print_findings"]
