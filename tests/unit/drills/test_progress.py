"""What the terminal shows while drills run."""

import io

from drills.limits import Limits
from drills.progress import Progress, Tick, live_line
from drills.table import figures_line, reasons, table, words
from drills.verdict import Judged, judge, unjudged
from tests.unit.drills.story import good_story


def terminal(*, tty: bool) -> tuple[Progress, io.StringIO]:
    out = io.StringIO()
    progress = Progress(out, tty=tty, columns=120)
    progress.began("primary-killed", "The primary dies.", number=2, of=3)
    return progress, out


def tick(at_s: float, *, holds: int = 0, primary: str = "postgres1") -> Tick:
    roles = {"postgres primary": primary, "galera": "primary 3"}
    return Tick("faults", at_s, 40, 12, holds, 1, 7, ("kill postgres1",), roles)


def good() -> Judged:
    return judge(good_story().history(), Limits(gap_s_max=25.0, buyer_errors_max=0))


def bad() -> Judged:
    story = good_story()
    del story.units["s9"]
    return judge(story.history(), Limits(drain_s_max=5))


def test_the_live_line_says_what_matters_now() -> None:
    assert live_line("2/3 primary-killed", tick(41.0, holds=300), 9.75) == (
        "2/3 primary-killed    41 s faults  [kill postgres1]  9.8 holds/s  300 held  1 errors  12 of 40 buyers inside"
        "  backlog 7  postgres primary: postgres1"
    )


def test_on_a_terminal_one_line_is_rewritten_and_fits() -> None:
    progress, out = terminal(tty=True)

    progress.tick(tick(1.0))
    progress.tick(tick(2.0))

    head, live = out.getvalue().split("\n")
    assert head == "2/3 primary-killed: The primary dies."
    assert live.count("\r\x1b[2K") == 2
    assert all(len(line) <= 119 for line in live.split("\r\x1b[2K"))


def test_news_push_the_live_line_down() -> None:
    progress, out = terminal(tty=True)

    progress.tick(tick(1.0))
    progress.tick(tick(2.0, primary=""))
    progress.tick(tick(23.0, primary="postgres3"))

    assert "\r\x1b[2K    23.0 s  postgres primary: postgres1 -> postgres3\n" in out.getvalue()


def test_without_a_terminal_there_is_a_plain_line_every_five_seconds() -> None:
    progress, out = terminal(tty=False)

    for second in range(13):
        progress.tick(tick(float(second), holds=10 * second))

    lines = out.getvalue().splitlines()
    assert [line.split(" faults")[0].strip() for line in lines[1:]] == [
        "2/3 primary-killed     0 s",
        "2/3 primary-killed     5 s",
        "2/3 primary-killed    10 s",
    ]
    assert "10.0 holds/s" in lines[-1]
    assert "\x1b" not in out.getvalue()


def test_a_verdict_comes_with_its_reasons() -> None:
    progress, out = terminal(tty=False)

    progress.ended(bad())

    assert out.getvalue().splitlines()[1:] == [
        "  NOT SAFE  longest gap 0.0 s, 0 errors, drained in 10.0 s, 0 rewound",
        "    bank: at the end 6 free + 0 held + 3 sold = 9 of 9 places, which is not 10",
        "    drained: after 10.0 s, at most after 5 s",
    ]


def test_verdicts_are_coloured_on_a_terminal_only() -> None:
    progress, out = terminal(tty=True)

    progress.ended(good())

    assert "\x1b[32msafe, limits kept\x1b[0m" in out.getvalue()


def test_words_and_figures_of_a_verdict() -> None:
    missed = judge(good_story().history(), Limits(drain_s_max=5))
    broken = unjudged("x", Limits(), "no auditor")

    assert words(good().verdict) == "safe, limits kept"
    assert words(missed.verdict) == "safe, LIMITS MISSED"
    assert words(bad().verdict) == words(broken.verdict) == "NOT SAFE"
    assert figures_line(good().verdict) == (
        "longest gap 0.0 (max 25.0) s, 0 (max 0) errors, drained in 10.0 s, 0 rewound"
    )
    assert (figures_line(broken.verdict), reasons(broken)) == ("", ["no verdict: no auditor"])


def test_the_table_is_aligned() -> None:
    broken = unjudged("etcd-leader", Limits(gap_s_max=1.5), "no auditor")

    progress, out = terminal(tty=False)
    progress.table([good().verdict, bad().verdict, broken.verdict])

    assert out.getvalue().splitlines()[2:] == [
        "drill        verdict            gap s   max  errors  max  orders gap s  max  drain s  rewound",
        "a drill      safe, limits kept    0.0  25.0       0    0           0.0    -     10.0        0",
        "a drill      NOT SAFE: bank       0.0     -       0    -           0.0    -     10.0        0",
        "etcd-leader  NOT SAFE               -   1.5       -    -             -    -        -        -",
    ]
    assert table([]) == ["drill  verdict  gap s  max  errors  max  orders gap s  max  drain s  rewound"]
