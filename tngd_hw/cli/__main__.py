"""``python -m tngd_hw.cli`` is ``tngd-hw``."""

from tngd_hw.cli.entry import main

main()
