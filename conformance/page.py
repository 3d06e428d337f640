"""A report as one self-contained page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from conformance import markdown

if TYPE_CHECKING:
    from conformance.report import Report

STYLE = """
:root { color-scheme: light dark; --line: #d8dee4; --soft: #f6f8fa; --good: #1a7f37;
  --tint: #e9f7ee; --bad: #cf222e; --ink: #1f2328; --grey: #6e7781; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --line: #30363d; --soft: #161b22; --good: #3fb950;
  --tint: #12261a; --bad: #f85149; --ink: #e6edf3; --grey: #8b949e; --paper: #0d1117; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1080px; margin: 32px auto; padding: 0 20px; }
h1 { font-size: 26px; margin: 0 0 12px; } h2 { font-size: 18px; margin: 36px 0 10px; }
.verdict { font-size: 17px; font-weight: 600; padding: 12px 16px; border-radius: 8px; }
.verdict.good { background: var(--tint); color: var(--good); }
.verdict.bad { background: var(--bad); color: #fff; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 16px 0; }
dt { color: var(--grey); } dd { margin: 0; }
p.note { color: var(--grey); max-width: 76ch; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 6px 10px; text-align: right;
  vertical-align: top; }
th { background: var(--soft); font-weight: 600; white-space: nowrap; }
th:first-child, td:first-child, .words td, .words th { text-align: left; }
.good { color: var(--good); } .none { color: var(--grey); }
td.bad { background: var(--bad); color: #fff; font-weight: 700; }
pre { background: var(--soft); border-left: 4px solid var(--bad); padding: 10px; overflow-x: auto; }
"""


def html(report: Report) -> str:
    """The page."""
    title = f"Conformance: {report.title}"
    verdict = markdown.verdict(report)
    mood = "bad" if "FAILED" in verdict else "good"
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in markdown.facts(report)
    )
    first, *others = [_section(*section) for section in markdown.sections(report)]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="verdict {mood}">{escape(verdict)}</p>',
        f"<dl>{facts}</dl>",
        f'<p class="note">{escape(markdown.LEGEND)}</p>',
        first,
        *_failures(report),
        *others,
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def _section(title: str, head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    kind = "words" if head[-1] in ("here", "reason") else ""
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f'<h2>{escape(title)}</h2>\n<div class="wide"><table class="{kind}">\n'
        f"<thead><tr>{names}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(text: str) -> str:
    """A cell: red where something failed, grey where nothing was run."""
    plain = escape(text.replace("**", ""))
    if "FAILED" in text:
        return f'<td class="bad">{plain}</td>'
    if text in (markdown.NOT_RUN, markdown.NONE) or text.startswith("does not apply"):
        return f'<td class="none">{plain}</td>'
    good = re.match(r"absent|[\d,]+( \(|;|$)", text)
    return f'<td class="good">{plain}</td>' if good else f"<td>{plain}</td>"


def _failures(report: Report) -> list[str]:
    """What the failed checks say, if any."""
    notes = [
        f"{count.check}, {count.loss}: {note}"
        for count in report.counts
        if count.failed
        for note in count.notes
    ]
    if not notes:
        return []
    return ["<h2>What failed</h2>", f"<pre>{escape(chr(10).join(notes))}</pre>"]
