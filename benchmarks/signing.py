"""What a DKIM signature costs, beside dkimpy's: `python -m benchmarks.signing`, ten seconds.

The mail is a reminder as readers get it, signed again and again; the figures are medians of five rounds, the two sides
taking turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

import dkim
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from notifier import files
from notifier.dkim import Signer
from notifier.letters import Templates
from notifier.messages import Composer, Mailbox, Site
from notifier.notices import Kind, Notice
from notifier.subscribers import Subscriber
from notifier.talks import Room, Seminar, Session, Speaker, Talk

DOMAIN = "seminar.example.org"
START = datetime(2021, 11, 27, 1, 30, tzinfo=UTC)
ROUNDS = 5


def message() -> bytes:
    """A reminder with its calendar."""
    session = Session(
        "2021-11-27",
        START,
        START + timedelta(hours=2),
        "Asia/Shanghai",
        talks=(Talk(title="冷冻电镜原理及相关算法", speakers=(Speaker("王宇航"),), abstract="An abstract. " * 40),),
        room=Room("https://meeting.tencent.com/dm/p1q2HxwW3x4r", "329744341", "974114"),
        uid=f"2021-11-27@{DOMAIN}",
        created=START,
        modified=START,
    )
    site = Site(
        f"https://{DOMAIN}",
        DOMAIN,
        Mailbox("机器学习联合研讨会", f"reminder@{DOMAIN}"),
        Seminar("jsml", "Joint Seminar", "Asia/Shanghai", sessions=(session,)),
        lambda purpose, one, at: f"https://{DOMAIN}/{purpose}/{'a1b2c3d4' * 5}",
    )
    notice = Notice(session.id, Kind.REMINDER, "reminder-1d", 0, START, START)
    composer = Composer(site, Templates(files.shipped()))
    return composer.compose(notice, session, Subscriber("ada@example.org", "Ada", "zh", id=1), date=START).body


def cost(work: Callable[[], object], times: int) -> float:
    """Microseconds of CPU for one."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times * 1e6


def main() -> None:
    body = message()
    keys = {"RSA-2048": rsa.generate_private_key(65537, 2048), "Ed25519": ed25519.Ed25519PrivateKey.generate()}
    pems = {
        name: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        for name, key in keys.items()
    }
    signers = {name: Signer(DOMAIN, "n1", pem) for name, pem in pems.items()}
    rsa_key = pems["RSA-2048"].encode()
    costs: dict[str, list[float]] = {name: [] for name in (*signers, "dkimpy, RSA-2048")}
    for _ in range(ROUNDS):
        for name, signer in signers.items():
            costs[name].append(cost(lambda signer=signer: signer.signature(body), 500))  # type: ignore[misc]
        costs["dkimpy, RSA-2048"].append(cost(lambda: dkim.sign(body, b"n1", DOMAIN.encode(), rsa_key), 30))
    print(f"a mail of {len(body)} octets")
    for name, found in costs.items():
        print(f"{name:>18}: {median(found):7.0f} us of CPU")
    print(f"dkimpy / RSA-2048: {median(costs['dkimpy, RSA-2048']) / median(costs['RSA-2048']):.0f} times")


if __name__ == "__main__":
    main()
