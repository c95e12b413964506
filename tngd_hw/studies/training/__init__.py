"""``tngd-hw train`` and ``tngd-hw study training``: one run as asked for, and imperfect chips beside each other."""
