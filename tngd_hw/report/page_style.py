"""The style sheet of the report: light, dark and print."""

from __future__ import annotations

from typing import Final

__all__ = ["PAGE_STYLE"]

PAGE_STYLE: Final = """
:root {
  --text: #1d2228; --soft: #57606a; --page: #ffffff; --card: #f5f7f9; --line: #d8dee4; --accent: #0067a3;
  --good: #00704f; --bad: #b34700;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e4e8ec; --soft: #a3adb8; --page: #14181d; --card: #1e242b; --line: #39424c; --accent: #6cbcf0;
    --good: #4cc79c; --bad: #f5945c;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 17px/1.6 system-ui, "Segoe UI", sans-serif; }
main { max-width: 58rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .75rem; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .25rem; }
p { margin: .6rem 0; max-width: 50rem; }
sub, sup { line-height: 0; }
.f { white-space: nowrap; }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; font-size: .92rem; }
.lead { font-size: 1.15rem; }
.note { border-left: 4px solid var(--bad); background: var(--card); padding: .6rem 1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: .9rem; margin: 1.4rem 0; }
.card { background: var(--card); border-radius: .5rem; padding: .9rem 1rem; }
.card b { display: block; font-size: 1.4rem; line-height: 1.3; white-space: nowrap; }
.card span { color: var(--soft); font-size: .92rem; line-height: 1.4; display: block; }
.good { color: var(--good); } .bad { color: var(--bad); }
figure { margin: 1.4rem 0; }
figure img { width: 100%; height: auto; display: block; background: #ffffff; border: 1px solid var(--line);
  border-radius: .5rem; padding: .6rem; }
figcaption { color: var(--soft); font-size: .95rem; margin-top: .5rem; max-width: 50rem; }
.scroll { overflow-x: auto; margin: .9rem 0; }
table { border-collapse: collapse; font-size: .95rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
code, pre { font: .92em/1.5 ui-monospace, "DejaVu Sans Mono", monospace; background: var(--card);
  border-radius: .3rem; }
code { padding: .1em .3em; overflow-wrap: anywhere; } pre { padding: .8rem 1rem; overflow-x: auto; }
.source { white-space: pre-line; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 0 2.5rem; }
@media print {
  :root { --text: #000; --soft: #333; --page: #fff; --card: #f2f2f2; --line: #bbb;
    --accent: #000; --good: #000; --bad: #000; }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; } nav { display: none; }
  figure, table, .card { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
"""
