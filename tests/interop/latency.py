"""How long a change on one side takes to be seen on the other; both sides are looked at without pause."""
import os
import time

from twosides import DATE, eventually, message

LIMIT_S = 20.0


def percentile(values, percent):
    """The least value that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def since(begin, what, question):
    eventually(what, question, LIMIT_S, step_s=0.002)
    return time.monotonic() - begin


def there_until_here(here, there, mailbox, count, pause_s=0.0):
    """Seconds from the OK to an APPEND or STORE on the server until the mount shows it, `count` times, messages and flags in turn."""
    found, path = [], None
    for i in range(count):
        time.sleep(pause_s)
        if path is None or i % 2 == 0:
            before = set(here.files(mailbox))
            there.append(mailbox, message(f"latency there {i} {count}"), date_s=DATE + i)
            begin = time.monotonic()
            found.append(since(begin, "a message that came there is here", lambda before=before: set(here.files(mailbox)) - before))
            path = here.path(mailbox, (set(here.files(mailbox)) - before).pop())
        else:
            uid = there.one(mailbox, f"latency there {i - 1} {count}")["UID"]
            there.store(mailbox, uid, "+FLAGS", "\\Flagged")
            begin = time.monotonic()
            found.append(since(begin, "a flag set there is here", lambda path=path: "flagged" in here.flags(path)))
    return found


def here_until_there(here, there, mailbox, count, pause_s=0.0):
    """Seconds from the return of close or setxattr on the mount until the server has it, `count` times, messages and flags in turn."""
    found, path = [], None
    there.select(mailbox)
    for i in range(count):
        time.sleep(pause_s)
        subject = f"latency here {i - i % 2} {count}"
        if path is None or i % 2 == 0:
            path = here.write(mailbox, f"latency {i} {count}.eml", message(subject))
            begin = time.monotonic()
            search = ("HEADER", "Subject", f'"{subject}"')
        else:
            os.setxattr(path, "user.mail.flags", b"+flagged")
            begin = time.monotonic()
            search = ("FLAGGED", "HEADER", "Subject", f'"{subject}"')

        def there_now(search=search):
            there.client.noop()
            return there.client.search(None, *search)[1][0].split()

        found.append(since(begin, f"{subject} is there", there_now))
    return found
