"""The report says what was counted, shows what failed, and the committed pages are up to date."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from conformance import markdown, page, report, summary
from conformance.report import Report
from conformance.tally import CHECKS, Count, decode, encode, merged

GOOD = Count("numpy", "grid", "DiceLoss", "eager float64", passed=3, ulp=1.5)
BAD = Count("numpy", "laws", "FocalLoss", "shares", passed=2, failed=1, notes=("shares: <broke>",))
LONG = Count("numpy", "long laws", "FocalLoss", "shares: seed 42", passed=4000)


def made(*counts: Count) -> Report:
    dates = dict.fromkeys((count.check for count in counts), "2026-01-02")
    return Report("numpy", "cpu", {"numpy": "2.0", "CPU": "some"}, dates, list(counts))


def test_counts_survive_json() -> None:
    for count in (GOOD, BAD, LONG):
        assert decode(encode(count)) == count


def test_counts_of_one_kind_are_added() -> None:
    more = replace(GOOD, passed=1, known=1, ulp=2.5)
    assert merged([BAD, GOOD, more]) == [replace(GOOD, passed=4, known=1, ulp=2.5), BAD]


def test_a_failure_is_seen() -> None:
    found = made(GOOD, BAD)
    for text in (markdown.text(found), page.html(found)):
        assert "1 of 6 checks FAILED." in text
        assert "1 FAILED" in text
    html = page.html(found)
    assert '<p class="verdict bad">' in html
    assert '<td class="bad">1 FAILED of 3</td>' in html
    assert "laws, FocalLoss: shares: &lt;broke&gt;" in html


def test_what_passed_is_not_red() -> None:
    html = page.html(made(GOOD, LONG))
    assert '<p class="verdict good">All 4,003 checks passed.' in html
    assert "FAILED" not in html
    assert '<td class="good">4,000; seed 42</td>' in html


def test_what_was_not_run_reads_so() -> None:
    found = made(GOOD)
    dice, jaccard = markdown.matrix(found)[:2]
    assert dice[:4] == ["DiceLoss", "3", "not run", "not run"]
    assert jaccard[1] == "–"
    missing = ", ".join(check for check in CHECKS if check not in ("grid", "peers"))
    assert markdown.verdict(found) == f"All 3 checks passed. Not run: {missing}."


def test_peers_that_are_absent_are_not_run() -> None:
    count = Count("torch", "peers", "DiceLoss", "torch", passed=2)
    found = Report("torch", "cpu", {}, {"peers": "2026-01-02"}, [count])
    assert markdown.verdict(found).endswith("some peers.")
    assert ["torch", "2"] in markdown.peers(found)
    assert ["MONAI", "not run"] in markdown.peers(found)
    assert [row[CHECKS.index("peers") + 1] for row in markdown.matrix(found)[:2]] == [
        "2",
        "not run",
    ]


def test_the_head_says_what_ran_where_and_when() -> None:
    for text in (markdown.text(made(GOOD)), page.html(made(GOOD))):
        for part in ("Conformance: NumPy", "2.0", "some", "2026-01-02: grid", "1.5 ulp"):
            assert part in text


def test_the_page_needs_nothing_else() -> None:
    assert not re.search(r"(src|href|url)\s*[=(]", page.html(made(GOOD, BAD)))


def test_a_run_replaces_its_checks_and_keeps_others(tmp_path: Path) -> None:
    (path,) = report.write([GOOD, BAD, LONG], tmp_path)
    report.write([replace(BAD, failed=0, notes=())], tmp_path)
    found = report.read(path)
    assert found.counts == [GOOD, replace(BAD, failed=0, notes=()), LONG]
    assert set(found.dates) == {"grid", "laws", "long laws"}
    for suffix, text in report.pages(found):
        assert path.with_suffix(suffix).read_text(encoding="utf-8") == text


def test_a_run_keeps_the_peers_that_it_has_not_got(tmp_path: Path) -> None:
    peers = [Count("torch", "peers", "DiceLoss", name, passed=2) for name in ("MONAI", "torch")]
    report.write(peers, tmp_path)
    (path,) = report.write([replace(peers[1], passed=3)], tmp_path)
    assert [count.passed for count in report.read(path).counts] == [2, 3]


def test_the_matrix_has_a_row_for_every_place() -> None:
    rows = summary.table([made(GOOD)]).splitlines()[2:]
    assert len(rows) == len(summary.PLACES)
    assert rows[0].startswith("| [NumPy](conformance/reports/numpy-cpu.md) | 3 | not run |")
    assert rows[-1].startswith("| CuPy, CUDA | not run |")


def test_the_matrix_stands_between_its_markers() -> None:
    text = f"a\n{summary.BEGIN}\nold\n{summary.END}\nb"
    placed = summary.placed(text, [])
    assert placed.startswith(f"a\n{summary.BEGIN}\n|")
    assert placed.endswith(f"|\n{summary.END}\nb")
    with pytest.raises(ValueError, match="no place for the matrix"):
        summary.placed("a", [])


def test_the_committed_pages_and_the_readme_are_up_to_date() -> None:
    if not report.FOLDER.exists():
        pytest.skip("no reports beside the suite")
    assert report.stale() == [], "run: python -m conformance.report render, then readme"
    assert all(path.stat().st_size < 300_000 for path in report.FOLDER.iterdir())
