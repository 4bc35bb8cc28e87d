# SPDX-License-Identifier: GPL-2.0-only
#
# py-watchdog: watch each file that a line of standard input names.

import sys

from watchdog.events import LoggingEventHandler
from watchdog.observers import Observer

observer = Observer()
observer.start()
for line in sys.stdin:
    observer.schedule(LoggingEventHandler(), line.rstrip("\n"))
observer.stop()
