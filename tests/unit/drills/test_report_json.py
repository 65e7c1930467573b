"""A run as JSON, and the machine it ran on."""

from pathlib import Path

import msgspec

from drills.limits import Limits
from drills.machine import Machine, machine
from drills.report_json import everything, summary
from drills.verdict import judge, unjudged
from tests.unit.drills.story import good_story

HERE = Machine(2, 7936, "a processor", "6.1.0", "docker 20.10")


def test_the_summary_has_what_the_results_keep_a_line_for_each_drill() -> None:
    text = summary(HERE, [judge(good_story().history(), Limits(gap_s_max=25.0)), unjudged("x", Limits(), "away")])

    read = msgspec.json.decode(text)
    assert set(read) == {"machine", "drills"}
    assert read["machine"]["cores"] == 2
    first = read["drills"][0]
    expected = {"name": "a drill", "safe": True, "gap_s": 0.0, "gap_s_max": 25.0, "buyer_errors": 0, "drain_s": 10.0}
    assert expected | {"rewound": 0, "met": True} == {key: first[key] for key in (*expected, "rewound", "met")}
    assert first["checks"]["one-owner"] is True
    assert [line.strip()[:12] for line in text.splitlines() if "name" in line] == ['{"name":"a d', '{"name":"x",']


def test_a_summary_of_nothing_is_valid() -> None:
    assert msgspec.json.decode(summary(HERE, []))["drills"] == []


def test_everything_has_findings_figures_and_time_lines() -> None:
    read = msgspec.json.decode(everything(HERE, [judge(good_story().history(), Limits(), "All is well.")]))

    (drill,) = read["drills"]
    assert drill["about"] == "All is well."
    assert [finding["ok"] for finding in drill["findings"]] == [True] * 8
    assert drill["figures"]["holds"] == 4
    assert len(drill["timeline"]["seconds"]) == 7


def test_a_machine_describes_itself(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:        8126464 kB\nMemFree:  1 kB\n")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Quick CPU @ 3GHz\n")

    found = machine("docker 20.10.24", proc=tmp_path)

    assert (found.memory_mib, found.processor, found.engine) == (7936, "Quick CPU @ 3GHz", "docker 20.10.24")
    assert str(HERE) == "2 cores of a processor, 7.8 GiB, Linux 6.1.0, docker 20.10"


def test_a_processor_without_a_name_is_called_by_its_kind(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1024 kB\n")
    (tmp_path / "cpuinfo").write_text("processor: 0\n")

    assert machine("x", proc=tmp_path).processor
