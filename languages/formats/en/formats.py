"""How the admin writes a time, to the second as its timelines do; and, as the short form, how customers read one."""

DATETIME_FORMAT = "Y-m-d H:i:s"
SHORT_DATETIME_FORMAT = "N j, Y, P"
